"""How long a step may hold the lock, and what is read before it does."""

import gc
import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Payload, Record, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.aging import let_calls_go
from agenttrace_mitm.store.pace import IDLE, LONG_S, SHORT_S, Pace, give_back, locked
from agenttrace_mitm.store.read_ahead import look_at, read
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call, message

DAY_US = 86_400_000_000
OLD_US = NOON_US - 90 * DAY_US
THREAD = Path("/proc/thread-self/io")
PAGE = 8192


class Clock:
    """Each time it is asked, so much later."""

    def __init__(self) -> None:
        self.step = self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_step_that_held_the_lock_for_long_is_followed_by_a_smaller_one(tmp_path: Path) -> None:
    db, clock = open_database(tmp_path / "data.db").conn, Clock()
    pace = Pace(40, 5, 50, clock)
    rooms = []
    for took, done in [
        (LONG_S * 2, 40), (LONG_S * 2, 20), (LONG_S * 2, 0), (LONG_S * 2, 0),  # down to the least
        (SHORT_S / 2, 4), (SHORT_S / 2, 5), (SHORT_S * 2, 7), *[(SHORT_S / 2, 50)] * 12,
    ]:  # fmt: skip
        clock.step = took
        with locked(db, pace):
            pace.done = done
        rooms.append(pace.room)
    assert rooms[:7] == [20, 10, 5, 5, 5, 7, 7]
    assert rooms[7:9] == [9, 12]
    assert rooms[-1] == 50
    db.close()


def test_a_step_that_fails_is_undone_and_the_log_comes_home_as_before(tmp_path: Path) -> None:
    db = open_database(tmp_path / "data.db").conn
    before = db.execute("pragma wal_autocheckpoint").fetchone()
    with pytest.raises(KeyboardInterrupt), locked(db, Pace(1, 1, 1)):
        db.execute("insert into recorder_events (at_us, kind) values (1, 'x')")
        raise KeyboardInterrupt
    assert not db.in_transaction
    assert db.execute("select count(*) from recorder_events").fetchone() == (0,)
    assert db.execute("pragma wal_autocheckpoint").fetchone() == before
    db.close()


def test_free_pages_are_given_back_in_bites(tmp_path: Path) -> None:
    db, clock = open_database(tmp_path / "data.db").conn, Clock()
    db.execute("create table large as select zeroblob(800000) as x")
    db.execute("drop table large")
    free = [db.execute("pragma freelist_count").fetchone()[0]]
    pace = Pace(20, 5, 30, clock)
    for took in (0.0, LONG_S * 2, 0.0):
        clock.step = took
        give_back(db, pace)
        free.append(db.execute("pragma freelist_count").fetchone()[0])
    assert free[0] > 60
    assert [was - now for was, now in itertools.pairwise(free)] == [20, 26, 13]
    db.close()


def test_the_log_comes_home_also_where_nothing_is_given_back(tmp_path: Path) -> None:
    """A step does not bring it home itself, and nobody else may write for hours."""
    db, pace = open_database(tmp_path / "data.db").conn, Pace(20, 5, 30)
    told: list[str] = []
    db.set_trace_callback(told.append)
    for _ in range(IDLE * 2 + 1):
        give_back(db, pace)
    assert told.count("pragma wal_checkpoint(passive)") == 2
    db.close()


def written(folder: Path) -> Path:
    """A file whose rows are long, and whose indexes have many pages; none of it is in memory."""
    db, some = open_database(folder / "data.db").conn, random.Random(1)
    db.execute("begin")
    ids: list[str] = []
    for number in range(200):
        at_us = OLD_US + number * 1_000_000
        id_, other = new_id(at_us), f"{some.getrandbits(128):032x}"
        ids.append(id_)
        words = " ".join(f"{some.getrandbits(40):x}" for _ in range(800))
        write_record(
            db,
            Record(
                call=call(id=id_, started_us=at_us, trace_id=other, session_id=other,
                          continues_call_id=ids[number - 60] if 60 <= number < 120 else None,
                          thread_id=other, turn_print=other[:16], reply_print=other[16:]),
                messages=(message(words, 0), message(f"{number}", 1)),
                tool_calls=(StoredToolCall(
                    tool_call_id=other, position=0, name=other, arguments=words),),
                payload=Payload(request_body=some.randbytes(30_000)),
            ),
        )  # fmt: skip
        event = f"{some.getrandbits(128):x}", at_us, some.randbytes(3_000).hex()
        db.execute("insert into events (id, at_us, message) values (?, ?, ?)", event)
    db.execute("commit")
    db.close()
    return folder / "data.db"


