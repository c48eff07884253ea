"""The Costs page: its numbers, its words, and what it does with bad input."""

import datetime
import html
import json
import re
import sqlite3
from html.parser import HTMLParser

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.model import LlmCall, Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from benchmarks import bulk
from datasette_agenttrace import charts, figures, sums
from datasette_agenttrace.asking import DAY_US, asked_of
from datasette_agenttrace.costs.queries import costs_asked, load
from datasette_agenttrace.site import find
from datasette_agenttrace.sums import quantile
from tests.support import sample_db

TODAY = 20_777  # 2026-11-20
NOON = TODAY * DAY_US + DAY_US // 2
COSTS = "/-/agenttrace/costs"
HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr(clock, "now_us", lambda: NOON)


def call(number: int, days_ago: int = 0, **said) -> LlmCall:
    given = {
        "id": f"call-{number}", "started_us": NOON - days_ago * DAY_US + number, "kind": "llm",
        "provider": "openai", "host": "api.openai.com", "method": "POST", "path": "/v1/responses",
        "model": "m1", "outcome": "ok", "billing": "metered", "latency_ms": 100.0 * number,
    }  # fmt: skip
    return LlmCall(**(given | said))


CALLS = (
    call(1, cost_nano_usd=1_500_000, tokens_in=100, tokens_out=10, cache_read_tokens=40),
    call(2, cost_nano_usd=2_000_000, tokens_in=200, tokens_out=20, billing=None, agent_id="a"),
    call(3, cost_nano_usd=9_000_000, billing="subscription", tokens_in=7, kind="auxiliary"),
    call(4, model="m2", response_model="m2-real", tokens_in=5, unpriced_reason="unknown_model"),
    call(5, outcome="error", status_code=429, unpriced_reason="no_usage"),
    call(6, outcome="interrupted", cost_nano_usd=500_000, tokens_out=3),
    call(7, outcome="in_flight", latency_ms=None),
    call(8, outcome="cancelled", cost_nano_usd=250_000),
    call(9, duplicate_of="call-1", latency_ms=5.0),
    call(10, kind="count", cost_nano_usd=10**9),
    call(11, kind="admin", cost_nano_usd=10**9),
    call(12, kind="telemetry"),
    call(13, days_ago=3, provider="mistral", model="m3", cost_nano_usd=4_000_000, agent_id="b"),
    call(14, days_ago=6, cost_nano_usd=1_000_000),
    call(15, days_ago=7, cost_nano_usd=64_000_000),
)


def fill(path, *calls):
    db = open_database(path)
    for one in calls:
        write_record(db.conn, Record(call=one))
    db.close()


@pytest.fixture
def recorded(database):
    fill(database, *CALLS)
    return database


@pytest.fixture
def get(recorded, headers, serve):
    served = serve(recorded)

    async def got(path):
        return await served.client.get(path, headers=headers)

    return got


async def test_numbers_are_those_of_a_hand_computation(get):
    costs = (await get(f"{COSTS}.json?range=7d")).json()
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
        ("from=0001-01-01&to=9999-12-31", 12), ("from=9999-12-31", 9), ("agent=%00", 0),
    ],
)  # fmt: skip
async def test_ranges_and_filters(get, query, calls):
    answer = await get(f"{COSTS}.json?{query}")
    assert answer.status_code == 200
    assert answer.json()["totals"]["calls"] == calls
    assert (await get(f"{COSTS}?{query}")).status_code == 200


async def test_one_day_is_shown_by_the_hour(get):
    costs = (await get(f"{COSTS}.json?range=today")).json()
    assert costs["step"] == "hour"
    assert len(costs["steps"]) == 24
    assert next(step for step in costs["steps"] if step["calls"])["at"] == "2026-11-20T12:00Z"


@pytest.mark.parametrize("range_", ["today", "30d"])
async def test_many_calls_have_near_percentiles(database, monkeypatch, range_):
    """Buckets 5 % wide stand for calls too many to look at; all else stays exact."""
    sample_db.build(database, end_us=NOON, calls_a_day=60)
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


