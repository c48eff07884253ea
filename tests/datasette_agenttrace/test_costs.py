"""The Costs page: its numbers, its words, and what it does with bad input."""

import html
import json
import re
import sqlite3

import pytest

from datasette_agenttrace import sums
from datasette_agenttrace.asking import asked_of
from datasette_agenttrace.costs.queries import load
from datasette_agenttrace.sums import quantile
from tests.datasette_agenttrace.scene import COSTS, HOSTILE, NOON, TODAY, Page, call, fill
from tests.support import sample_db

pytestmark = pytest.mark.usefixtures("noon")


async def test_numbers_are_those_of_a_hand_computation(ask):
    costs = (await ask(f"{COSTS}.json?range=7d")).json()
    totals = costs["totals"]
    # Calls 1 to 9 of today, 13 and 14: the kinds llm and auxiliary of the last seven days.
    assert totals["calls"] == 11
    assert totals["running"] == 1
    assert totals["failed"] == 2
    assert totals["error_rate"] == pytest.approx(2 / 10)
    # 1 + 2 + 6 + 8 + 13 + 14; not the subscription's 3.
    assert totals["cost_nano_usd"] == 1_500_000 + 2_000_000 + 500_000 + 250_000 + 5_000_000
    assert totals["cost_usd"] == pytest.approx(0.00925)
    assert totals["unpriced"] == 1, "call 4; 5 failed, 7 runs, 9 is counted as 1"
    assert totals["tokens_in"] == 312
    assert totals["tokens_out"] == 33
    assert totals["cache_read_tokens"] == 40
    # 5 100 200 300 400 500 600 800 1300 1400
    assert totals["p50_ms"] == 400
    assert totals["p95_ms"] == 1400
    assert costs["latency_is_exact"] is True

    days = {step["at"]: step for step in costs["steps"]}
    assert list(days) == [f"2026-11-{day}" for day in range(14, 21)]
    assert days["2026-11-17"]["cost_nano_usd"] == 4_000_000
    assert days["2026-11-17"]["p50_ms"] == 1300
    assert days["2026-11-14"]["calls"] == 1
    assert days["2026-11-15"]["calls"] == days["2026-11-15"]["cost_nano_usd"] == 0
    assert days["2026-11-15"]["error_rate"] is None
    assert costs["zone"] == "UTC"

    models = {(one["provider"], one["model"]): one for one in costs["models"]}
    assert list(models) == [("openai", "m1"), ("mistral", "m3"), ("openai", "m2-real")]
    assert models["openai", "m2-real"]["cost_nano_usd"] is None
    assert models["openai", "m2-real"]["unpriced"] == 1
    spent = {(one["at"], one["model"]): one["cost_usd"] for one in costs["spent"]}
    assert spent == {
        ("2026-11-14", "m1"): 0.001,
        ("2026-11-17", "m3"): 0.004,
        ("2026-11-20", "m1"): pytest.approx(0.00425),
    }


async def test_totals_agree_with_plain_sql_over_a_month(database, headers, serve):
    sample_db.build(database, end_us=NOON, calls_a_day=40)
    served = serve(database)
    costs = (await served.client.get(f"{COSTS}.json", headers=headers)).json()
    row = (
        sqlite3.connect(database)
        .execute(
            """
            select count(*), sum(cost_nano_usd), sum(tokens_in), sum(tokens_out),
                   sum(outcome in ('error', 'interrupted'))
            from llm_calls where kind in ('llm', 'auxiliary')
            """
        )
        .fetchone()
    )
    for part in (costs["steps"], costs["models"], [costs["totals"]]):
        for column, expected in zip(
            ("calls", "cost_nano_usd", "tokens_in", "tokens_out", "failed"), row, strict=True
        ):
            assert sum(one[column] or 0 for one in part) == expected, column
    assert sum(one["cost_usd"] for one in costs["spent"]) == pytest.approx(row[1] / 1e9)
    assert row[0] > 500


@pytest.mark.parametrize(
    "query, calls",
    [
        ("range=today", 9), ("range=7d", 11), ("range=30d", 12), ("range=90d", 12),
        ("range=7d&provider=mistral", 1), ("range=7d&agent=a", 1), ("agent=a&provider=mistral", 0),
        ("model=m1", 10), ("model=m2-real", 1), ("model=m2", 0),
        ("from=2026-11-13&to=2026-11-14", 2), ("from=2026-11-14&to=2026-11-13", 2),
        ("from=2026-11-17", 10), ("from=2026-11-17&to=2026-11-17", 1),
        ("from=yesterday", 12), ("range=nonsense", 12), ("provider=%27%20or%201=1--", 0),
        ("from=0001-01-01&to=9999-12-31", 12), ("from=9999-12-31", 0), ("agent=%00", 0),
    ],
)  # fmt: skip
async def test_ranges_and_filters(ask, query, calls):
    answer = await ask(f"{COSTS}.json?{query}")
    assert answer.status_code == 200
    assert answer.json()["totals"]["calls"] == calls
    assert (await ask(f"{COSTS}?{query}")).status_code == 200