def bytes_read() -> int:
    """What this thread has read from files, in memory or not."""
    return int(THREAD.read_text().split()[1])


def under_lock(file: Path, what: Callable[..., int]) -> int:
    """Pages that a step reads while it holds the lock for what it deletes."""
    db = open_database(file).conn
    db.execute("pragma cache_size = -64000")
    told: list[tuple[str, int]] = []
    db.set_trace_callback(lambda sql: told.append((sql, bytes_read())))
    gc.collect()
    gc.disable()  # a connection that another test forgot would bring its log home meanwhile
    try:
        assert what(db, NOON_US, None, Pace(60, 60, 60))
    finally:
        gc.enable()
    db.set_trace_callback(None)
    db.close()
    said = [sql for sql, _ in told]
    began = [place for place, sql in enumerate(said) if sql == "begin immediate"][-2]  # no vacuum
    return (told[said.index("commit", began)][1] - told[began][1]) // PAGE


@pytest.mark.skipif(not THREAD.exists(), reason="only Linux says what a thread has read")
@pytest.mark.parametrize(
    ("what", "reads", "blind"),
    [
        (let_go, "retention._looked_at", lambda db, due, *_: (due, 0)),
        (let_calls_go, "aging._read_ahead", lambda *_: 0),
    ],
)
def test_what_a_step_needs_is_read_before_anybody_waits_for_it(
    tmp_path: Path,
    what: Callable[..., int],
    reads: str,
    blind: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the lock is held, a few pages of lists and of the search index, none per row."""
    monkeypatch.setattr("agenttrace_mitm.store.retention.SLICE_S", 60.0)  # as many calls in both
    file = written(tmp_path)
    shutil.copy(file, tmp_path / "other.db")
    ahead = under_lock(file, what)
    monkeypatch.setattr(f"agenttrace_mitm.store.{reads}", blind)
    blindly = under_lock(tmp_path / "other.db", what)
    assert ahead < min(blindly / 2, 40)


@pytest.mark.skipif(not THREAD.exists(), reason="only Linux says what a thread has read")
def test_rows_are_looked_at_in_every_index_that_deleting_them_changes(tmp_path: Path) -> None:
    """That of a text as the primary key too: nothing else leads there, and it has no order."""
    file, some = tmp_path / "data.db", random.Random(1)
    db = open_database(file).conn
    spans = [(f"{some.getrandbits(256):064x}", str(number // 50)) for number in range(10_000)]
    db.executemany("insert into spans (span_id, trace_id) values (?, ?)", spans)
    db.close()
    db = open_database(file).conn
    db.execute("pragma cache_size = -64000")
    assert read(db, look_at(db, "spans") + "trace_id = '7'") == 50
    before = bytes_read()
    db.execute("delete from spans where trace_id = '7'")
    assert (bytes_read() - before) // PAGE < 10
    db.close()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="the system does not list descriptors")
def test_the_end_of_the_file_is_read_before_it_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the map, here the second page; by SQLite's descriptor: closing ours ends its locks."""
    file, done = tmp_path / "data.db", list[str | range]()
    db = open_database(file).conn
    db.execute("create table large as select zeroblob(4000000) as x")
    db.execute("create table last as select zeroblob(400000) as x")
    db.execute("drop table large")
    db.execute("pragma wal_checkpoint(truncate)")
    pages = file.stat().st_size // PAGE

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        assert os.path.samestat(os.fstat(descriptor), file.stat())
        done.append(range(offset // PAGE, (offset + size) // PAGE))
        return b""

    monkeypatch.setattr("os.pread", pread)
    monkeypatch.setattr("agenttrace_mitm.store.read_ahead.CHUNK", 10 * PAGE)
    db.set_trace_callback(done.append)
    give_back(db, Pace(35, 5, 50))
    db.set_trace_callback(None)
    read = [one for one in done[: done.index("begin immediate")] if isinstance(one, range)]
    assert [page for pages in read for page in pages] == [1, *range(pages - 35, pages)]
    assert db.execute("pragma page_count").fetchone() == (pages - 35,)
    db.close()
