"""What the API tells of calls, sums, sessions and traces, and exports."""

import io
import itertools
import json
import sqlite3
import sys

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import (
    histograms,
    open_database,
    queries,
    rollups,
    session_sums,
)
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace import bills
from datasette_agenttrace.api import counted
from tests.datasette_agenttrace.scene import CALLS, NOON, call, fill
from tests.support import records, sample_db

pytestmark = pytest.mark.usefixtures("noon")


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
