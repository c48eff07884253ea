"""The API: what it answers, to whom, and that its description is true."""

import gzip
import io
import itertools
import json
import sqlite3
import sys
from urllib.parse import quote

import pytest

from agenttrace_mitm import clock, health
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import Record
from agenttrace_mitm.settings import Settings
from agenttrace_mitm.store import (
    histograms,
    open_database,
    queries,
    rollups,
    session_sums,
    tokens,
)
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace import bills, site
from datasette_agenttrace.api import ENDPOINTS, counted
from datasette_agenttrace.api.events import Bucket
from datasette_agenttrace.api.openapi import described
from tests.datasette_agenttrace.test_costs import CALLS, NOON, call, fill
from tests.ingest.test_events import CALL, Recorder
from tests.support import records, sample_db
from tests.support.records import message


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr(clock, "now_us", lambda: NOON + 1000)


@pytest.fixture
def api(database, headers, serve):
    return Api(serve(database).client, headers)


class Api:
    def __init__(self, client, headers) -> None:
        self.client, self.headers = client, headers

    async def __call__(self, path, status=200, method="GET", **options):
        said = {"headers": self.headers | options.pop("headers", {}), **options}
        answer = await self.client.request(method, f"/api{path}", **said)
        assert answer.status_code == status, answer.text
        return answer.json()


# ------------------------------------------------------------------ who may


SCOPED = [
    ("read", "GET", "/api/events", 200), ("read", "POST", "/api/alerts", 403),
    ("read", "POST", "/api/events", 403), ("read", "GET", "/-/agenttrace/costs", 200),
    ("ingest", "GET", "/api/events", 403), ("ingest", "GET", "/data.json", 403),
    ("ingest", "GET", "/api/stream", 403), ("ingest", "GET", "/api/openapi.json", 403),
    ("ingest", "GET", "/api", 403), ("read", "GET", "/api", 200),
    ("ingest", "POST", "/api/events", 503), ("admin", "GET", "/api/events", 200),
    ("read", "DELETE", "/api/traces/x", 403), ("admin", "DELETE", "/api/traces/x", 404),
    ("admin", "DELETE", "/api/alerts/x", 404), ("read", "DELETE", "/api/alerts/x", 403),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "method", "path", "status"), SCOPED)
async def test_a_token_is_good_for_its_scope(database, token, serve, scope, method, path, status):
    named = tokens.create(database, "bot", [scope])
    client = serve(database).client
    for headers in ({"authorization": f"Bearer {named}"}, {"x-api-key": named}):
        body = {"json": CALL} if method == "POST" else {}
        answer = await client.request(method, path, headers=headers, **body)
        assert answer.status_code == status


def test_no_token_is_called_what_the_audit_calls_the_access_token(database):
    with pytest.raises(StoreError, match="'owner' is what the audit calls the access token"):
        tokens.create(database, "owner", ["read"])
    assert tokens.all_tokens(database) == []


async def test_a_revoked_token_is_good_for_nothing(database, token, serve):
    named = tokens.create(database, "bot", ["read"])
    client = serve(database).client
    headers = {"x-api-key": named}
    assert (await client.get("/api/health", headers=headers)).status_code == 200
    assert tokens.all_tokens(database)[0].used_us
    tokens.revoke(database, "bot")
    assert (await client.get("/api/health", headers=headers)).status_code == 401
    assert named.encode() not in database.read_bytes()
    assert (await client.get("/api/health")).status_code == 401
    assert (await client.get("/api/health", headers={"x-api-key": "at_x"})).status_code == 401


async def test_writes_are_remembered_with_a_name(database, api):
    rule = {"name": "r", "type": "loop"}
    await api("/alerts", 201, "POST", json=rule)
    await api("/alerts", 409, "POST", json=rule)
    rows = sqlite3.connect(database).execute("select who, method, path, status_code from audit")
    assert rows.fetchall() == [
        ("owner", "POST", "/api/alerts", 201), ("owner", "POST", "/api/alerts", 409),
    ]  # fmt: skip


# ------------------------------------------------------------------ events


