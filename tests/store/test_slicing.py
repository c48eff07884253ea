"""A session, trace or call as a database of its own: whole, sound, no more than asked."""

import random
import sqlite3

import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import (
    Payload,
    Record,
    StoredPrompt,
    StoredSession,
    StoredToolCall,
    StoredTrace,
)
from agenttrace_mitm.model.placement import Placement
from agenttrace_mitm.privacy import keep
from agenttrace_mitm.store import open_database, request_of
from agenttrace_mitm.store.chains import Recent
from agenttrace_mitm.store.opening import way_in
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.store.slicing import cut
from tests.support.records import NOON_US, call, message

BODY = b"a body that all of them send, and which the next repeats. " * 40


@pytest.fixture
def database(home):
    """Two sessions that share a message; a trace that goes on from the one before."""
    db = open_database(home / "data.db").conn
    recent = Recent()
    shared = message("shared words", 0, fingerprint="f0")
    turns = (("a1", "one", "s", None), ("a2", "two", "s", "a1"), ("b1", "other", "t", None))
    for id_, trace, session, before in turns:
        one = call(
            id=id_, trace_id=trace, session_id=session, cost_nano_usd=5, cwd="/secret/folder",
            continues_call_id=before, error_message="words of an error",
        )  # fmt: skip
        first = 3 if before else 1
        said = [
            message(f"asked by {id_}", first, fingerprint=f"f1{id_}"),
            message(f"said to {id_}", first + 1, fingerprint=f"f2{id_}", role="assistant"),
        ]
        times = {"started_us": NOON_US, "ended_us": NOON_US}
        write_record(
            db,
            Record(
                call=one,
                messages=(*([] if before else [shared]), *said),
                tool_calls=(
                    StoredToolCall(tool_call_id="t", position=0, name="ls", arguments="/secret"),
                ),
                payload=Payload(
                    request_headers=[("x-title", f"of {id_}")],
                    request_body=BODY + id_.encode(),
                    response_body=b"answered",
                ),
                placement=Placement(
                    session=StoredSession(session_id=session, cwd="/secret/folder", **times),
                    trace=StoredTrace(
                        trace_id=trace, call_id=id_, root_span_id="r", name=f"asked by {id_}",
                        **times,
                    ),
                ),
            ),
            recent,
        )  # fmt: skip
    assert db.execute("select count(stored_after) from payloads").fetchone()[0] > 0
    db.close()
    return home / "data.db"


def column(path, sql):
    db = sqlite3.connect(path)
    found = [row[0] for row in db.execute(sql)]
    db.close()
    return found


def test_a_session_comes_whole_and_alone(database, tmp_path):
    target = tmp_path / "s.db"
    assert cut(database, target, "session", "s", 3) == 2
    assert problems(target) == []
    assert column(target, "select id from llm_calls order by id") == ["a1", "a2"]
    assert column(target, "select session_id from sessions") == ["s"]
    assert column(target, "select trace_id from traces order by trace_id") == ["one", "two"]
    assert column(target, "select sum(cost_nano_usd) from rollup_day") == [10]
    search = "select count(*) from messages_fts where messages_fts match 'asked'"
    assert column(target, search) == [2]
    db = sqlite3.connect(target)
    assert request_of(db, "a2") == BODY + b"a2"
    db.close()
    assert b"b1" not in target.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob("s.db*")] == ["s.db"]


@pytest.mark.parametrize(("what", "name"), [("trace", "two"), ("call", "a2")])
def test_what_goes_on_from_another_brings_its_history(database, tmp_path, what, name):
    """The conversation can be read, though the call that began it stays behind."""
    target = tmp_path / "part.db"
    assert cut(database, target, what, name, 3) == 1
    assert problems(target) == []
    said = """
        select text from call_messages c join messages m on m.id = c.message_id
        order by direction, position, message_id
    """
    assert sorted(column(target, said)) == sorted(
        ["shared words", "asked by a1", "asked by a2", "said to a2", "said to a1"]
    )
    assert column(target, "select continues_call_id from llm_calls") == [None]


def test_an_edited_history_is_the_one_that_was_sent(database, tmp_path):
    """Not what the call before said where this one said something else."""
    db = open_database(database).conn
    said = message("said instead", 1, fingerprint="f3")
    one = call(id="a3", trace_id="three", session_id="s", continues_call_id="a1")
    write_record(db, Record(call=one, messages=(said,)))
    db.close()
    cut(database, tmp_path / "e.db", "call", "a3", 3)
    texts = "select text from call_messages join messages on id = message_id order by position"
    assert column(tmp_path / "e.db", texts) == ["shared words", "said instead"]


def test_a_session_brings_what_no_call_made_and_a_call_does_not(database, tmp_path):
    db = open_database(database).conn
    db.execute("insert into events (id, at_us, session_id, type) values ('e', 1, 's', 'x')")
    db.execute("insert into git_refs (session_id, kind, name, at_us) values ('s', 'pr', 'u', 1)")
    db.close()
    cut(database, tmp_path / "s.db", "session", "s", 3)
    cut(database, tmp_path / "c.db", "call", "a1", 3)
    for name, expected in (("s", [1]), ("c", [0])):
        for table in ("events", "git_refs"):
            assert column(tmp_path / f"{name}.db", f"select count(*) from {table}") == expected


