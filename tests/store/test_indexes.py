"""What the recorder and the pages look for, they find by an index; and old files gain them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import LlmCall
from agenttrace_mitm.store import Answers, KnownContent, open_database
from agenttrace_mitm.store.aging import let_calls_go
from agenttrace_mitm.store.opening import APPLICATION_ID
from agenttrace_mitm.store.relinked import Relinking
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import content_text, write_record
from agenttrace_mitm.store.schema import migrations
from tests.support.records import NOON_US, record
from tests.traces.talks import Recording, says, tool_result, tool_use, user

DAY_US = 86_400_000_000


@pytest.fixture
def db() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(db))
    return db


def scans(db: sqlite3.Connection, sql: str, *tables: str) -> list[str]:
    """Steps of the plan of *sql* that pass over all of a table."""
    steps = [row[-1] for row in db.execute("explain query plan " + sql)]
    return [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables]


def test_the_recorder_finds_calls_by_an_index(db: sqlite3.Connection) -> None:
    """Whatever tells what a call continues; the columns may be NULL in most rows."""
    seen: list[str] = []
    known = KnownContent(db)
    db.set_trace_callback(seen.append)
    known.call("x")
    known.with_chain(["x"])
    known.with_print(["x"])
    known.with_response("x")
    known.with_conversation("x", 10**18)
    known.with_tool(["x"])
    known.continuations("x")
    db.set_trace_callback(None)
    assert len(seen) >= 8
    for sql in seen:
        assert not scans(db, sql, "c", "t", "llm_calls", "threads", "tool_calls"), sql


@pytest.mark.parametrize(
    "sql",
    [
        "select * from llm_calls where session_id = 's' order by started_us desc",
        "select * from llm_calls where thread_id = 't' order by started_us",
        "select * from llm_calls where trace_id = 't'",
        "select * from spans where trace_id = 't' order by started_us",
        "select * from spans where parent_span_id = 's'",
        "select * from spans where kind = 'agent' and started_us >= 1",
        "select * from threads where parent_span_id = 's'",
        "select * from threads where session_id = 's' order by started_us",
        "select * from traces where session_id = 's' order by started_us",
        "select * from call_messages where message_id = 1",
        "select * from call_messages where call_id = 'c' order by direction, position",
        "select * from payloads where stored_after = 1",
        "select id from messages where first_seen_us < 1 and content is not null",
        "delete from events where trace_id = 't'",
    ],
)
def test_people_find_rows_by_an_index(db: sqlite3.Connection, sql: str) -> None:
    """What belongs to a session, a thread, a trace, a message."""
    assert not [row for row in db.execute("explain query plan " + sql) if "SCAN" in row[-1]]


COUNTED: dict[str, Any] = {"response_id": "r", "tokens_in": 1, "tokens_out": 1}


@pytest.mark.parametrize(
    ("told", "carried", "index"),
    [
        ({}, True, "llm_calls_lines"),
        (COUNTED, True, "llm_calls_lines"),
        (COUNTED | {"kind": "admin"}, False, "idx_llm_calls_response_id"),
    ],
)
def test_an_earlier_answer_is_found_by_its_index(
    db: sqlite3.Connection, told: dict[str, Any], carried: bool, index: str
) -> None:
    """By what is read, or the answer's id: what one provider has is nearly all of a database."""
    call = LlmCall(
        id=new_id(),
        started_us=1,
        provider="openai",
        host="h",
        method="GET",
        path="/v1/responses/r",
        outcome="ok",
        **told,
    )
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    assert Answers(db).once(call, carried=carried).duplicate_of is None
    db.set_trace_callback(None)
    [sql] = seen
    [step, *_] = [row[-1] for row in db.execute("explain query plan " + sql)]
    assert index in step


def test_retries_look_at_retried_calls_alone(db: sqlite3.Connection) -> None:
    """The view passes over the index of those, not over all calls."""
    steps = [row[-1] for row in db.execute("explain query plan select * from retries")]
    calls = [step for step in steps if step.split()[1] in ("c", "l", "last", "llm_calls")]
    assert calls
    for step in calls:
        assert step.startswith("SEARCH") or "llm_calls_retried" in step, steps


