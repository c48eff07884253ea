"""A database that takes nothing costs time, not data: where calls wait, and what is told."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import Record
from agenttrace_mitm.store import Event, Spool, Writer, open_database
from agenttrace_mitm.store import writer as writer_module
from agenttrace_mitm.store.outages import why
from tests.store.kept import Kept, rows, until
from tests.support.records import call, message, record


def _full_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> threading.Event:
    """SQLite's own "disk is full", beyond so many pages; there is room again once it is cleared."""
    full = threading.Event()
    full.set()

    def opened(database: Path) -> Database:
        db = open_database(database)
        if full.is_set():
            [[pages]] = db.execute("pragma page_count")
            db.execute(f"pragma max_page_count = {pages + room}")
        return db

    monkeypatch.setattr(writer_module, "open_database", opened)
    return full


def _long() -> Record:
    return record().model_copy(update={"messages": (message("word " * 4_000, fingerprint="f"),)})


def test_a_locked_database_costs_time_not_data(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls go to the spool while another program holds the lock, and come home after."""
    monkeypatch.setattr("agenttrace_mitm.store.opening.BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    path = tmp_path / "data.db"
    open_database(path).close()
    spool = Spool(tmp_path / "spool")
    writer = Writer(path, spool, kept)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    writer.start()
    one, two = record("first"), record("second")
    writer.put(one)
    kept.wait_for(1)
    assert spool.waiting()
    assert spool.waiting()[0].stat().st_mode & 0o777 == 0o600
    lock.execute("rollback")
    writer.put(two)
    kept.wait_for(2)
    writer.stop()
    assert {row[0] for row in rows(path, "select id from llm_calls")} == {one.call.id, two.call.id}
    assert not spool.waiting()
    assert rows(path, "select kind from recorder_events") == [("spool_replayed",)]


def test_a_full_disk_is_told_until_there_is_room_again(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many calls wait, for how long, and why; then all of them are rows."""
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    path = tmp_path / "data.db"
    open_database(path).close()
    full = _full_disk(monkeypatch, room=0)
    spool = Spool(tmp_path / "spool")
    writer = Writer(path, spool, kept)
    assert writer.trouble == ""
    writer.start()
    long = [_long() for _ in range(3)]
    for one in long:
        writer.put(one)
    kept.wait_for(3)
    writer.put(record().model_copy(update={"call": call(outcome="in_flight", ended_us=None)}))
    kept.wait_for(4)
    time.sleep(0.1)
    figures = writer.figures()
    assert writer.trouble == "the disk is full"
    assert figures["spooled_calls"] == 3, "a call under way does not wait"
    assert figures["lag_seconds"] >= 0.1
    full.clear()
    until(lambda: not writer.trouble)
    writer.stop()
    assert rows(path, "select count(*) from llm_calls where outcome <> 'in_flight'") == [(3,)]
    assert writer.trouble == ""
    assert (writer.figures()["spooled_calls"], writer.figures()["lag_seconds"]) == (0, 0)
    [[told]] = rows(path, "select detail from recorder_events where kind = 'spool_replayed'")
    assert str(told).startswith("3 calls had waited in the spool, the first for ")


def test_in_an_outage_each_call_goes_to_the_spool_at_once(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spooled is not read, and tried, again for each that joins it."""
    monkeypatch.setattr("agenttrace_mitm.store.opening.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer_module, "RETRY_S", 60)
    path = tmp_path / "data.db"
    open_database(path).close()
    opened: list[Path] = []

    def counted(database: Path) -> Database:
        opened.append(database)
        return open_database(database)

    monkeypatch.setattr(writer_module, "open_database", counted)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    for number in range(1, 11):
        writer.put(record(f"{number}"))
        kept.wait_for(number)
    assert writer.figures()["spooled_calls"] == 10
    assert len(opened) == 2, "the first call, and retention"
    lock.execute("rollback")
    writer.stop()
    assert rows(path, "select count(*) from llm_calls") == [(10,)]


def test_a_try_reads_one_spooled_call_where_there_is_no_room(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agenttrace_mitm.store.opening.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    path = tmp_path / "data.db"
    open_database(path).close()
    spool = Spool(tmp_path / "spool")
    spool.add([record(f"{number}") for number in range(300)])
    tries: list[int] = []
    read_spool = spool.read

    def counted(file: Path) -> Iterator[Record]:
        tries.append(0)
        for one in read_spool(file):
            tries[-1] += 1
            yield one

    monkeypatch.setattr(spool, "read", counted)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    writer = Writer(path, spool, kept)
    writer.start()
    until(lambda: len(tries) >= 4)
    lock.execute("rollback")
    writer.stop()
    assert set(tries[:3]) == {1}
    assert tries[-1] == 300
    assert rows(path, "select count(*) from llm_calls") == [(300,)]


def test_a_try_does_not_count_again_what_is_home(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for the first, and for none of the others: it is written and counted once."""
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    path = tmp_path / "data.db"
    open_database(path).close()
    full = _full_disk(monkeypatch, room=12)
    spool = Spool(tmp_path / "spool")
    spool.add([record("short"), *(record(os.urandom(100_000).hex()) for _ in range(3))])
    tries: list[int] = []
    read_spool = spool.read

    def counted(file: Path) -> Iterator[Record]:
        tries.append(0)
        return read_spool(file)

    monkeypatch.setattr(spool, "read", counted)
    writer = Writer(path, spool, kept)
    writer.start()
    until(lambda: len(tries) >= 5)
    assert rows(path, "select count(*) from llm_calls") == [(1,)]
    assert writer.figures()["committed_calls"] == 1
    assert writer.figures()["spooled_calls"] == 3
    assert writer.trouble == "the disk is full"
    full.clear()
    writer.stop()
    assert rows(path, "select count(*) from llm_calls") == [(4,)]
    assert writer.figures()["committed_calls"] == 4
    [[told]] = rows(path, "select detail from recorder_events where kind = 'spool_replayed'")
    assert str(told).startswith("4 calls had waited in the spool")


def test_what_an_earlier_recorder_spooled_is_counted(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began again in the middle of the outage."""
    monkeypatch.setattr("agenttrace_mitm.store.opening.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    path = tmp_path / "data.db"
    open_database(path).close()
    quoting = record('"outcome":"in_flight"')
    Spool(tmp_path / "spool").add([quoting, record("another")])
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    until(lambda: writer.trouble)
    assert writer.figures()["spooled_calls"] == 2
    assert writer.trouble == "another program keeps the database locked"
    lock.execute("rollback")
    writer.stop()
    assert rows(path, "select count(*) from llm_calls") == [(2,)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError(errno.EIO, "broken"), "the database cannot be written ([Errno 5] broken)"),
    ],
)
def test_an_outage_has_a_reason(tmp_path: Path, error: OSError, said: str) -> None:
    assert why(error, tmp_path / "data.db") == said
    wrapped = StoreError("data.db cannot be opened", "Choose another")
    wrapped.__cause__ = error
    assert why(wrapped, tmp_path / "data.db") == said


def test_events_of_an_outage_come_home_too(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was dropped while the database was away is told once it is back."""
    monkeypatch.setattr("agenttrace_mitm.store.opening.BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    path = tmp_path / "data.db"
    open_database(path).close()
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    forgotten: list[bool] = []
    spool = Spool(tmp_path / "spool", limit_bytes=20_000)
    writer = Writer(path, spool, kept, forgotten=lambda: forgotten.append(True))
    writer.start()
    first, second = record("first"), _long()
    writer.put(first)
    kept.wait_for(1)
    writer.put(Event("calls_lost", "3 calls", 7))
    writer.put(second)
    kept.wait_for(2)
    lock.execute("rollback")
    writer.stop()
    told = rows(path, "select kind from recorder_events where kind <> 'spool_replayed'")
    assert sorted(told) == [("calls_lost",), ("content_dropped",)]
    assert forgotten
    assert rows(path, "select count(*) from llm_calls") == [(2,)]
