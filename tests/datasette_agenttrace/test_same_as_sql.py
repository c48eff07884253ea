"""The SQL that a list links to shows what the list shows, whatever it was asked for."""

from urllib.parse import urlencode, urlsplit

import pytest

from benchmarks import bulk
from datasette_agenttrace.sessions import queries as of_sessions
from datasette_agenttrace.traces import queries as of_traces
from tests.datasette_agenttrace.scene import NOON, Page, call, fill

pytestmark = pytest.mark.usefixtures("noon")

AGENT, RANGE = {"agent": "coder-payments"}, {"range": "90d"}
ASKED = (
    {}, AGENT | RANGE, {"range": "7d"}, {"provider": "openai"} | RANGE,
    {"agent": "nobody"} | RANGE,
    {"model": "claude-opus-4-5", "provider": "anthropic"} | AGENT | RANGE,
)  # fmt: skip
SUMS = ("calls", "failed", "tool_calls", "tokens_in", "tokens_out", "cost_nano_usd")


@pytest.fixture
def both(database, headers, serve):
    """Asks for a list, and for the SQL that it links to: what each of them shows."""
    bulk.build(database, 1_500, days=80, end_us=NOON)
    client = serve(database).client

    async def asked(name, **given):
        address = f"/-/agenttrace/{name}"
        page = Page((await client.get(f"{address}?{urlencode(given)}", headers=headers)).text)
        [link] = [at["href"] for tag, at in page.tags if tag == "a" and "?sql=" in at["href"]]
        parts = urlsplit(link)
        as_json = f"{parts.path}.json?{parts.query}&_shape=array"
        shown = (await client.get(f"{address}.json?{urlencode(given)}", headers=headers)).json()
        return shown, (await client.get(as_json, headers=headers)).json()

    return asked


def sums(one):
    return {name: one[name] or 0 for name in SUMS}


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.parametrize("asked", ASKED, ids=str)
async def test_traces(both, monkeypatch, asked, few):
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    for status in ("", "failed", "ok"):
        shown, rows = await both("traces", **asked, status=status)
        lines = shown["traces"]
        assert [row["trace_id"] for row in rows] == [line["trace_id"] for line in lines]
        assert [sums(row) for row in rows] == [sums(line["bill"]) for line in lines]
        for name in ("asked_for", "agent_id", "session_id", "duration_ms"):
            assert [row[name] for row in rows] == [line[name] for line in lines], name
        if status:
            assert all((row["outcome"] == "ok") == (status == "ok") for row in rows)
    if asked == AGENT | RANGE:
        assert 0 < len(lines) < of_traces.PAGE_SIZE


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.parametrize("asked", ASKED, ids=str)
async def test_sessions(both, monkeypatch, asked, few):
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    shown, rows = await both("sessions", **asked)
    lines = shown["sessions"]
    assert [row["session_id"] for row in rows] == [line["session_id"] for line in lines]
    assert [sums(row) for row in rows] == [sums(line["bill"]) for line in lines]
    assert [row["agent"] for row in rows] == [line["agent"] for line in lines]
    if asked == AGENT | RANGE:
        assert 0 < len(lines) < of_sessions.PAGE_SIZE


@pytest.mark.parametrize("name", ["traces", "sessions"])
async def test_the_next_page_has_its_own(both, name):
    shown, rows = await both(name, range="90d")
    older, more = await both(name, range="90d", before=shown["older"])
    key = f"{name[:-1]}_id"
    assert [row[key] for row in more] == [line[key] for line in older[name]]
    assert not {row[key] for row in more} & {row[key] for row in rows}


async def test_traces_of_a_session(both):
    shown, _ = await both("traces")
    session = shown["traces"][0]["session_id"]
    _, rows = await both("traces", session=session)
    assert {row["session_id"] for row in rows} == {session}


@pytest.mark.parametrize("asked", [one for one in ASKED if "agent" not in one], ids=str)
async def test_agents(both, database, asked):
    """Calls that run are in no rollup, and are counted."""
    fill(
        database,
        call(1, agent_id="coder-payments", outcome="in_flight", cost_nano_usd=None),
        call(2, agent_id="only-runs", provider="openai", outcome="in_flight", cost_nano_usd=None),
    )
    shown, rows = await both("agents", **asked)
    names = ("calls", "failed", "tokens_in", "tokens_out")
    assert [row["agent_id"] or "(unknown)" for row in rows] == [
        one["agent"] for one in shown["agents"]
    ]
    for row, one in zip(rows, shown["agents"], strict=True):
        assert {name: row[name] for name in names} == {name: one[name] for name in names}
        assert row["cost_usd"] == pytest.approx(one["cost_usd"])
    assert rows


@pytest.mark.parametrize("asked", [one for one in ASKED if "agent" in one], ids=str)
async def test_one_agent(both, asked):
    shown, rows = await both("agents", **asked)
    totals = shown["costs"]["totals"]
    assert [(row["agent_id"], row["calls"], row["failed"]) for row in rows] == [
        (asked["agent"], totals["calls"], totals["failed"])
    ] * bool(totals["calls"])
