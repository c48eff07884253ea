"""The place of calls that came as events: at once, and the same as `traces rebuild` gives."""

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
