"""Recent that rest on earlier ones can always be read back, whatever becomes of these."""

import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from agenttrace_mitm.clock import new_id, oldest_id
from agenttrace_mitm.model import Payload, Record
from agenttrace_mitm.store import Spool, Writer, open_database, request_of, response_of
from agenttrace_mitm.store.chains import (
    LONGEST,
    Recent,
    bodies_of,
    made_ahead,
    put_ahead,
    release,
    unreadable,
)
from agenttrace_mitm.store.payloads import depth_of, pack
from agenttrace_mitm.store.retention import STEP, let_go
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.store.schema import migrations
from tests.support.records import NOON_US, call

DAY_US = 86_400_000_000


def turn(number: int, talk: str = "") -> bytes:
    """The request of a turn: all that was said before, and something new."""
    said = ", ".join(sha256(f"{talk}{n}".encode()).hexdigest() for n in range(number + 15))
    return f"instructions {talk * 9} {'and so on ' * 20} {said}".encode()


def reply(id: str, words: str = "ok") -> bytes:
    """A reply as providers give them: the shape is long, the words are few."""
    shape = '"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",' * 3
    return f'{{"id": "chatcmpl-{id}", {shape} "message": {{"content": "{words}"}}}}]}}'.encode()


def sent(
    id: str,
    body: bytes | None,
    after: str | None = None,
    answer: bytes | None = b"",
    **values: object,
) -> Record:
    one = call(id=id, continues_call_id=after, **values)
    answered = reply(id) if answer == b"" else answer
    return Record(call=one, payload=Payload(request_body=body, response_body=answered))


def talk(db: sqlite3.Connection, turns: int, name: str = "t") -> dict[str, bytes]:
    """A conversation of so many turns, written one by one; what each call sent."""
    said = {f"{name}{n:03d}": turn(n, name) for n in range(turns)}
    before = None
    for id, body in said.items():
        write_record(db, sent(id, body, before, host=name))
        before = id
    return said


def read(db: sqlite3.Connection) -> dict[str, bytes | None]:
    """What each call sent; replies are checked on the way."""
    ids = [row[0] for row in db.execute("select call_id from payloads order by id")]
    assert [response_of(db, id) for id in ids] == [reply(id) for id in ids]
    return {id: request_of(db, id) for id in ids}


def empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(db))
    return db


@pytest.fixture
def db() -> sqlite3.Connection:
    return empty()


def test_a_conversation_is_stored_as_what_its_turns_add(db: sqlite3.Connection) -> None:
    """All of it can be read, and it takes a small part of its bytes."""
    said = talk(db, 60)
    assert read(db) == said
    stored = db.execute("select sum(length(request_body)) from payloads").fetchone()[0]
    assert stored < sum(map(len, said.values())) / 10


def test_chains_are_cut(db: sqlite3.Connection) -> None:
    """However long the conversation: reading a request back reads few others."""
    talk(db, 60)
    rows = db.execute("select request_body, stored_after from payloads order by id").fetchall()
    depths = [depth_of(body) for body, _ in rows]
    assert depths == [n % LONGEST for n in range(60)]
    steps = {None: -1}
    for row, (_, after) in enumerate(rows, 1):
        assert after is None or after == row - 1 or row % LONGEST == 1
        steps[row] = steps[after] + 1
    assert max(steps.values()) <= LONGEST


def test_where_a_chain_is_cut_the_instructions_are_not_stored_again(
    db: sqlite3.Connection,
) -> None:
    """What follows is read after the first of the chain, which may go all the same."""
    instructions, remembered = turn(400), Recent()
    said = {}
    for number in range(2 * LONGEST + 2):
        id_ = f"{number:02}"
        said[id_] = instructions + turn(number + 1, "x")
        before = f"{number - 1:02}" if number else None
        write_record(db, sent(id_, said[id_], before), remembered)
    rows = db.execute("select request_body, stored_after from payloads order by id").fetchall()
    assert [after for _, after in rows] == [
        n if n % LONGEST else (1 if n else None) for n in range(len(rows))
    ]
    assert len(rows[LONGEST][0]) < len(rows[0][0]) / 3
    assert read(db) == said
    release(db, [1])
    db.execute("delete from payloads where id = 1")
    del said["00"]
    assert read(db) == said


