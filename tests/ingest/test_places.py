"""The place of calls that came as events: at once, and the same as `traces rebuild` gives."""

import itertools

import pytest

from agenttrace_mitm.ingest.events import read
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.sessions import story
from agenttrace_mitm.traces import Fingerprinter

from .test_events import CALL, NOW, Recorder, hand_over
from .varied import ITEMS, rows

TRACE = "0af7651916cd43dd8448eb211c80319c"
STEPS = [
    {"id": "plan", "session_id": "s", "trace_id": TRACE, "span_id": "plan"},
    {"id": "act", "session_id": "s", "trace_id": TRACE, "parent_span_id": "plan",
     "timestamp": 1795168802000, "status_code": 500},
    {"id": "elsewhere", "session_id": "s", "trace_id": "another", "span_id": "plan"},
    {"id": "nowhere", "session_id": "s"},
]  # fmt: skip


async def told(folder, *items, tier=3):
    """The database after *items* came, the last first."""
    async with Recorder(folder, tier) as recorder:
        for item in reversed(items):
            await hand_over(read([CALL | item], NOW), recorder.socket)
    return folder / "data.db"


async def test_what_a_trace_is_told_of_is_there_at_once(tmp_path):
    db = open_database(await told(tmp_path, *STEPS)).conn
    trace = db.execute(
        "select session_id, agent_id, how, started_us, ended_us from traces where trace_id = ?",
        (TRACE,),
    ).fetchone()
    assert trace == ("s", "bot", "client", 1795168800000000, 1795168803500000)
    spans = db.execute(
        "select s.kind, s.name, s.outcome, s.span_id = c.span_id, p.call_id"
        " from spans s join llm_calls c on c.id = s.call_id"
        " left join spans p on p.span_id = s.parent_span_id"
        " where s.trace_id = ? order by s.started_us",
        (TRACE,),
    ).fetchall()
    [plan] = db.execute("select id from llm_calls where client_request_id = 'plan'").fetchone()
    name = "chat gpt-4o-2024-08-06"
    assert spans == [("llm", name, "ok", 1, None), ("llm", name, "error", 1, plan)]


async def test_the_same_words_are_another_span_in_another_trace(tmp_path):
    db = open_database(await told(tmp_path, *STEPS)).conn
    [number] = db.execute(
        "select count(distinct span_id) from llm_calls where client_request_id <> 'act'"
        " and span_id is not null"
    ).fetchone()
    assert number == 2
    [apart] = db.execute("select count(distinct trace_id) from spans").fetchone()
    assert apart == 2


async def test_a_session_is_told_by_the_traces_of_its_calls(tmp_path):
    db = open_database(await told(tmp_path, *STEPS)).conn
    assert sorted(prompt.bill.calls for prompt in story(db, "s").prompts) == [1, 2]


@pytest.mark.parametrize("apart", [True, False])
async def test_what_is_told_again_of_another_place_leaves_nothing_there(tmp_path, apart):
    """The first one counts, in one batch and in two: its trace, session, and their times."""
    first = CALL | {"id": "v", "session_id": "V1", "trace_id": "d1", "span_id": "here"}
    others = [
        first | {"session_id": "V2", "trace_id": "d2", "span_id": "there"},
        first | {"latency_ms": 999_000},
        first | {"session_id": "V3", "trace_id": None},
    ]
    batches = [[first], others] if apart else [[first, *others]]
    async with Recorder(tmp_path) as recorder:
        for batch in batches:
            await hand_over(read(batch, NOW), recorder.socket)
    path = tmp_path / "data.db"
    before = rows(path)
    assert [row["session_id"] for row in before["sessions"]] == ["V1"]
    assert [len(before[table]) for table in ("llm_calls", "traces", "spans")] == [1, 1, 1]
    assert before["sessions"][0]["ended_us"] == before["traces"][0]["ended_us"]
    assert retrace(path, Fingerprinter(b"key")).changed == 0
    assert rows(path) == before


REPEATED = [
    CALL | {"id": f"r{n}", "session_id": "s", "trace_id": TRACE, "span_id": "00f067aa0ba902b7"}
    | said
    for n, said in enumerate([
        {"agent_id": "a", "status_code": 500}, {"agent_id": "b", "model": "gpt-5"},
        {"agent_id": "c", "trace_id": "another", "timestamp": 1795168801000},
        {"agent_id": "d", "parent_span_id": "1" * 16, "timestamp": 1795168799000},
    ])
]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_whichever_comes_first_of_a_span_told_twice(tmp_path, order):
    """Calls that begin at once, or say the same span, are where `traces rebuild` finds them."""
    path = await told(tmp_path, *(REPEATED[n] for n in order))
    before = rows(path)
    assert retrace(path, Fingerprinter(b"key")).changed == 0
    after = rows(path)
    assert [after[table] for table in ("traces", "spans")] == [
        before[table] for table in ("traces", "spans")
    ]


async def test_placing_again_changes_nothing(tmp_path):
    """Not of calls that name a trace, nor of those that name none."""
    for tier in (1, 3):
        folder = tmp_path / str(tier)
        folder.mkdir()
        path = await told(folder, *STEPS, *ITEMS[:6], tier=tier)
        before = rows(path)
        assert len(before["spans"]) == 4
        assert retrace(path, Fingerprinter(b"key")).changed == 0
        assert rows(path) == before
