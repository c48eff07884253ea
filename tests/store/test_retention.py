"""Old content goes, its figures stay, and what a kept conversation needs stays whole."""

import sqlite3
from pathlib import Path
from typing import Any

from agenttrace_mitm.clock import new_id, oldest_id
from agenttrace_mitm.model import Payload, Placement, Record, StoredToolCall, StoredTrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.retention import STEP, let_go, marked
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
    inside = [{"name": "cat", "arguments": {"path": "old"}}]
    tool = StoredToolCall(
        tool_call_id="t", position=0, name="ls", arguments="{}", calls_inside=inside
    )
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
    found = "select name, arguments, calls_inside from tool_calls"
    assert db.execute(found).fetchall() == [("ls", None, None)]
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


def test_a_long_text_takes_the_room_of_several(tmp_path: Path) -> None:
    """Each of its words is taken out of the search index while others wait: one of these a step."""
    db = open_database(tmp_path / "data.db").conn
    long = tuple(message(f"{n} " + "word " * 12_000, n) for n in range(3))
    old = record(id=new_id(OLD_US), started_us=OLD_US).model_copy(update={"messages": long})
    write_record(db, old)
    assert [let_go(db, LIMIT_US) for _ in range(3)] == [241, 241, 241]


def said(db: sqlite3.Connection) -> list[str | None]:
    return [row[0] for row in db.execute("select text from messages order by id")]


def test_a_conversation_goes_once_nobody_goes_on_with_it(tmp_path: Path) -> None:
    """Calls wait for those that go on from them, however often retention looks meanwhile."""
    db = open_database(tmp_path / "data.db").conn
    before = None
    for day in (0, 1, 40):
        at_us = OLD_US + day * DAY_US
        id_ = new_id(at_us)
        one = record(f"day {day}", id=id_, started_us=at_us, continues_call_id=before)
        write_record(db, one)
        before = id_
    for _ in range(3):
        while let_go(db, LIMIT_US):
            pass
    assert said(db) == ["day 0", "day 1", "day 40"]
    while let_go(db, LIMIT_US + 31 * DAY_US):
        pass
    assert said(db) == [None] * 3
    assert db.execute("select * from content_waiting").fetchall() == []


def test_a_conversation_goes_from_its_end_in_one_step(tmp_path: Path) -> None:
    """Each of its calls waits for the next; those that wait for one that goes come right after."""
    db = open_database(tmp_path / "data.db").conn
    before = None
    for number in range(20):
        at_us = OLD_US + number * 1_000
        one = record(f"turn {number}", id=new_id(at_us), started_us=at_us, continues_call_id=before)
        write_record(db, one)
        before = one.call.id
    steps = []
    while done := let_go(db, LIMIT_US):
        steps.append(done)
    assert steps == [20]
    assert said(db) == [None] * 20


def test_what_waited_for_a_call_goes_when_that_is_no_more(tmp_path: Path) -> None:
    """The call that went on from it was forgotten, or turned out to belong elsewhere."""
    db = open_database(tmp_path / "data.db").conn
    first, other = new_id(OLD_US), new_id(OLD_US)
    write_record(db, record("begun", id=first, started_us=OLD_US))
    write_record(db, record("as well", id=other, started_us=OLD_US))
    write_record(db, record("today", id="f" * 32, continues_call_id=first))
    write_record(db, record("now", id="e" * 32, continues_call_id=other))
    while let_go(db, LIMIT_US):
        pass
    assert said(db) == ["begun", "as well", "today", "now"]
    db.execute("delete from llm_calls where id = ?", ("f" * 32,))
    db.execute("update llm_calls set continues_call_id = null")
    while let_go(db, LIMIT_US):
        pass
    assert said(db) == [None, None, "today", "now"]


def test_an_old_call_that_comes_late_is_not_kept_for_ever(tmp_path: Path) -> None:
    """From the spool, or by the API, behind what has been let go already."""
    db = open_database(tmp_path / "data.db").conn
    for at_us in (OLD_US + DAY_US, OLD_US):
        write_record(db, record(f"at {at_us}", id=new_id(at_us), started_us=at_us))
        while let_go(db, LIMIT_US):
            pass
    assert said(db) == [None, None]


def test_agents_may_keep_theirs_longer_or_shorter(tmp_path: Path) -> None:
    """And once their time changes, what is there is looked at again."""
    db = open_database(tmp_path / "data.db").conn
    for agent in ("short", "long", "other"):
        for days in (40, 20):
            at_us = NOON_US - days * DAY_US
            one = record(f"{agent} {days}", id=new_id(at_us), started_us=at_us, agent_id=agent)
            write_record(db, one)
    ages = {"short": NOON_US - 10 * DAY_US, "long": NOON_US - 50 * DAY_US}
    while let_go(db, LIMIT_US, ages):
        pass
    assert said(db) == [None, None, "long 40", "long 20", None, "other 20"]
    ages["long"] = NOON_US - 30 * DAY_US
    while let_go(db, LIMIT_US, ages):
        pass
    assert said(db) == [None, None, None, "long 20", None, "other 20"]