async def test_one_day_is_shown_by_the_hour(ask):
    costs = (await ask(f"{COSTS}.json?range=today")).json()
    assert costs["step"] == "hour"
    assert len(costs["steps"]) == 24
    assert next(step for step in costs["steps"] if step["calls"])["at"] == "2026-11-20T12:00Z"


@pytest.mark.parametrize("range_", ["today", "30d"])
async def test_many_calls_have_near_percentiles(database, monkeypatch, range_):
    """Buckets 5 % wide stand for calls too many to look at; all else stays exact."""
    sample_db.build(database, end_us=NOON, calls_a_day=40)
    db = sqlite3.connect(database)
    exact = load(db, asked_of({"range": range_}, TODAY))
    monkeypatch.setattr(sums, "EXACT_CALLS", 10)
    rough = load(db, asked_of({"range": range_}, TODAY))
    assert exact.latency_is_exact
    assert not rough.latency_is_exact
    times = {"p50_ms", "p95_ms"}
    for one, other in zip(exact.steps, rough.steps, strict=True):
        assert one.model_dump(exclude=times) == other.model_dump(exclude=times)
    for one, other in [(exact.totals, rough.totals), *zip(exact.models, rough.models, strict=True)]:
        assert other.p50_ms == pytest.approx(one.p50_ms, rel=0.026)
        assert other.p95_ms == pytest.approx(one.p95_ms, rel=0.026)


def test_quantiles_are_nearest_rank():
    assert quantile([], 0.5) is None
    assert quantile([(7.0, 1)], 0.95) == 7
    assert quantile([(float(n), 1) for n in range(100, 0, -1)], 0.5) == 50
    assert quantile([(float(n), 1) for n in range(1, 101)], 0.95) == 95
    assert quantile([(1.0, 98), (9.0, 2)], 0.99) == 9


async def test_unpriced_is_never_nothing(ask):
    page = (await ask(f"{COSTS}?range=7d")).text
    row = re.search(r"m2-real</a>.*?</tr>", page, re.DOTALL)[0]
    assert "unpriced" in row
    assert "$0<" not in page
    assert ">which, and why</a>" in page


@pytest.mark.parametrize("exact_calls", [10_000, -1])
async def test_plans_use_an_index(database, monkeypatch, exact_calls):
    """No pass over all calls, whatever is asked."""
    monkeypatch.setattr(sums, "EXACT_CALLS", exact_calls)
    seen = []
    db = sqlite3.connect(database)
    db.set_trace_callback(seen.append)
    for filters in ({}, {"provider": "openai"}, {"agent": "a"}, {"model": "m", "agent": "a"}):
        for range_ in ("today", "90d"):
            load(db, asked_of(filters | {"range": range_}, TODAY))
    db.set_trace_callback(None)
    assert len(seen) > 20
    for statement in seen:
        for *_, step in db.execute("explain query plan " + statement):
            scans = step.startswith("SCAN llm_calls") and "limit 1" not in statement
            assert not scans or "COVERING INDEX" in step, (step, statement)


async def test_hostile_names_are_inert(database, headers, serve):
    fill(
        database,
        call(1, model=HOSTILE, agent_id=HOSTILE, provider="</option>'\"", cost_nano_usd=1),
        call(2, model="=cmd|' /C calc'!A0", response_model=HOSTILE, error_message=HOSTILE,
             params={"stop": HOSTILE}, tool_names=[HOSTILE], cost_nano_usd=5),
    )  # fmt: skip
    served = serve(database)
    paths = (
        COSTS, f"{COSTS}?provider=%3Cscript%3Ealert(1)%3C/script%3E&agent=%22%3E%3Cimg%3E",
        "/data/llm_calls", "/data/llm_calls/call-2", "/data/slowest_calls",
        "/data/tokens_per_agent",
    )  # fmt: skip
    for path in paths:
        answer = await served.client.get(path, headers=headers)
        assert answer.status_code == 200
        page = Page(answer.text)
        for tag, attributes in page.tags:
            assert "onerror" not in attributes, (path, tag)
        assert not [tag for tag, _ in page.tags if tag == "img"], path
        assert 'alert("x")</script>' not in answer.text, path
    page = Page((await served.client.get(COSTS, headers=headers)).text)
    for tag, attributes in page.tags:
        if tag == "script":
            own = attributes.get("src", "").startswith("/-/agenttrace/static/")
            assert own or attributes.get("type") == "application/json"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


async def test_our_page_allows_no_script_but_our_files(ask):
    answer = await ask(COSTS)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", answer.text)


