"""The Latency page: percentiles, pace, incidents and limits."""

import html
import random
import re
import sqlite3

import pytest

from benchmarks import bulk
from datasette_agenttrace import sums
from datasette_agenttrace.asking import asked_of
from datasette_agenttrace.latency import queries
from datasette_agenttrace.latency.queries import load
from datasette_agenttrace.sums import quantile
from tests.datasette_agenttrace.scene import HOSTILE, NOON, TODAY, Page, call, fill

pytestmark = pytest.mark.usefixtures("noon")

LATENCY = "/-/agenttrace/latency"
MINUTE_US = 60_000_000


@pytest.fixture
def ask(database, headers, serve):
    async def asked(query=""):
        return await serve(database).client.get(LATENCY + query, headers=headers)

    return asked


async def test_percentiles_are_those_of_plain_sql(database, ask):
    bulk.build(database, 900, days=80, end_us=NOON)
    found = (await ask(".json?range=90d")).json()
    db = sqlite3.connect(database)
    assert len(found["models"]) == 9
    for one in found["models"]:
        times = db.execute(
            "select latency_ms from llm_calls where coalesce(response_model, model) = ?"
            " order by latency_ms",
            (one["model"],),
        ).fetchall()
        assert one["calls"] == len(times)
        for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)):
            assert one[name] == quantile([(ms, 1) for (ms,) in times], share)
        rates = db.execute(
            "select tokens_out * 1000.0 / (latency_ms - ttft_ms) from llm_calls"
            " where outcome = 'ok' and response_model = ?",
            (one["model"],),
        ).fetchall()
        assert one["paced"] == len(rates)
        assert one["tokens_per_second"] == quantile([(rate, 1) for (rate,) in rates], 0.5)
    refused = db.execute(
        "select count(*) from llm_calls where status_code = 429 or status_code >= 500"
    ).fetchone()[0]
    assert sum(sum(counts) for counts in found["refused"].values()) == refused > 5
    assert sum(one["calls"] for one in found["incidents"]) <= refused
    assert len(found["courses"]) == 6
    assert all(len(one["p95_ms"]) == 90 for one in found["courses"])


def test_many_calls_have_near_percentiles(database, monkeypatch):
    bulk.build(database, 800, days=80, end_us=NOON)
    db = sqlite3.connect(database)
    asked = asked_of({"range": "90d"}, TODAY)
    exact = load(db, asked, NOON)
    monkeypatch.setattr(sums, "EXACT_CALLS", 1)
    rough = load(db, asked, NOON)
    assert (exact.latency_is_exact, rough.latency_is_exact) == (True, False)
    for one, other in zip(exact.models, rough.models, strict=True):
        assert other.p99_ms == pytest.approx(one.p99_ms, rel=0.026)
        assert other.tokens_per_second == one.tokens_per_second


async def test_refusals_close_together_are_an_incident(database, ask):
    def refused(number, minutes_ago, **said):
        at = NOON - minutes_ago * MINUTE_US
        return call(number, started_us=at, outcome="error", **said)

    fill(
        database,
        refused(1, 90, status_code=429), refused(2, 80, status_code=429, model="m2"),
        refused(3, 79, status_code=529), refused(4, 60, status_code=429),
        refused(5, 10, status_code=500), refused(6, 9, status_code=400),
        refused(7, 5, status_code=200, error_type="overloaded_error", provider="anthropic"),
        refused(8, 4, status_code=429, kind="telemetry"),
    )  # fmt: skip
    found = (await ask(".json?range=today")).json()
    said = [
        (one["provider"], one["trouble"], one["calls"], one["lasted_ms"], one["models"])
        for one in found["incidents"]
    ]
    assert said == [
        ("anthropic", "overloaded", 1, 0, ["m1"]),
        ("openai", "server error", 1, 0, ["m1"]),
        ("openai", "rate limited", 1, 0, ["m1"]),
        ("openai", "overloaded", 1, 0, ["m1"]),
        ("openai", "rate limited", 2, 600_000, ["m1", "m2"]),
    ]
    assert {name: sum(many) for name, many in found["refused"].items()} == {
        "overloaded": 2, "rate limited": 3, "server error": 1,
    }  # fmt: skip


async def test_limits_are_the_newest_told(database, ask):
    def told(number, **limits):
        return call(number, ended_us=NOON - 1_000_000 * (10 - number), rate_limit=limits)

    fill(
        database,
        told(1, requests={"limit": 100, "remaining": 1}),
        told(2, requests={"limit": 100, "remaining": 40, "reset_s": 3600}, tokens={"limit": 0}),
        call(3, provider="anthropic", model="c", ended_us=NOON - 60_000_000, rate_limit={
            "unified": {"status": "allowed", "5h": {"utilization": 0.97, "reset_at": 2e9}},
            "tokens": {"limit": 10, "remaining": 9, "reset_s": 5}, "odd": {"limit": "a"},
        }),
        call(4, provider="mistral", rate_limit=None),
    )  # fmt: skip
    found = (await ask(".json?range=today")).json()["limits"]
    said = [(one["provider"], one["meter"], round(one["left"], 2), one["over"]) for one in found]
    assert said == [
        ("anthropic", "unified 5h", 0.03, False),
        ("openai", "requests", 0.4, False),
        ("anthropic", "tokens", 0.9, True),
    ]
    page = (await ask("?range=today")).text
    assert "40%" in page and "already reset" in page
    only = (await ask(".json?range=today&provider=openai")).json()["limits"]
    assert {one["provider"] for one in only} == {"openai"}