def test_a_database_from_before_keeps_its_messages(tmp_path: Path) -> None:
    """Its tables are made anew with what was in them."""
    path = tmp_path / "data.db"
    old = Database(path)
    migrations.apply(old, stop_before="m042_indexes")
    old.execute(f"pragma application_id = {APPLICATION_ID}")
    call = {"id": "c", "started_us": NOON_US, "provider": "openai", "host": "h", "method": "POST"}
    old["llm_calls"].insert(call | {"path": "/", "outcome": "ok", "source": "proxy", "kind": "llm"})
    for number, word in enumerate(("one", "two"), 1):
        said = {"id": number, "fingerprint": word, "role": "user", "first_seen_us": NOON_US}
        old["messages"].insert(said | {"content": content_text([{"content": word}])})
        place = {"call_id": "c", "direction": "in", "position": number, "choice": 0}
        old["call_messages"].insert(place | {"message_id": number})
    places = old.execute("select * from call_messages").fetchall()
    old.close()
    db = open_database(path).conn
    assert db.execute("select * from call_messages").fetchall() == places
    assert len(places) == 2
    while let_go(db, NOON_US + 1):
        pass
    assert problems(path) == []


def test_a_late_call_is_linked_by_index() -> None:
    """Nobody is recorded meanwhile: how long it takes must not grow with the database."""
    talk = Recording()
    call = tool_use("toolu_0123456789abcdef", "read", path="x.py")
    asked = [user("Read it.")]
    first = talk.call(asked, call)
    last = talk.call([*asked, call, tool_result("toolu_0123456789abcdef", "x")], says("Read."))
    seen: list[str] = []
    talk.db.set_trace_callback(seen.append)
    taken_up = Relinking(talk.db, [last])
    talk.db.set_trace_callback(None)
    assert [one.call.id for one in taken_up.talks] == [first, last]
    assert len(seen) >= 12
    for sql in seen:
        assert not scans(talk.db, sql, "c", "t", "llm_calls", "threads", "tool_calls", "spans"), sql


class Explaining(sqlite3.Connection):
    """Says which steps of what it runs pass over all of a table."""

    seen = 0
    passed_over: list[str]

    def execute(self, sql, *given):  # type: ignore[no-untyped-def, override]  # as sqlite3 has it
        if sql.split()[0] in ("select", "insert", "update", "delete", "with", "create"):
            self.seen += 1
            steps = [row[-1] for row in super().execute("explain query plan " + sql, *given)]
            self.passed_over += [step for step in steps if step.startswith("SCAN")]
        return super().execute(sql, *given)


def test_retention_finds_what_goes_by_an_index(tmp_path: Path) -> None:
    """Recording waits for each of its steps: they must not grow with the database."""
    file = tmp_path / "data.db"
    with open_database(file).conn as db:
        write_record(db, record("old", id=new_id(NOON_US), started_us=NOON_US, agent_id="a"))
    db.close()
    with sqlite3.connect(file, isolation_level=None, factory=Explaining) as db:
        db.passed_over = []
        while let_go(db, NOON_US + DAY_US, {"b": NOON_US}):
            pass
        [[left]] = db.execute("select own_text is null and content is null from messages where id")
        while let_calls_go(db, NOON_US + 2 * DAY_US):
            pass
        assert left
        assert db.seen > 40
        small = {"content_mark", "commits", "git_refs", "prompts", "history", "doomed"}
        small |= {"temp.doomed", "temp.loose", "json_each"}
        small |= {"sqlite_master", "pragma_table_info", "l", "x", "m"}  # what indexes there are
        own = {"messages"}  # what the test itself asks
        assert {step.split()[1] for step in db.passed_over} - small == own
    db.close()


def test_calls_are_inserted_without_triggers(db: sqlite3.Connection) -> None:
    """With any, SQLite copies each page of each index before it changes it: twice the time."""
    said = db.execute("select lower(sql) from sqlite_master where type = 'trigger'").fetchall()
    assert said
    assert not [sql for (sql,) in said if " insert on llm_calls" in sql]