def test_bodies_that_will_stand_alone_are_made_before_the_lock(db: sqlite3.Connection) -> None:
    """What `release` would do, unless somebody did it meanwhile."""
    said = talk(db, 3)
    made = made_ahead(db, [1])
    assert [(one.row, one.before) for one in made] == [(2, 1)]
    assert made_ahead(db, [1, 2, 3]) == made_ahead(db, [1], 0) == []
    assert (put_ahead(db, made), put_ahead(db, made)) == (1, 0)
    assert (made_ahead(db, [1]), release(db, [1])) == ([], 0)
    db.execute("delete from payloads where id = 1")
    assert {id: request_of(db, id) for id in list(said)[1:]} == dict(list(said.items())[1:])


def test_the_same_instructions_in_a_new_conversation_are_stored_once(
    db: sqlite3.Connection,
) -> None:
    """Nothing links the two calls, but the same program sends the same long beginning."""
    remembered = Recent()
    for id in ("a", "b"):
        write_record(db, sent(id, turn(9) + f" what is {id}?".encode()), remembered)
    sizes = [row[0] for row in db.execute("select length(request_body) from payloads order by id")]
    assert sizes[1] < 80 < sizes[0]
    assert request_of(db, "b") == turn(9) + b" what is b?"


def test_unlike_requests_do_not_rest_on_each_other(db: sqlite3.Connection) -> None:
    """A dependence that saves little is not worth having."""
    remembered = Recent()
    for id in ("a", "b"):
        write_record(db, sent(id, turn(90, id), answer=None, host="same"), remembered)
    assert db.execute("select count(stored_after) from payloads").fetchone() == (0,)


def test_small_and_missing_bodies_stand_alone(db: sqlite3.Connection) -> None:
    """There is nothing to gain."""
    for id, body in (("a", b"hello"), ("b", b"hello"), ("c", None)):
        write_record(db, sent(id, body, "a", answer=body))
    assert [bodies_of(db, id) for id in "abc"] == [(b"hello", b"hello")] * 2 + [(None, None)]
    assert db.execute("select count(stored_after) from payloads").fetchone() == (0,)


def test_replies_are_stored_as_what_is_new_in_them(db: sqlite3.Connection) -> None:
    """Their shape is always the same; and the next request repeats their words."""
    remembered = Recent()
    words = "".join(sha256(b"%d" % n).hexdigest() for n in range(9))
    said = {"a": turn(1), "b": turn(1) + words.encode() + b" go on"}
    for id, body in said.items():
        write_record(db, sent(id, body, "a", answer=reply(id, words)), remembered)
    [one, two] = db.execute("select length(request_body), length(response_body) from payloads")
    assert two[0] < 80
    assert two[1] < 50 < one[1]
    assert bodies_of(db, "b") == (said["b"], reply("b", words))


@pytest.mark.parametrize("style", [b"data: %s\n\n", b"%s\n", b"[%s]"])
def test_the_pieces_of_a_stream_are_not_put_side_by_side(
    db: sqlite3.Connection, style: bytes
) -> None:
    """Without what is around each of them they would spell the secret that they are pieces of."""
    secret = "sk-proj-canaryG1h2I3j4K5l6M7n8O9p0Q1r2S3t4"

    def streamed(words: str) -> bytes:
        pieces = [words[at : at + 7] for at in range(0, len(words), 7)]
        return b"".join(style % reply("x", piece) for piece in pieces)

    for id, words in (("a", "the lazy reply sleeps and goes on sleeping"), ("b", secret)):
        write_record(db, sent(id, turn(1), "a", answer=streamed(words)))
    assert response_of(db, "b") == streamed(secret)
    [_, (stored,)] = db.execute("select response_body from payloads order by id")
    assert secret[-14:].encode() not in stored


def test_a_reply_that_comes_whole_later_replaces_the_torn_one(db: sqlite3.Connection) -> None:
    """And what was stored after it can be read all the same."""
    said = talk(db, 10)
    write_record(db, sent("t005", said["t005"], answer=b'{"torn": ' * 50))
    assert response_of(db, "t005") == b'{"torn": ' * 50
    assert response_of(db, "t006") == reply("t006")
    write_record(db, sent("t005", said["t005"]))
    assert read(db) == said


def test_a_payload_that_comes_again_changes_nothing(db: sqlite3.Connection) -> None:
    """Capture repeats what was not acknowledged, and the spool may be replayed twice."""
    said = talk(db, 10)
    before = db.execute("select * from payloads").fetchall()
    for id in ("t003", "t000", "t009"):
        write_record(db, sent(id, said[id], "t001"))
    assert db.execute("select * from payloads").fetchall() == before