async def test_an_agent_shares_the_limits_of_its_models(database, ask):
    """They are the account's, as whoever's answers told them; others' models say nothing of it."""
    limit = {"requests": {"limit": 100, "remaining": 40}}
    fill(
        database,
        call(1, agent_id="a", model="m1", ended_us=NOON),
        call(2, agent_id="b", model="m1", ended_us=NOON, rate_limit=limit),
        call(3, agent_id="b", model="m2", ended_us=NOON, rate_limit=limit),
        call(4, agent_id="c", model=None, ended_us=NOON, rate_limit=limit),
    )
    for agent, models in (
        ("", {"m1", "m2", ""}), ("a", {"m1"}), ("b", {"m1", "m2"}), ("c", {""})
    ):  # fmt: skip
        found = (await ask(f".json?range=today&agent={agent}")).json()["limits"]
        assert {one["model"] for one in found} == models, agent
    assert "of the whole account" in (await ask("?range=today&agent=a")).text
    assert "of the whole account" not in (await ask("?range=today")).text


async def test_the_page_runs_no_foreign_script(database, ask):
    assert "agenttrace-mitm demo" in (await ask()).text
    fill(
        database,
        call(
            1, model=HOSTILE, provider=HOSTILE, rate_limit={HOSTILE: {"limit": 2, "remaining": 1}}
        ),
        call(2, outcome="error", status_code=500, error_type=HOSTILE, model=HOSTILE),
    )
    for query in ("", "?range=90d&model=%3Cimg%3E", "?from=2020-01-01&to=2020-01-02"):
        answer = await ask(query)
        assert answer.status_code == 200
        page = Page(answer.text)
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert not [tag for tag, _ in page.tags if tag == "img"]
        assert not [1 for _, attributes in page.tags if "style" in attributes]
        assert 'alert("x")</script>' not in answer.text


def test_no_more_refusals_are_read_than_the_shown_incidents_have():
    """And these are the newest of all that there were."""
    chosen = random.Random(5)
    minutes = sorted(chosen.sample(range(15_000), 3_000), reverse=True)
    refusals = [
        (minute * 60_000_000, chosen.choice(("openai", "mistral")), chosen.choice(("a", "b", "")),
         chosen.choice(("rate limited", "overloaded")), str(number))
        for number, minute in enumerate(minutes)
    ]  # fmt: skip
    runs: dict[tuple[str, str], list[list[int]]] = {}
    for at_us, provider, _, trouble, _ in refusals:
        of_key = runs.setdefault((provider, trouble), [])
        if not of_key or of_key[-1][-1] - at_us > queries.QUIET_US:
            of_key.append([])
        of_key[-1].append(at_us)
    expected = sorted(
        ((run[0], run[-1], len(run), *key) for key, some in runs.items() for run in some),
        key=lambda run: -run[0],
    )[: queries.SHOWN_INCIDENTS]
    assert max(calls for _, _, calls, *_ in expected) > 5
    rows = iter(refusals)
    found = [
        (one.last_us, one.first_us, one.calls, one.provider, one.trouble)
        for one in queries._incidents(rows)
    ]
    assert found == expected
    assert len(list(rows)) > 1_000


@pytest.mark.parametrize("query", ["", "?provider=anthropic", "?model=m2&agent=a", "?range=today"])
async def test_the_newest_calls_as_sql_are_those_of_the_page(database, ask, headers, serve, query):
    """Filters and time are filled in."""
    of = [("anthropic", "m2", "a"), ("anthropic", "m1", "a"), ("openai", "m2", "b")] * 2
    fill(database, *(
        call(n, provider=provider, model=model, agent_id=agent, latency_ms=5.0,
             started_us=NOON - n // 4 * 86_400_000_000)
        for n, (provider, model, agent) in enumerate(of, 1)
    ))  # fmt: skip
    page = (await ask(query)).text
    link = html.unescape(re.search(r'as <a href="([^"]+)">SQL</a>', page)[1]).partition("#")[0]
    link = link.replace("/data?", "/data.json?_shape=array&")
    found = (await serve(database).client.get(link, headers=headers)).json()
    assert len(found) == (await ask(f".json{query}")).json()["totals"]["calls"] > 0
    assert len({one["id"] for one in found}) == len(found)


async def test_the_page_leads_to_the_slowest_calls_of_its_time_and_filter(database, ask):
    fill(database, call(1, provider="openai", latency_ms=5.0))
    page = html.unescape((await ask("?provider=openai&range=7d")).text)
    assert "/-/agenttrace/calls?range=7d&provider=openai&sort=slowest" in page


@pytest.mark.parametrize("models, said", [(6, ""), (8, ", the 6 most called of 8")])
async def test_models_that_are_not_drawn_are_told_of(database, ask, models, said):
    fill(database, *(call(n, model=f"m{n}", latency_ms=5.0) for n in range(1, models + 1)))
    assert f"95th percentile by model{said}</h2>" in (await ask()).text