async def test_the_page_can_be_read(ask):
    answer = await ask(COSTS)
    page = Page(answer.text)
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags].count("main") == 1
    assert [tag for tag, _ in page.tags].count("h1") == 1
    labelled = re.findall(r"<label>[^<]+<(?:input|select)", answer.text)
    assert len(labelled) == 6
    for chart in ("plot-cost", "plot-tokens", "plot-calls", "plot-latency", "plot-errors"):
        assert f'id="{chart}"' in answer.text
    assert answer.text.count("<svg viewBox") == 5, "charts are there without JavaScript"
    drawn = re.search(r'id="costs-data">(.*?)</script>', answer.text, re.DOTALL)[1]
    assert json.loads(drawn)["step"] == "day"


async def test_links_lead_somewhere(ask):
    page = (await ask(f"{COSTS}?range=7d&provider=openai")).text
    links = {link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="(/[^"#]*)', page)}
    assert len(links) > 10
    for link in links:
        assert (await ask(link)).status_code in (200, 302), link
    failed = next(link for link in links if "outcome=failed" in link)
    calls = (await ask(failed.replace("/calls?", "/calls.json?"))).json()["calls"]
    assert {one["id"] for one in calls} == {"call-5", "call-6"}


async def test_rows_lead_to_what_they_are_about(ask):
    """A model and a day to their own figures and to their calls; the other filters stay."""
    page = (await ask(f"{COSTS}?range=7d&provider=openai")).text

    def linked(words):
        return html.unescape(re.search(f'href="([^"]+)">{words}</a>', page)[1])

    async def calls(address):
        said = (await ask(address.replace("/calls?", "/calls.json?"))).json()["calls"]
        return {one["id"] for one in said}

    m2 = linked("m2-real")
    assert m2 == "?range=7d&provider=openai&model=m2-real"
    assert (await ask(f"{COSTS}.json{m2}")).json()["totals"]["calls"] == 1
    assert await calls(f"/-/agenttrace/calls{m2}") == {"call-4"}
    assert f'href="/-/agenttrace/calls{html.escape(m2)}">1</a>' in page
    day = linked("2026-11-14")
    assert day == "?provider=openai&from=2026-11-14&to=2026-11-14"
    assert (await ask(f"{COSTS}.json{day}")).json()["step"] == "hour"
    assert await calls(f"/-/agenttrace/calls{day}") == {"call-14"}
    assert f'href="/-/agenttrace/calls{html.escape(day)}">1</a>' in page
    agents = (await ask(f"{COSTS}?range=7d&provider=openai&by=agent")).text
    assert 'href="/-/agenttrace/calls?range=7d&amp;provider=openai&amp;agent=a">1</a>' in agents


async def test_links_to_a_model_and_a_day_keep_what_spend_is_stacked_by(ask):
    page = (await ask(f"{COSTS}?range=7d&by=agent")).text
    assert 'href="?range=7d&amp;by=agent&amp;provider=openai&amp;model=m1">m1</a>' in page
    assert 'href="?by=agent&amp;from=2026-11-14&amp;to=2026-11-14">2026-11-14</a>' in page


async def test_many_unpriced_are_told_in_one_form(database, headers, serve):
    fill(database, *(call(n) for n in range(1_200)), call(1_200, cost_nano_usd=5))
    page = (await serve(database).client.get(f"{COSTS}?by=provider", headers=headers)).text
    assert page.count("+ 1,200 unpriced") >= 3, "by provider, by model, in all"
    assert "1200" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


async def test_nothing_recorded_says_what_to_do(database, headers, serve):
    page = (await serve(database).client.get(COSTS, headers=headers)).text
    assert "agenttrace-mitm demo" in page
    assert "agenttrace-mitm run --" in page
    assert "vega" not in page


async def test_nothing_in_this_time_leads_on(ask):
    page = (await ask(f"{COSTS}?from=2020-01-01&to=2020-01-31")).text
    assert "No calls in this time" in page
    assert "range=90d" in page


async def test_too_slow_is_said(recorded, headers, serve, monkeypatch):
    served = serve(recorded)
    await served.invoke_startup()

    def interrupted(*_):
        raise sqlite3.OperationalError("interrupted")

    monkeypatch.setattr("datasette_agenttrace.costs.load", interrupted)
    page = await served.client.get(COSTS, headers=headers)
    assert page.status_code == 503
    assert "took longer" in page.text
    assert (await served.client.get(f"{COSTS}.json", headers=headers)).status_code == 503


async def test_failures_are_coloured_as_on_the_other_pages(ask):
    assert re.search(r'<dt>Failed</dt><dd class="at-warn">', (await ask(COSTS)).text)
    assert "<dt>Failed</dt><dd>" in (await ask(f"{COSTS}?provider=mistral")).text
