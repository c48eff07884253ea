"""Tier 1: who called whom with which tool and how long it took, and not a word of what was said."""

from pathlib import Path

from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.sessions import story
from agenttrace_mitm.traces import Fingerprinter

from .talks import SECOND, Recording, says, tool_result, tool_use, user

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
    db.execute("pragma wal_checkpoint(truncate)")
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [canary for canary in CANARIES if canary.encode() in written]
    assert not [canary for canary in CANARIES if canary in "\n".join(db.iterdump())]