def test_a_look_at_calls_without_content_is_progress(tmp_path: Path) -> None:
    """Steps go on until the mark has passed all that is old, whether or not anything went."""
    db = open_database(tmp_path / "data.db").conn
    for number in range(3):
        write_record(db, record(id=new_id(OLD_US + number), started_us=OLD_US))
    assert let_go(db, LIMIT_US)
    assert marked(db) > new_id(OLD_US - 1_000)
    assert not let_go(db, LIMIT_US)


def opened(words: str, at_us: int, **values: Any) -> Record:
    """A call that opened a trace, which is named after its *words*, and failed."""
    id_ = new_id(at_us)
    said = {"error_message": f"too long: {words}", "end_user": "me", "outcome": "error"} | values
    one = record(words, id=id_, started_us=at_us, trace_id=f"t-{words}", **said)
    trace = StoredTrace(
        trace_id=f"t-{words}", call_id=id_, root_span_id="r", name=words,
        started_us=at_us, ended_us=at_us,
    )  # fmt: skip
    return one.model_copy(update={"placement": Placement(trace=trace)})


def told(db: sqlite3.Connection) -> list[tuple[str | None, ...]]:
    sql = """
        select t.name, c.error_message, c.end_user
        from llm_calls c left join traces t using (trace_id) order by c.started_us
    """
    return list(db.execute(sql))


def test_what_repeats_the_content_goes_with_it(tmp_path: Path) -> None:
    """A trace's name is what was asked for, an error may quote it, and who asked is no figure."""
    db = open_database(tmp_path / "data.db").conn
    for words, at_us in (("old", OLD_US), ("new", NOON_US)):
        write_record(db, opened(words, at_us))
    while let_go(db, LIMIT_US):
        pass
    assert told(db) == [(None, None, None), ("new", "too long: new", "me")]
    assert db.execute("select outcome from llm_calls").fetchall() == [("error",)] * 2


def test_a_trace_has_its_name_as_long_as_the_words_are_kept(tmp_path: Path) -> None:
    """The conversation goes on: what opened it is part of what is sent today."""
    db = open_database(tmp_path / "data.db").conn
    first = opened("begun", OLD_US)
    write_record(db, first)
    later = opened("today", NOON_US, continues_call_id=first.call.id)
    write_record(db, later)
    while let_go(db, LIMIT_US):
        pass
    assert told(db) == [("begun", None, None), ("today", "too long: today", "me")]
    while let_go(db, NOON_US + DAY_US):
        pass
    assert told(db) == [(None, None, None)] * 2


def test_holds_and_agents_of_their_own_keep_names_and_errors(tmp_path: Path) -> None:
    """As they keep content."""
    db = open_database(tmp_path / "data.db").conn
    db.execute("insert into holds (session_id) values ('held')")
    write_record(db, opened("held", OLD_US, session_id="held"))
    write_record(db, opened("long", OLD_US + 1, agent_id="long"))
    write_record(db, opened("other", OLD_US + 2, agent_id="other"))
    while let_go(db, LIMIT_US, {"long": OLD_US - DAY_US}):
        pass
    assert [name for name, *_ in told(db)] == ["held", "long", None]
    assert [error is None for _, error, _ in told(db)] == [False, False, True]


def test_names_that_go_fill_a_step_as_well(tmp_path: Path) -> None:
    db = open_database(tmp_path / "data.db").conn
    for number in range(STEP // 2):
        one = opened(str(number), OLD_US + number * 1_000)
        write_record(db, one.model_copy(update={"messages": ()}))
    assert let_go(db, LIMIT_US) <= STEP
    while let_go(db, LIMIT_US):
        pass
    assert set(told(db)) == {(None, None, None)}


def test_a_step_looks_at_its_calls_and_at_no_table(tmp_path: Path) -> None:
    """Neither for what goes with them: a million other calls cost nothing."""
    db = open_database(tmp_path / "data.db").conn
    asked: list[str] = []
    write_record(db, opened("old", OLD_US))
    db.set_trace_callback(asked.append)
    let_go(db, LIMIT_US)
    db.set_trace_callback(None)
    mine = [sql for sql in asked if sql.startswith(("update traces", "update llm_calls"))]
    assert len(mine) == 2
    for sql in mine:
        plan = [row[3] for row in db.execute(f"explain query plan {sql}")]
        assert plan
        assert not any(line.startswith("SCAN") for line in plan)