@pytest.fixture
async def recording(database, headers, serve):
    """A Datasette of our own server, with a recorder behind it."""
    home = database.parent
    (home / "run").mkdir()
    async with Recorder(home) as recorder:
        recorder.server.close()
        await recorder.service.listen(home / "run" / "recorder.sock")
        served = serve(database)
        settings = Settings(home=home, ingest_per_minute=500)
        site.announce(served, site.Server(home / "token", settings=settings))
        yield Api(served.client, headers)


async def test_events_come_back_as_calls_with_a_price(recording, database):
    said = await recording("/events", method="POST", json=CALL)
    assert said["status"] == "ok"
    again = await recording("/events", method="POST", json={"events": [CALL, CALL]})
    assert set(again["event_ids"]) == set(said["event_ids"])
    (event,) = (await recording("/events?agent_id=bot"))["events"]
    assert event["id"] == said["event_ids"][0]
    assert event["cost_usd"] == 0.0035
    assert event["tokens_total"] == 1100
    assert event["timestamp"] == "2026-11-20T10:00:00.000Z"


async def test_partial_and_wrong_batches(recording):
    bad = CALL | {"tokens_in": "many"}
    said = await recording("/events", 207, "POST", json=[CALL, bad])
    assert said["status"] == "partial"
    assert [one["success"] for one in said["results"]] == [True, False]
    assert (await recording("/events", 400, "POST", json=bad))["status"] == "error"
    for wrong in ([], 7, {"events": []}, {"events": [CALL], "more": 1}, [CALL] * 1001):
        await recording("/events", 400, "POST", json=wrong)


async def test_compressed_and_oversized_bodies(recording):
    send = {"method": "POST", "headers": {"content-encoding": "gzip"}}
    await recording("/events", 200, content=gzip.compress(json.dumps(CALL).encode()), **send)
    await recording("/events", 400, content=b"no gzip", **send)
    await recording("/events", 413, content=gzip.compress(b" " * 6_000_000), **send)
    await recording("/events", 413, "POST", content=b" " * 6_000_000)
    await recording("/events", 400, "POST", content=b"{")
    await recording("/events", 415, "POST", content=b"x", headers={"content-encoding": "br"})


async def test_agents_that_say_that_they_are_there(recording):
    await recording("/agents/register", method="POST", json={"agent_id": "a", "name": "mine"})
    agents = await recording("/agents")
    assert agents["agents"][0]["last_heartbeat_at"] is None
    await recording("/agents/heartbeat", method="POST", json={"agent_id": "a"})
    agent = await recording("/agents/a")
    assert agent["status"] == "healthy"
    assert agent["last_heartbeat_at"]
    assert (await recording("/events?event_type=heartbeat"))["events"][0]["agent_id"] == "a"
    await recording("/agents/nobody", 404)
    await recording("/agents/" + quote("\U0001f469" * 256), 404)


async def test_too_many_events_are_told_to_wait(recording):
    items = [CALL | {"id": f"n{n}"} for n in range(500)]
    await recording("/events", method="POST", json=items)
    said = await recording("/events", 429, "POST", json=items[:100])
    assert 0 < said["retry_after_ms"] <= 12_001


def test_a_batch_larger_than_a_minute_is_not_refused_for_ever():
    now = [0.0]
    bucket = Bucket(100, clock=lambda: now[0])
    assert bucket.take(250) == 0
    wait_ms = bucket.take(100)
    now[0] += wait_ms / 1000
    assert bucket.take(100) == 0
    assert wait_ms == pytest.approx(150_000, abs=2)