async def test_unpriced_is_never_nothing(get):
    page = (await get(f"{COSTS}?range=7d")).text
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


class Page(HTMLParser):
    """What a browser would run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[dict] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


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


async def test_our_page_allows_no_script_but_our_files(get):
    answer = await get(COSTS)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", answer.text)


async def test_the_page_can_be_read(get):
    answer = await get(COSTS)
    page = Page(answer.text)
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags].count("main") == 1
    assert [tag for tag, _ in page.tags].count("h1") == 1
    labelled = re.findall(r"<label>[^<]+<(?:input|select)", answer.text)
    assert len(labelled) == 6
    for chart in ("plot-cost", "plot-tokens", "plot-calls", "plot-latency", "plot-errors"):
        assert f'id="{chart}"' in answer.text
    assert answer.text.count("<svg") == 5, "charts are there without JavaScript"
    drawn = re.search(r'id="costs-data">(.*?)</script>', answer.text, re.DOTALL)[1]
    assert json.loads(drawn)["step"] == "day"


async def test_links_lead_somewhere(get):
    page = (await get(f"{COSTS}?range=7d&provider=openai")).text
    links = {link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="(/[^"#]*)', page)}
    assert len(links) > 10
    for link in links:
        assert (await get(link)).status_code in (200, 302), link
    failed = next(link for link in links if "outcome=failed" in link)
    calls = (await get(failed.replace("/calls?", "/calls.json?"))).json()["calls"]
    assert {one["id"] for one in calls} == {"call-5", "call-6"}


async def test_rows_lead_to_what_they_are_about(get):
    """A model and a day to their own figures and to their calls; the other filters stay."""
    page = (await get(f"{COSTS}?range=7d&provider=openai")).text

    def linked(words):
        return html.unescape(re.search(f'href="([^"]+)">{words}</a>', page)[1])

    async def calls(address):
        said = (await get(address.replace("/calls?", "/calls.json?"))).json()["calls"]
        return {one["id"] for one in said}

    m2 = linked("m2-real")
    assert m2 == "?range=7d&provider=openai&model=m2-real"
    assert (await get(f"{COSTS}.json{m2}")).json()["totals"]["calls"] == 1
    assert await calls(f"/-/agenttrace/calls{m2}") == {"call-4"}
    assert f'href="/-/agenttrace/calls{html.escape(m2)}">1</a>' in page
    day = linked("2026-11-14")
    assert day == "?provider=openai&from=2026-11-14&to=2026-11-14"
    assert (await get(f"{COSTS}.json{day}")).json()["step"] == "hour"
    assert await calls(f"/-/agenttrace/calls{day}") == {"call-14"}
    assert f'href="/-/agenttrace/calls{html.escape(day)}">1</a>' in page
    agents = (await get(f"{COSTS}?range=7d&provider=openai&by=agent")).text
    assert 'href="/-/agenttrace/calls?range=7d&amp;provider=openai&amp;agent=a">1</a>' in agents


async def test_links_to_a_model_and_a_day_keep_what_spend_is_stacked_by(get):
    page = (await get(f"{COSTS}?range=7d&by=agent")).text
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


async def test_nothing_in_this_time_leads_on(get):
    page = (await get(f"{COSTS}?from=2020-01-01&to=2020-01-31")).text
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


@pytest.mark.parametrize(
    "path",
    ["", "/llm_calls", "/messages", "/tool_calls", "/errors", "/unpriced", "/cost_by_day"],
)
async def test_core_pages_have_our_frame(recorded, headers, serve, path):
    answer = await serve(recorded).client.get("/data" + path, headers=headers)
    assert answer.status_code == 200
    assert '<html lang="en">' in answer.text
    assert answer.text.count("<main") == 1
    assert "agenttrace.css" in answer.text


def test_dates_are_days_of_utc():
    epoch = datetime.date(1970, 1, 1)
    asked = asked_of({"from": "2026-11-20"}, TODAY)
    assert asked.first_day == (datetime.date(2026, 11, 20) - epoch).days == TODAY
    assert (asked.first_date, asked.last_date) == ("2026-11-20", "2026-11-20")


def test_a_time_that_is_left_open_ends_where_it_is_said_to():
    asked = asked_of({"from": "", "to": "2026-11-10"}, TODAY)
    assert (asked.first_date, asked.last_date, asked.days) == ("2026-10-12", "2026-11-10", 30)
    asked = asked_of({"from": "2026-11-10"}, TODAY)
    assert (asked.first_date, asked.last_date) == ("2026-11-10", "2026-11-20")


def test_names_are_taken_as_they_are():
    assert asked_of({"agent": " lead", "model": " "}, TODAY).filters == {
        "agent": " lead",
        "model": " ",
    }


async def test_every_canned_query_runs(recorded, headers, serve):
    served = serve(recorded)
    site = find(served)
    assert site.database == "data"
    listed = (await served.client.get("/data.json", headers=headers)).json()["queries"]
    assert len(listed) >= 7
    for query in listed:
        answer = await served.client.get(f"/data/{query['name']}.json", headers=headers)
        assert answer.status_code == 200, answer.text
        assert (
            await served.client.get(f"/data/{query['name']}", headers=headers)
        ).status_code == 200
    unpriced = await served.client.get("/data/unpriced_calls.json?_shape=array", headers=headers)
    assert [(row["model"], row["calls"]) for row in unpriced.json()] == [("m2-real", 1)]


@pytest.mark.parametrize("by", ["provider", "agent", "project", "session", "prompt"])
@pytest.mark.parametrize("range_", ["today", "90d"])
async def test_stacks_add_up_to_all_spend(database, headers, serve, by, range_):
    bulk.build(database, 900, days=3, end_us=NOON)
    column = {"agent": "agent_id", "session": "session_id", "prompt": "prompt_id"}.get(by, by)
    address = f"{COSTS}.json?range={range_}&by={by}"
    costs = (await serve(database).client.get(address, headers=headers)).json()
    since = NOON // DAY_US * DAY_US if range_ == "today" else 0
    rows = (
        sqlite3.connect(database)
        .execute(
            f"select {column}, sum(cost_nano_usd), count(*), sum(tokens_in) from llm_calls"
            f" where started_us >= ? group by 1 order by 2 desc, 3 desc, 1",
            (since,),
        )
        .fetchall()
    )
    groups = costs["stack"]["groups"]
    assert [
        (one["name"], one["cost_nano_usd"], one["calls"], one["tokens_in"]) for one in groups
    ] == rows[:50]
    assert costs["stack"]["more"] == max(len(rows) - 50, 0)
    assert len(costs["stack"]["names"]) <= 8
    spent = sum(one["cost_usd"] for one in costs["stack"]["pieces"])
    assert spent == pytest.approx(costs["totals"]["cost_usd"])
    assert spent == pytest.approx(sum(row[1] or 0 for row in rows) / 1e9)
    page = (await serve(database).client.get(address.replace(".json", ""), headers=headers)).text
    assert f"Spend by {by}" in page
    assert f"by={by}" in page, "kept by the ranges"


async def test_an_unknown_stack_is_that_of_models(get):
    costs = (await get(f"{COSTS}.json?by=nonsense")).json()
    assert costs["stack"]["by"] == "model"
    assert [one["cost_usd"] for one in costs["stack"]["pieces"]] == [
        one["cost_usd"] for one in costs["spent"]
    ]


def test_a_spark_needs_something_to_show():
    assert charts.spark([], str) is charts.spark([0, None], str) is charts.spark([5], str) is None
    drawn = charts.spark([0, None, 10.0], str)
    assert drawn.line == "0.0,23.0 50.0,23.0 100.0,1.0"
    assert drawn.words == "up to 10.0, at last 10.0"


@pytest.mark.parametrize(
    "number, said", [(0, "0"), (2.5, "2.5"), (7.0, "7"), (12.4, "12"), (None, figures.UNKNOWN)]
)
def test_counts_below_ten_keep_a_half(number, said):
    assert figures.compact(number) == said


@pytest.mark.parametrize(
    "ms, said",
    [(99_900, "99.9 s"), (99_960, "1 m 40 s"), (3_599_400, "59 m 59 s"), (3_599_600, "1 h 0 m"),
     (91 * 60_000, "1 h 31 m"), (7_500_000, "2 h 5 m"), (47 * 3_600_000, "47 h 0 m"),
     (172_770_000, "2 d 0 h"), (310 * 3_600_000, "12 d 22 h")],
)  # fmt: skip
def test_long_spans_are_hours_and_days(ms, said):
    """And no line ends inside one."""
    assert figures.duration(ms) == said.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize("name", ["a\0b", "\ufffe'\"<b>", "ü" * 300])
@pytest.mark.parametrize("by", ["agent", "session"])
async def test_any_name_is_one_to_stack_by(database, headers, serve, by, name):
    """Also one that JSON or SQL would cut short."""
    fill(database, call(1, **{f"{by}_id": name}), call(2, **{f"{by}_id": name[:1]}))
    answer = await serve(database).client.get(f"{COSTS}.json?by={by}&range=90d", headers=headers)
    groups = {one["name"]: one["calls"] for one in answer.json()["stack"]["groups"]}
    assert groups == {name: 1, name[:1]: 1}


def test_the_sessions_that_are_listed_are_looked_up(database):
    """Sums are not made of those that are not shown."""
    fill(database, call(1, session_id="s"))
    db = sqlite3.connect(database)
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    load(db, costs_asked({"by": "session"}, TODAY))
    db.set_trace_callback(None)
    [statement] = [one for one in seen if "session_id in ('s')" in one]
    plan = [row[-1] for row in db.execute("explain query plan " + statement)]
    assert "SEARCH rollup_session USING PRIMARY KEY (day=? AND session_id=?)" in plan
    assert [one for one in seen if "with named" in one and "from rollup_spend" in one]


def test_a_name_keeps_its_colour():
    known = [f"m{n}" for n in range(8)]
    assert charts.colours(["m3", "m0"], known) == ["c3", "c0"]
    assert charts.colours(["m0", "m7", "m3"], known) == ["c0", "c7", "c3"]
    # Of nine, two have the same by their place: the dearer of them keeps it.
    many = [*known, "m8"]
    assert charts.colours(["m8", "m0", "m1"], many) == ["c0", "c1", "c2"]
    assert charts.colours(["m0", "m8"], many) == ["c0", "c1"]
    assert charts.colours(["a", "b"]) == ["c0", "c1"]
    assert len(set(charts.colours([f"x{n}" for n in range(8)], known))) == 8
    assert len(charts.colours([f"x{n}" for n in range(9)])) == 9


async def test_a_model_has_one_colour_on_all_pages_and_in_all_times(database, headers, serve):
    sample_db.build(database, end_us=NOON, days=30, calls_a_day=40)
    client = serve(database).client
    said = (await client.get(f"{COSTS}.json?range=90d", headers=headers)).json()
    models = set(said["choices"]["model"])
    found = {}
    for page in ("/costs", "/latency", ""):
        for time in ("7d", "30d", "90d"):
            html = (await client.get(f"/-/agenttrace{page}?range={time}", headers=headers)).text
            legends = re.findall(r'at-key at-(c\d)"></i>([^<]*)</li>', html)
            told = {name: colour for colour, name in legends if name in models}
            assert told
            for name, colour in told.items():
                found.setdefault(name, set()).add(colour)
    assert len(found) > 3
    assert {name: len(colours) for name, colours in found.items()} == dict.fromkeys(found, 1)
