"""Old content goes, its figures stay, and what a kept conversation needs stays whole."""

from pathlib import Path

from agenttrace_mitm.clock import new_id, oldest_id
from agenttrace_mitm.model import Payload, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.retention import STEP, let_go
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, message, record

DAY_US = 86_400_000_000
OLD_US = NOON_US - 40 * DAY_US
LIMIT_US = NOON_US - 30 * DAY_US


def test_ids_compare_like_their_times() -> None:
    """The oldest id of a moment parts the ids from before it from those after."""
    assert new_id(LIMIT_US - 1_000) < oldest_id(LIMIT_US) <= new_id(LIMIT_US)


def test_old_content_goes_and_figures_stay(tmp_path: Path) -> None:
    """Messages, tool arguments, wire bytes and the search index forget; the row does not."""
    db = open_database(tmp_path / "data.db").conn
    old = record("old words", id=new_id(OLD_US), started_us=OLD_US, tokens_in=7)
    tool = StoredToolCall(tool_call_id="t", position=0, name="ls", arguments="{}")
    old = old.model_copy(update={"tool_calls": (tool,), "payload": Payload(request_body=b"x")})
    for one in (old, record("new words", id=new_id(NOON_US))):
        write_record(db, one)
    while let_go(db, LIMIT_US):
        pass
    assert db.execute("select text from messages order by id").fetchall() == [
        (None,),
        ("new words",),
    ]
    found = "select rowid from messages_fts where messages_fts match 'words'"
    assert db.execute(found).fetchall() == [(2,)]
    assert db.execute("select count(*) from payloads").fetchone() == (0,)
    assert db.execute("select name, arguments from tool_calls").fetchall() == [("ls", None)]
    assert db.execute("select tokens_in from llm_calls order by id").fetchone() == (7,)


def test_what_a_kept_conversation_continues_stays(tmp_path: Path) -> None:
    """A message sent long ago is part of a conversation that goes on today."""
    db = open_database(tmp_path / "data.db").conn
    first, second = new_id(OLD_US), new_id(OLD_US + DAY_US)
    write_record(db, record("begun", id=first, started_us=OLD_US))
    write_record(db, record("went on", id=second, started_us=OLD_US, continues_call_id=first))
    write_record(db, record("today", id=new_id(NOON_US), continues_call_id=second))
    while let_go(db, LIMIT_US):
        pass
    texts = [row[0] for row in db.execute("select text from messages order by id")]
    assert texts == ["begun", "went on", "today"]


def test_a_message_that_comes_again_is_stored_again(tmp_path: Path) -> None:
    """Forgetting is not refusing."""
    db = open_database(tmp_path / "data.db").conn
    write_record(db, record("again", id=new_id(OLD_US), started_us=OLD_US))
    while let_go(db, LIMIT_US):
        pass
    write_record(db, record("again", id=new_id(NOON_US)))
    assert db.execute("select text from messages").fetchall() == [("again",)]


def test_a_step_is_bounded(tmp_path: Path) -> None:
    """However much there is to forget, new calls wait for one step only."""
    db = open_database(tmp_path / "data.db").conn
    said = tuple(message(f"m{n}", n) for n in range(STEP + 1))
    old = record(id=new_id(OLD_US), started_us=OLD_US).model_copy(update={"messages": said})
    write_record(db, old)
    assert [let_go(db, LIMIT_US) for _ in range(3)] == [STEP, 1, 0]
