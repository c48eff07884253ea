"""Tier 1: who called whom with which tool and how long it took, and not a word of what was said."""

import sqlite3
from pathlib import Path

from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.graph import communication
from agenttrace_mitm.store.sessions import story
from agenttrace_mitm.traces import Fingerprinter

from .talks import SECOND, Json, Recording, says, tool_result, tool_use, user

TASK = "canary-task: find out who wrote the parser."
CANARIES = ("canary-task", "canary-ask", "canary-reply", "canary-result", "canary-path")


def test_threads_tools_and_agents_are_known_without_content(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    db = open_database(path).conn
    talk = Recording(db, tier=1)
    asked = [user("canary-ask: tell me about the parser.")]
    call = tool_use("t1", "research", task=TASK, path="/canary-path")
    lead = talk.call(asked, call, agent="lead")
    child = talk.call([user(TASK)], says("canary-reply: Ada did."), system="You research.")
    asked += [call, tool_result("t1", "canary-result: Ada.")]
    last = talk.call(asked, says("canary-reply: Ada wrote it."), agent="lead")

    def told() -> tuple[object, ...]:
        tool = talk.row("select name, ended_us - started_us from spans where kind = 'tool'")
        above = talk.row(
            "select s.name from threads t join spans s on s.span_id = t.parent_span_id"
            " where t.thread_id = ?",
            child,
        )
        trace = talk.of(child, "trace_id") == talk.of(lead, "trace_id") == talk.of(last, "trace_id")
        return tool, above, trace, talk.of(last, "continues_call_id"), talk.of(child, "agent_id")

    known = (("research", 3 * SECOND), ("research",), True, lead, "lead/research")
    assert told() == known
    assert retrace(path, Fingerprinter(b"k" * 32)).changed == 0
    assert told() == known
    session = story(db, talk.of(lead, "session_id"))
    assert session
    assert [step.action.kind for step in session.steps] == ["other"]
    assert _sung(db, tmp_path) == []


def _sung(db: sqlite3.Connection, folder: Path) -> list[str]:
    """The canaries that are in a file of the database, or in one of its rows."""
    db.execute("pragma wal_checkpoint(truncate)")
    written = b"".join(file.read_bytes() for file in folder.iterdir())
    rows = "\n".join(db.iterdump())
    return [canary for canary in CANARIES if canary.encode() in written or canary in rows]


def test_a_session_of_tools_and_a_sub_agent_is_told_without_content(tmp_path: Path) -> None:
    """Parallel tools, one of which fails; a sub-agent with a tool of its own; the next question."""
    path = tmp_path / "data.db"
    db = open_database(path).conn
    talk = Recording(db, tier=1)

    def both() -> Json:
        content = [
            *tool_use("t1", "read", path="/canary-path")["content"],
            *tool_use("t2", "bash", command="canary-task: make")["content"],
        ]
        return {"role": "assistant", "content": content}

    def results() -> Json:
        content = [
            *tool_result("t1", "canary-result: def parse")["content"],
            *tool_result("t2", "canary-result: no make", is_error=True)["content"],
        ]
        return {"role": "user", "content": content}

    asked = [user("canary-ask: tell me about the parser.")]
    first = talk.call(asked, both(), agent="lead")
    asked += [both(), results()]
    start = tool_use("t3", "research", task=TASK)
    second = talk.call(asked, start, agent="lead")
    below = [user(TASK)]
    look = tool_use("t4", "grep", pattern="canary-path")
    child = talk.call(below, look, system="You research.")
    below += [look, tool_result("t4", "canary-result: parse.py")]
    answer = talk.call(below, says("canary-reply: Ada did."), system="You research.")
    asked += [start, tool_result("t3", "canary-reply: Ada did.")]
    third = talk.call(asked, says("canary-reply: Ada wrote it."), agent="lead")
    asked += [says("canary-reply: Ada wrote it."), user("canary-ask: and the tests?")]
    last = talk.call(asked, says("canary-reply: Ada too."), agent="lead")

    def told() -> tuple[object, ...]:
        tools = db.execute(
            "select name, outcome, (ended_us - started_us) / 1000000, agent_id, call_id"
            " from spans where kind = 'tool' order by started_us, name"
        )
        calls = (first, second, child, answer, third, last)
        places = [(talk.of(id_, "thread_id"), talk.of(id_, "continues_call_id")) for id_ in calls]
        traces = [talk.of(id_, "trace_id") for id_ in calls]
        return tools.fetchall(), places, traces.index(traces[-1]), len(set(traces))

    known = (
        [
            ("bash", "error", 1, "lead", first),
            ("read", "ok", 1, "lead", first),
            ("research", "ok", 5, "lead", second),
            ("grep", "ok", 1, "lead/research", child),
        ],
        [
            (first, None),
            (first, first),
            (child, None),
            (child, child),
            (first, second),
            (first, third),
        ],
        5,
        2,
    )
    assert told() == known
    assert retrace(path, Fingerprinter(b"k" * 32)).changed == 0
    assert told() == known
    [edge] = communication(db).edges
    assert (edge.caller, edge.callee, edge.times, edge.calls) == ("lead", "lead/research", 1, 2)
    session = story(db, talk.of(first, "session_id"))
    assert session
    assert session.prompts[0].sub_agents == ("lead/research",)
    kept = "select name, arguments, result, is_error from tool_calls order by started_us, name"
    assert db.execute(kept).fetchall() == [
        ("bash", None, None, 1),
        ("read", None, None, 0),
        ("research", None, None, 0),
        ("grep", None, None, 0),
    ]
    assert _sung(db, tmp_path) == []
