"""Retention beside the writer: neither waits for what the other does without the lock."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agenttrace_mitm.store import Keeping, Spool, Writer, open_database
from agenttrace_mitm.store.keeper import Keeper
from agenttrace_mitm.store.opening import identity
from tests.support.records import record

SOON_S = 30.0


class Steps(Keeping):
    """Keeps what a test says: `begun` tells of each step, which ends once it `may_end`."""

    def __init__(self, steps: int = 1) -> None:
        super().__init__()
        set_ = object.__setattr__  # frozen
        set_(self, "left", steps)
        set_(self, "begun", threading.Semaphore(0))
        set_(self, "may_end", threading.Semaphore(0))

    left: int
    begun: threading.Semaphore
    may_end: threading.Semaphore

    def step(self, db: sqlite3.Connection, now_us: int) -> bool:
        db.execute("select count(*) from llm_calls").fetchone()
        self.begun.release()
        assert self.may_end.acquire(timeout=SOON_S)
        object.__setattr__(self, "left", self.left - 1)
        return self.left > 0


def wait_for(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.01)


def test_rows_do_not_wait_for_a_step(tmp_path: Path) -> None:
    """And the log is left to the keeper, as long as it is at work; then it is the writer's."""
    keeping, saved = Steps(), threading.Semaphore(0)
    writer = Writer(
        tmp_path / "data.db", Spool(tmp_path / "spool"), lambda ids: saved.release(),
        keeping=keeping,
    )  # fmt: skip
    writer.start()
    assert keeping.begun.acquire(timeout=SOON_S)
    file, log = tmp_path / "data.db", tmp_path / "data.db-wal"
    for number in range(3):
        writer.put(record("x" * 6_000_000, started_us=number))
        assert saved.acquire(timeout=SOON_S)
    assert log.stat().st_size > 18_000_000
    assert file.stat().st_size < 6_000_000
    keeping.may_end.release()

    def is_home() -> bool:
        writer.put(record("and more"))
        return saved.acquire(timeout=SOON_S) and file.stat().st_size > 18_000_000

    wait_for(is_home)
    writer.stop()
    assert keeping.left == 0


def keeper_of(file: Path, keeping: Keeping, gone: list[str]) -> Keeper:
    return Keeper(file, keeping, lambda: gone.append("some"))


def test_it_goes_on_until_nothing_is_left_and_tells_of_each_step(tmp_path: Path) -> None:
    file, keeping, gone = tmp_path / "data.db", Steps(3), list[str]()
    open_database(file).close()
    keeper = keeper_of(file, keeping, gone)
    keeper.begin(identity(file))
    for _ in range(3):
        assert keeping.begun.acquire(timeout=SOON_S)
        assert keeper.at_work
        keeper.begin(identity(file))  # it is
        keeping.may_end.release()
    wait_for(lambda: not keeper.at_work)
    assert (keeping.left, gone) == (0, ["some", "some"])


def test_it_stops_after_the_step_under_way(tmp_path: Path) -> None:
    file, keeping, gone = tmp_path / "data.db", Steps(100), list[str]()
    open_database(file).close()
    keeper = keeper_of(file, keeping, gone)
    keeper.halt()  # it has not begun
    keeper.begin(identity(file))
    assert keeping.begun.acquire(timeout=SOON_S)

    def end_once_it_shall_stop() -> None:
        keeper._halt.wait(SOON_S)
        keeping.may_end.release()

    threading.Thread(target=end_once_it_shall_stop).start()
    keeper.halt()
    assert (keeping.left, keeper.at_work) == (99, False)
    assert not file.with_name("data.db-wal").exists()  # it was the last to close the file


def test_a_file_that_was_replaced_is_left_alone(tmp_path: Path) -> None:
    """The new one has the log of the old: none of it may be said of the other."""
    file, keeping, gone = tmp_path / "data.db", Steps(100), list[str]()
    open_database(file).close()
    was = identity(file)
    keeper = keeper_of(file, keeping, gone)
    keeper.begin(was)
    assert keeping.begun.acquire(timeout=SOON_S)
    file.rename(tmp_path / "old.db")
    keeping.may_end.release()
    wait_for(lambda: not keeper.at_work)
    keeper.begin(was)
    wait_for(lambda: not keeper.at_work)
    assert keeping.left == 99
    assert not file.exists()


def test_a_database_that_cannot_be_read_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "data.db"
    file.write_bytes(b"no database" * 1_000)
    keeper = keeper_of(file, Steps(), [])
    keeper.begin(identity(file))
    keeper.halt()
    assert "old content stays for now (file is not a database)" in caplog.text
