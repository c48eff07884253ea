"""The write-ahead log comes home, also where somebody else is at it."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttrace_mitm.store import open_database
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