async def test_without_a_recorder_events_are_told_to_come_later(database, headers, serve):
    served = serve(database)
    site.announce(
        served, site.Server(database.parent / "token", settings=Settings(home=database.parent))
    )
    answer = await served.client.post("/api/events", json=CALL, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"


async def test_events_page_by_page_are_all_of_them_once(database, api):
    fill(database, *CALLS)
    db = sqlite3.connect(database)
    for n in range(7):
        db.execute("insert into events (id, at_us, agent_id, type) values (?, ?, 'a', 'custom')",
                   (f"e{n}", NOON - n * 3600 * 10**6))  # fmt: skip
    db.commit()
    seen, cursor = [], ""
    while True:
        page = await api(f"/events?limit=3&cursor={cursor}")
        seen += page["events"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    ids = {one.id for one in CALLS if one.kind in ("llm", "auxiliary")} | {
        f"e{n}" for n in range(7)
    }
    assert len(seen) == len(ids)
    assert {one["id"] for one in seen} == ids
    assert [one["at_us"] for one in seen] == sorted((one["at_us"] for one in seen), reverse=True)


async def test_a_day_that_ends_something_is_included_whole(database, api):
    """`to=2026-11-20` once dropped that day."""
    fill(database, call(1), call(2, days_ago=1), call(3, days_ago=2))

    async def ids(query):
        return [one["id"] for one in (await api(f"/events?{query}"))["events"]]

    assert await ids("from=2026-11-19&to=2026-11-20") == ["call-1", "call-2"]
    assert await ids("to=2026-11-19") == ["call-2", "call-3"]
    assert await ids("from=2026-11-20T13:00:00%2B01:00") == ["call-1"]
    assert await ids("from=2026-11-20T12:00:00.000002Z") == []


async def test_every_filter_filters(database, api):
    fill(
        database,
        call(1, agent_id="a", session_id="s", trace_id="t" * 32, error_message="100% bad_thing"),
        call(2, provider="other", model="m2", outcome="error"),
    )
    for query, ids in (
        ("agent_id=a", ["call-1"]), ("session_id=s", ["call-1"]), ("provider=other", ["call-2"]),
        (f"trace_id={'t' * 32}", ["call-1"]), ("model=m2", ["call-2"]),
        ("outcome=error", ["call-2"]), ("search=100%25 bad_", ["call-1"]),
        ("search=badXthing", []), ("event_type=heartbeat", []),
        ("event_type=heartbeat&provider=other", []),
    ):  # fmt: skip
        assert [one["id"] for one in (await api(f"/events?{query}"))["events"]] == ids, query


async def test_an_export_may_be_parquet(database, api, headers):
    parquet = pytest.importorskip("pyarrow.parquet")  # an optional extra
    fill(database, *(call(n, tags={"k": [n]}, tokens_in=n) for n in range(1, 1203)))
    listed = (await api("/events?limit=10000"))["events"]
    answer = await api.client.get("/api/events/export?format=parquet", headers=headers)
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(io.BytesIO(answer.content))
    types = {name: str(table.schema.field(name).type) for name in ("id", "at_us", "cost_usd")}
    assert types == {"id": "string", "at_us": "int64", "cost_usd": "double"}
    rows = [row | {"tags": row["tags"] and json.loads(row["tags"])} for row in table.to_pylist()]
    assert rows == listed
    none = await api.client.get(
        "/api/events/export?format=parquet&agent_id=nobody", headers=headers
    )
    assert parquet.read_table(io.BytesIO(none.content)).num_rows == 0


async def test_parquet_without_its_package_is_said(api, headers, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await api.client.get("/api/events/export?format=parquet", headers=headers)
    assert answer.status_code == 501
    assert "pip install" in answer.json()["remedy"]


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl"])
async def test_exports_hold_what_the_list_holds(database, api, headers, format_):
    import csv

    fill(database, *(call(n, tags={"k": [n]}, agent_id='a,"b"') for n in range(1, 1203)))
    listed = (await api("/events?limit=10000"))["events"]
    answer = await api.client.get(f"/api/events/export?format={format_}", headers=headers)
    assert "attachment" in answer.headers["content-disposition"]
    match format_:
        case "csv":
            rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
            assert rows[0]["agent_id"] == 'a,"b"'
        case "json":
            rows = answer.json()["events"]
            assert rows == listed
        case _:
            rows = [json.loads(line) for line in answer.text.splitlines()]
            assert rows == listed
    assert [row["id"] for row in rows] == [row["id"] for row in listed]
    assert len(rows) == 1202
    none = await api.client.get(
        f"/api/events/export?format={format_}&agent_id=nobody", headers=headers
    )
    assert "call-" not in none.text
    assert (
        await api.client.get("/api/events/export?format=xml", headers=headers)
    ).status_code == 400


# ------------------------------------------------------------------ sums


async def test_totals_equal_sql(database, api):
    sample_db.build(database, end_us=NOON, days=20, calls_a_day=40)
    db = sqlite3.connect(database)
    said = await api("/stats/summary?range=7d")
    since = NOON + 1000 - 7 * 86_400 * 10**6
    row = db.execute(
        """
        select count(*), sum(tokens_in), sum(cost_nano_usd) / 1e9,
               sum(outcome in ('error', 'interrupted'))
        from llm_calls where started_us >= ?
        """,
        (since,),
    ).fetchone()
    assert (said["calls"], said["tokens_in"], said["cost_usd"], said["failed"]) == row
    assert said["calls"] == sum(one["calls"] for one in said["by_model"])
    assert said["error_rate"] == pytest.approx(row[3] / row[0])
    for bucket in ("hour", "day"):
        series = (await api(f"/stats/timeseries?range=7d&bucket={bucket}"))["series"]
        assert sum(step["calls"] for step in series) == row[0]
        assert sum(step["tokens_in"] or 0 for step in series) == row[1]
    mine = await api("/stats/claude-code?range=7d")
    sql = "select count(*) from llm_calls where started_us >= ? and agent_id = 'claude-code'"
    assert mine["calls"] == db.execute(sql, (since,)).fetchone()[0]


async def test_a_series_from_the_beginning_begins_with_the_first_call(database, api):
    """Without `from`: all of it, or the word that it is too long; never the oldest part alone."""
    minute, days = 60_000_000, 86_400_000_000
    fill(
        database,
        *(call(n, started_us=NOON - n * minute, agent_id="new", provider="openai")
          for n in range(1, 4)),
    )  # fmt: skip
    series = "/stats/timeseries?range=custom&bucket=minute"
    assert sum(step["calls"] for step in (await api(series))["series"]) == 3
    fill(database, call(9, started_us=NOON - 4 * days, agent_id="old", provider="old"))
    refused = await api(series, 400)
    assert "more than 5,000 steps" in refused["error"]
    assert (await api(f"{series}&to=2026-11-30", 400)) == refused
    for narrower in ("agent_id=new", "provider=openai", "agent_id=nobody", "from=2026-11-20"):
        await api(f"{series}&{narrower}")
    hours = (await api("/stats/timeseries?range=custom&bucket=hour"))["series"]
    assert sum(step["calls"] for step in hours) == 4


async def test_failed_and_unpriced_mean_the_same_everywhere(database, api):
    """What its client cancelled did not fail; what nobody could price is in no sum of costs."""
    ended = [
        ("ok", {"cost_nano_usd": 5, "usage_source": "reported"}),
        ("ok", {"usage_source": "reported"}),
        ("cancelled", {"usage_source": "none"}),
        ("error", {"usage_source": "none"}),
        ("interrupted", {"usage_source": "partial", "cost_nano_usd": 2}),
    ]
    for n, (outcome, given) in enumerate(ended):
        one = records.call(
            id=f"one-{n}", started_us=NOON - n, session_id="s", trace_id="t", outcome=outcome,
            **given,
        )  # fmt: skip
        db = open_database(database).conn
        write_record(db, Record(call=one))
        db.close()
    expected = (5, 2, 2)
    total = queries.totals(database)[0]
    assert (total.calls, total.errors, total.unpriced) == expected
    gate = session_sums.sums(database, "s")
    assert (gate.calls, gate.errors, gate.unpriced) == expected
    said = await api("/stats/summary?range=7d")
    assert (said["calls"], said["failed"], said["unpriced"]) == expected
    [step] = (await api("/stats/timeseries?range=24h&bucket=day"))["series"]
    assert (step["calls"], step["failed"]) == expected[:2]
    costs = await api.client.get("/-/agenttrace/costs.json?range=7d", headers=api.headers)
    page = costs.json()["totals"]
    assert (page["calls"], page["failed"], page["unpriced"]) == expected
    db = open_database(database).conn
    bill = bills.bills(db, "session_id", ["s"])["s"]
    assert (bill.calls, bill.failed, bill.unpriced) == expected
    db.close()


@pytest.mark.parametrize("names", [[], ["agent_id"], ["provider", "model"]])
@pytest.mark.parametrize("step", ["hour", "day"])
def test_a_stretch_of_time_adds_up_from_rollups_and_its_ends(database, names, step):
    """Whatever it begins and ends at: each call of it once, no other, in its hour or day."""
    sample_db.build(database, end_us=NOON, days=4, calls_a_day=60)
    db = sqlite3.connect(database)
    rollups.can_add_histograms(db)
    hour, given = 3_600_000_000, {"agent_id": "claude-code", "provider": "openai"}
    given["model"] = db.execute(
        "select response_model from llm_calls where provider = 'openai' and response_model > ''"
    ).fetchone()[0]
    ends = (NOON - 70 * hour, NOON - 50 * hour + 1, NOON - 49 * hour - 1, NOON - 49 * hour, NOON)
    figures = "sum(calls), sum(tokens_in), sum(cost_nano_usd), sum(failed), sum(unpriced)"
    totals = []
    for since, until in itertools.combinations(ends, 2):
        at = "hour" if step == "hour" else "hour / 24"
        by = f"select {at}, {figures} from ({{}}) group by 1 order by 1"
        told = db.execute(by.format(counted.counted(since, until, names, step)), given).fetchall()
        plain = db.execute(by.format(counted.calls_of(since, until, names)), given).fetchall()
        assert told == plain
        totals.append(sum(row[1] for row in told))
        times = f"""
            select agenttrace_histograms(latencies), count(latency_ms)
            from ({counted.counted(since, until, names, step)})
        """
        stored, exact = db.execute(times, given).fetchone()
        assert sum(n for _, n in histograms.counts(histograms.unpack(stored))) + exact == totals[-1]
    assert max(totals) > 5
    nothing = counted.counted(NOON, NOON - 9, names, step)
    assert db.execute(f"select * from ({nothing})", given).fetchall() == []


async def test_no_calls_are_no_division_by_nothing(api):
    said = await api("/stats/summary")
    assert (said["calls"], said["error_rate"], said["cost_usd"]) == (0, None, None)


# ------------------------------------------------------------------ what is recorded


async def test_calls_one_by_one_and_in_pages(database, api):
    fill(database, *CALLS)
    page = await api("/calls?limit=10")
    rest = await api(f"/calls?limit=10&cursor={page['next_cursor']}")
    assert len(page["calls"]) + len(rest["calls"]) == len(CALLS)
    assert (await api("/calls/call-1"))["cost_nano_usd"] == 1_500_000
    assert [one["id"] for one in (await api("/calls?kind=count"))["calls"]] == ["call-10"]
    await api("/calls/nobody", 404)


async def test_a_session_that_goes_on_is_in_today(database, api):
    db = sqlite3.connect(database)
    db.execute("insert into sessions (session_id, started_us, ended_us) values ('s', ?, ?)",
               (NOON - 86_400 * 10**6, NOON))  # fmt: skip
    db.execute(
        "insert into traces (trace_id, started_us, ended_us) values ('t', ?, ?)", (NOON, NOON)
    )
    db.commit()
    assert len((await api("/sessions?from=2026-11-20"))["sessions"]) == 1
    assert (await api("/sessions/s"))["session_id"] == "s"
    assert (await api("/traces/t"))["trace_id"] == "t"
    assert (await api("/spans"))["spans"] == []
    stored = await api("/traces/t/feedback", method="POST", json={"score": 1, "label": "good"})
    row = db.execute("select id, score, label, who from feedback").fetchone()
    assert row == (stored["id"], 1.0, "good", "owner")
    await api("/traces/nobody/feedback", 404, "POST", json={"score": 1})


async def test_a_deleted_trace_is_gone_and_others_keep_their_words(database, api):
    db = sqlite3.connect(database)
    shared = message("shared words", 0)
    for number, trace in enumerate("aab"):
        said = (shared, message(f"only of {trace}", 1))
        one = records.call(id=f"c{number}", trace_id=trace, cost_nano_usd=5, started_us=NOON)
        write_record(db, Record(call=one, messages=said))
    db.execute("insert into traces (trace_id, started_us) values ('a', 1), ('b', 1)")
    db.execute("insert into feedback values ('f', 'a', 1, 'good', null, 'owner', 1)")
    db.execute("update llm_calls set outcome = 'in_flight' where id = 'c2'")
    db.commit()
    gone = await api("/traces/a", method="DELETE")
    assert gone["deleted"]["llm_calls"] == 2
    assert gone["deleted"]["messages"] == gone["deleted"]["feedback"] == 1
    texts = [row[0] for row in db.execute("select text from messages order by id")]
    assert texts == ["shared words", "only of b"]
    await api("/traces/a", 404)
    await api("/traces/a", 404, "DELETE")
    await api("/traces/b", 409, "DELETE")
    assert (await api("/stats/summary"))["calls"] == db.execute(
        "select count(*) from llm_calls where outcome <> 'in_flight'"
    ).fetchone()[0]
    rows = db.execute("select method, path, status_code from audit").fetchall()
    assert rows[0] == ("DELETE", "/api/traces/a", 200)


# ------------------------------------------------------------------ alerts


async def test_rules_through_the_api(api, database):
    rule = {"name": "daily", "type": "budget", "params": {"limit_usd": 5},
            "deliver": ["https://example.com/secret"]}  # fmt: skip
    made = await api("/alerts", 201, "POST", json=rule)
    assert made["deliver"] == ["webhook: https://example.com/..."]
    id_ = made["id"]
    changed = await api(f"/alerts/{id_}", method="PUT", json=rule | {"params": {"limit_usd": 9}})
    assert changed["params"] == {"limit_usd": 9.0}
    assert (await api(f"/alerts/{id_}/toggle", method="PATCH"))["enabled"] is False
    assert [one["name"] for one in (await api("/alerts"))["alerts"]] == ["daily"]
    assert (await api("/alert-history"))["history"] == []
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "params": {}})
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "deliver": ["command:rm -rf /"]})
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "deliver": ["nowhere"]})
    await api(f"/alerts/{id_}", method="DELETE")
    await api(f"/alerts/{id_}", 404)