def test_what_rests_on_a_payload_survives_its_replacement(db: sqlite3.Connection) -> None:
    """An interrupted call is told again, and this time its request is whole."""
    said = talk(db, 10)
    for id, body in (("t004", turn(4, "other")), ("t005", None)):
        write_record(db, sent(id, body))
        said[id] = body
        assert read(db) == said
    assert not list(unreadable(db))


def test_a_replaced_request_is_what_the_next_one_rests_on(db: sqlite3.Connection) -> None:
    """What the writer remembers is what the row says."""
    remembered = Recent()
    for id, body, after in (("a", turn(5), None), ("a", turn(5, "x"), None), ("b", turn(6), "a")):
        write_record(db, sent(id, body, after), remembered)
    assert read(db) == {"a": turn(5, "x"), "b": turn(6)}


def test_what_was_rolled_back_is_not_rested_on(tmp_path: Path) -> None:
    """A record that is refused takes its batch back; the others come again, one by one."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), lambda ids: None)
    ids = [new_id() for _ in range(6)]
    for n, id in enumerate(ids):
        values = {"tokens_in": 2**70} if n == 2 else {}
        writer.put(sent(id, turn(n), ids[n - 1] if n else None, **values))
    writer.start()
    writer.stop()
    said = {id: turn(n) for n, id in enumerate(ids) if n != 2}
    with sqlite3.connect(path) as db:
        assert read(db) == said


def test_another_file_under_the_name_has_its_own_chains(tmp_path: Path) -> None:
    """What was remembered of the file that went is of no use in the new one."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), lambda ids: None)
    writer._commit([sent("a", turn(1))])
    for file in tmp_path.glob("data.db*"):
        file.unlink()
    writer._commit([sent("b", turn(2), "a")])
    writer._close()
    with sqlite3.connect(path) as db:
        assert read(db) == {"b": turn(2)}


def test_old_requests_go_and_later_ones_stay_readable(db: sqlite3.Connection) -> None:
    """A conversation that began before the limit and went on after it."""
    ids = [new_id(NOON_US + n * DAY_US) for n in range(40)]
    for n, id in enumerate(ids):
        write_record(db, sent(id, turn(n), ids[n - 1] if n else None))
    while let_go(db, NOON_US + 10 * DAY_US - 1):
        pass
    assert read(db) == {id: turn(n) for n, id in enumerate(ids) if n >= 10}
    heads = db.execute("select call_id from payloads where stored_after is null order by id")
    assert heads.fetchall() == [(ids[10],), (ids[LONGEST],)]


def test_letting_go_is_done_in_bounded_steps(db: sqlite3.Connection) -> None:
    """Many calls that go on from one old request are not all rewritten in one transaction."""
    old = new_id(NOON_US - DAY_US)
    write_record(db, sent(old, turn(5)))
    said = {new_id(NOON_US + n): turn(5) + b" and %d" % n for n in range(STEP + 1)}
    for id, body in said.items():
        write_record(db, sent(id, body, old))
    assert [let_go(db, NOON_US) for _ in range(3)] == [STEP, 1, 0]
    assert read(db) == said


def test_what_cannot_be_read_keeps_nothing_from_going(db: sqlite3.Connection) -> None:
    """However many damaged rows there are after an old one."""
    old = new_id(NOON_US - DAY_US)
    write_record(db, sent(old, turn(5)))
    for n in range(STEP + 1):
        write_record(db, sent(new_id(NOON_US + n), turn(5) + b" and %d" % n, old))
    db.execute("update payloads set request_body = x'0201ff' where call_id > ?", (old,))
    assert [let_go(db, NOON_US) for _ in range(3)] == [STEP, 1, 0]
    assert db.execute("select count(*) from payloads where call_id = ?", (old,)).fetchone() == (0,)
    assert len(list(unreadable(db))) == STEP + 1


def test_what_cannot_be_read_back_is_named(tmp_path: Path) -> None:
    """`db verify` reads every body; the rows around a bad one are fine."""
    path = tmp_path / "data.db"
    db = open_database(path).conn
    talk(db, 6)
    for id in ("whole", "reply"):
        write_record(db, sent(id, turn(3, id), host=id))
    assert problems(path) == []
    db.execute("update payloads set stored_after = 4711 where call_id = 't005'")
    db.execute("update payloads set request_body = x'09' where call_id = 'whole'")
    db.execute("update payloads set response_body = x'01ffff' where call_id = 'reply'")
    assert problems(path) == [
        "a row of payloads names a row of payloads that is not there",
        *(f"wire bytes of call {id} cannot be read" for id in ("t005", "whole", "reply")),
    ]
    with pytest.raises(ValueError, match="has gone"):
        request_of(db, "t005")


