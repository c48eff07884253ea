"""The write-ahead log comes home, also where somebody else is at it."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttrace_mitm.store import log, open_database
from agenttrace_mitm.store.log import bring_home

# SQLite's lock of whoever brings the log home: the second of those behind the index of the log.
AT_IT = """
import fcntl, sys
with open(sys.argv[1], "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX, 1, 121)
    print("at it", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def somebody_at_it(file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that brings the log home until its input ends."""
    argv = [sys.executable, "-c", AT_IT, f"{file}-shm"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"at it\n"
        try:
            yield process
        finally:
            process.stdin.close()


def test_somebody_who_brings_it_home_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else more comes than goes, and the log grows for ever."""
    monkeypatch.setattr("agenttrace_mitm.store.log.WAIT_S", 60.0)
    file = tmp_path / "data.db"
    db = open_database(file).conn
    db.execute("insert into recorder_events (at_us, kind) values (1, 'came home')")
    with somebody_at_it(file) as process:
        assert process.stdin
        threading.Timer(0.05, process.stdin.close).start()
        bring_home(db)
        assert b"came home" in file.read_bytes()
    db.close()


def test_nobody_is_waited_for_without_end(tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    db = open_database(file).conn
    db.execute("insert into recorder_events (at_us, kind) values (1, 'came home')")
    with somebody_at_it(file):
        bring_home(db)
        assert b"came home" not in file.read_bytes()
    bring_home(db)
    assert b"came home" in file.read_bytes()
    db.close()


def test_a_long_log_begins_anew_though_somebody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came while it was brought home is brought as well."""
    db, other, reader = (open_database(tmp_path / "data.db").conn for _ in range(3))
    pages, brought = list[int | None](), log._brought

    def write() -> None:
        other.execute("insert into recorder_events (at_us, kind) values (1, 'x')")

    def brought_while_somebody_writes(db: sqlite3.Connection) -> int | None:
        if not pages:
            reader.execute("begin")
            reader.execute("select count(*) from recorder_events").fetchone()
            write()
        pages.append(brought(db))
        if reader.in_transaction:
            reader.execute("rollback")
        return pages[-1]

    monkeypatch.setattr(log, "_brought", brought_while_somebody_writes)
    db.execute("create table large as select zeroblob(200000) as x")
    for long in (100_000, 20):
        monkeypatch.setattr(log, "LONG_PAGES", long)
        pages.clear()
        bring_home(db)
        write()
    assert pages[0]
    assert pages[0] > 20  # it went on, and is long
    assert brought(db) == 1
    for conn in (db, other, reader):
        conn.close()