# ------------------------------------------------------------------ the description


@pytest.mark.parametrize(
    ("path", "status", "method"),
    [
        ("/events?limit=0", 400, "GET"), ("/events?limit=x", 400, "GET"),
        ("/events?colour=red", 400, "GET"), ("/events?cursor=x", 400, "GET"),
        ("/calls?cursor=W10=", 400, "GET"), ("/events?from=soon", 400, "GET"),
        ("/health?x=1", 400, "GET"), ("/health", 405, "POST"), ("/alerts/x", 405, "POST"),
        ("/stats/timeseries?range=90d&bucket=minute", 400, "GET"),
    ],
)  # fmt: skip
async def test_mistakes_are_told(api, path, status, method):
    assert (await api(path, status, method))["error"]


async def test_the_description_is_served_and_readable(api, database, headers, serve):
    said = await api("/openapi.json")
    assert said == json.loads(json.dumps(described(ENDPOINTS)))
    assert said["openapi"] == "3.1.0"
    assert {(e.method.lower(), e.path) for e in ENDPOINTS} == {
        (method, path) for path, methods in said["paths"].items() for method in methods
    }
    page = await serve(database).client.get("/api", headers=headers)
    assert "POST /api/events" in page.text


def test_every_reference_leads_somewhere():
    said = described(ENDPOINTS)
    text = json.dumps(said)
    import re

    names = set(re.findall(r"#/components/schemas/([^\"]+)", text))
    assert {"Calls", "Problem", "Series"} <= names
    for name in names:
        assert name in said["components"]["schemas"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_every_endpoint_is_in_the_docs(endpoint):
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    assert f"| `{endpoint.method} {endpoint.path}` |" in page


async def test_health(database, api):
    fill(database, *CALLS)
    said = await api("/health")
    assert (said["status"], said["calls"]) == ("ok", len(CALLS))
    assert (said["recorder"], said["waiting_calls"]) == (None, None), "a plain Datasette"


async def test_health_says_why_it_is_degraded(database, headers, serve):
    """The recorder's own word, its silence, and that there is none."""
    home = database.parent
    served = serve(database)
    site.announce(served, site.Server(home / "token", settings=Settings(home=home)))
    api = Api(served.client, headers)
    said = await api("/health")
    assert (said["status"], said["recorder"]) == ("degraded", False)
    assert said["reasons"] == ["nothing records: no recorder runs"]
    run = home / "run"
    health.say(run, "recorder", {"spooled_calls": 0, "lag_seconds": 0.5})
    said = await api("/health")
    assert (said["status"], said["recorder"], said["reasons"]) == ("ok", True, [])
    figures = {"spooled_calls": 93, "lag_seconds": 40}
    health.say(run, "recorder", figures, trouble="the disk is full")
    said = await api("/health")
    assert said["status"] == "degraded"
    assert said["reasons"] == ["the disk is full: 93 calls wait in the spool"]
    assert (said["waiting_calls"], said["lag_seconds"]) == (93, 40)