def test_a_lower_tier_holds_no_more(database, tmp_path):
    """Whatever the database has."""
    cut(database, tmp_path / "1.db", "session", "s", 1)
    cut(database, tmp_path / "2.db", "session", "s", 2)
    least, middle = ((tmp_path / f"{tier}.db").read_bytes() for tier in (1, 2))
    for word in (b"asked by", b"said to", b"shared", b"secret", b"words of", BODY[:9]):
        assert word not in least
    assert b"asked by a1" in middle
    assert BODY[:9] not in middle
    assert column(tmp_path / "2.db", "select count(*) from payloads") == [0]
    assert set(column(tmp_path / "1.db", "select privacy_tier from llm_calls")) == {1}


@pytest.mark.parametrize("own", [1, 2])
@pytest.mark.parametrize(
    ("what", "key"), [("call", "id"), ("trace", "trace_id"), ("session", "session_id")]
)
def test_a_call_of_a_lower_tier_is_told_no_more_than_it_kept(home, tmp_path, own, what, key):
    """Though another call, which does not come along, stored the same words whole."""
    db = open_database(home / "data.db").conn
    recent = Recent()
    for tier in (3, own):
        # Both name what the first began: so do conversations that go on at another tier.
        one = call(
            id=f"of-tier-{tier}", prompt_id="p", session_id=f"session-{tier}",
            trace_id=f"trace-{tier}", thread_id="thread", privacy_tier=tier,
        )  # fmt: skip
        placement = Placement(
            session=StoredSession(
                session_id=one.session_id, cwd="/secret/folder",
                started_us=NOON_US, ended_us=NOON_US,
            ),
            trace=StoredTrace(
                trace_id=one.trace_id, call_id=one.id, root_span_id="r", name="asked in words",
                started_us=NOON_US, ended_us=NOON_US,
            ),
        )  # fmt: skip
        said = [
            message("asked in words", 0, fingerprint="f0"),
            message("thought by the model", 1, fingerprint="f1", role="assistant"),
        ]
        prompt = StoredPrompt(prompt_id="p", agent_id="a", system="instructions in words")
        whole = Record(call=one, messages=tuple(said), placement=placement, prompt=prompt)
        write_record(db, keep(whole, tier), recent)
    # What the one of tier 3 began and the other goes on with.
    db.execute("update sessions set cwd = '/secret/folder'")
    db.execute("update traces set name = 'asked in words'")
    assert [row[0] for row in db.execute("select privacy_tier from messages")] == [3, 3]
    db.close()

    (name,) = column(home / "data.db", f"select {key} from llm_calls where privacy_tier = {own}")
    cut(home / "data.db", tmp_path / "slice.db", what, name, 3)
    assert problems(tmp_path / "slice.db") == []
    told = (tmp_path / "slice.db").read_bytes()
    words = {
        b"asked in words",
        b"thought by the model",
        b"instructions in words",
        b"/secret/folder",
    }
    kept = set() if own == 1 else words - {b"thought by the model"}
    assert {word for word in words if word in told} == kept
    assert set(column(tmp_path / "slice.db", "select privacy_tier from messages")) == {own}


def test_mistakes_leave_no_file(database, tmp_path):
    with pytest.raises(StoreError, match="There is no session nobody"):
        cut(database, tmp_path / "x.db", "session", "nobody", 3)
    (tmp_path / "y.db").write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        cut(database, tmp_path / "y.db", "session", "s", 3)
    assert [file.name for file in tmp_path.glob("*.db")] == ["y.db"]
    assert (tmp_path / "y.db").read_text() == "mine"


def test_the_command(database, tmp_path):
    target = str(tmp_path / "c.db")
    given = ["db", "slice", target, "--call", "a1", "--tier", "2", "--db", str(database)]
    told = CliRunner().invoke(cli, given)
    assert told.exit_code == 0, told.output
    assert "c.db: 1 calls," in told.output
    none = CliRunner().invoke(cli, ["db", "slice", str(tmp_path / "d.db")])
    assert "Give one of" in none.output


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_a_small_slice_is_a_small_file(database, tmp_path, tier):
    """Most of it would be empty pages, one or two for each table and index."""
    for what, name in (("call", "b1"), ("session", "s")):
        target = tmp_path / f"{what}.db"
        cut(database, target, what, name, tier)
        assert target.stat().st_size < 190_000
        assert way_in(target) == "brought up to date"
        assert problems(target) == []
        assert column(target, "pragma auto_vacuum") == [2]


def test_a_large_slice_has_large_pages(database, tmp_path):
    db = open_database(database).conn
    words = "".join(random.Random(1).choices("abcdefghij ", k=9_000_000))
    long = call(id="long", session_id="long")
    write_record(db, Record(call=long, messages=(message(words, 0, fingerprint="long"),)))
    db.close()
    target = tmp_path / "s.db"
    assert cut(database, target, "session", "long", 3) == 1
    assert column(target, "pragma page_size") == [8192]
    assert column(target, "select length(content) > 9000000 from messages") == [1]
    assert problems(target) == []