def test_nothing_new_rests_on_what_cannot_be_read(db: sqlite3.Connection) -> None:
    """Damage does not spread."""
    talk(db, 3)
    db.execute("update payloads set request_body = x'0200ffff' where call_id = 't002'")
    write_record(db, sent("t003", turn(3, "t"), "t002"))
    assert request_of(db, "t003") == turn(3, "t")


def test_a_frame_read_after_another_body_is_refused(db: sqlite3.Connection) -> None:
    """It never says something else."""
    talk(db, 2, "a")
    talk(db, 2, "b")
    db.execute("update payloads set stored_after = 3 where call_id = 'a001'")
    with pytest.raises(ValueError, match="damaged"):
        request_of(db, "a001")


def test_the_memory_of_requests_is_bounded(db: sqlite3.Connection) -> None:
    """What was dropped is read back from the database."""
    remembered = Recent(room=20_000)
    said: dict[str, bytes] = {}
    for n in range(12):
        for name in "abcdef":
            id = f"{name}{n}"
            said[id] = turn(n, name)
            after = f"{name}{n - 1}" if n else None
            write_record(db, sent(id, said[id], after, host=name), remembered)
            kept = sum(bodies.size for bodies in remembered._bodies.values())
            assert kept == remembered._size <= 20_000
    assert read(db) == said
    heads = db.execute("select count(*) from payloads where stored_after is null")
    assert heads.fetchone() == (6,)


def test_a_database_from_before_chains_opens(tmp_path: Path) -> None:
    """Its payloads are where they were, and new ones may rest on them."""
    path = tmp_path / "data.db"
    old = Database(path)
    migrations.apply(old, stop_before="m040_chains")
    old.execute(f"pragma application_id = {0x41547263}")
    values = {"call_id": "a", "request_body": pack(turn(1)), "response_body": pack(reply("a"))}
    old.table("payloads").insert(values)
    old.conn.commit()
    old.close()
    db = open_database(path).conn
    write_record(db, sent("b", turn(2), "a"))
    assert read(db) == {"a": turn(1), "b": turn(2)}
    assert db.execute("select stored_after from payloads").fetchall() == [(None,), (1,)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["new", "again", "otherwise", "release", "forget", "old"]),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_every_request_can_be_read(steps: list[tuple[str, int, int]]) -> None:
    """New ones, forks, repeats, replacements, deletion: in any order."""
    db, remembered = empty(), Recent(room=8_000)
    said: dict[str, bytes] = {}
    for number, (what, which, other) in enumerate(steps):
        ids = list(said)
        one = ids[which % len(ids)] if ids else None
        match what:
            case "new":
                id = new_id(NOON_US + number * 1_000)
                said[id] = turn(other)
                write_record(db, sent(id, said[id], one), remembered)
            case "again" | "otherwise" if one:
                said[one] = turn(other) if what == "otherwise" else said[one]
                write_record(db, sent(one, said[one], ids[other % len(ids)]), remembered)
            case "release" if one:
                release(db, [db.execute("select id from payloads").fetchone()[0]])
            case "forget":
                remembered.forget()
            case "old" if one:
                limit = NOON_US + which * 1_000
                while let_go(db, limit):
                    pass
                said = {id: body for id, body in said.items() if id >= oldest_id(limit)}
    assert read(db) == said
    assert not list(unreadable(db))
    deepest = db.execute("select request_body from payloads where stored_after is not null")
    assert all(depth_of(row[0]) < LONGEST for row in deepest)


def test_a_request_that_another_process_changed_is_not_remembered(tmp_path: Path) -> None:
    """`db reprocess` rewrites bodies beside the recorder; the next one rests on what is there."""
    path, said = tmp_path / "data.db", []
    writer = Writer(path, Spool(tmp_path / "spool"), said.extend)
    writer.start()
    writer.put(sent("a", turn(5)))
    _until(lambda: said == ["a"])
    other = open_database(path).conn
    write_record(other, sent("a", turn(5, "healed")))
    other.close()
    writer.put(sent("b", turn(6), "a"))
    writer.stop()
    with sqlite3.connect(path) as db:
        assert read(db) == {"a": turn(5, "healed"), "b": turn(6)}


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
