"""How much a step of letting go does at once, by how long the one before held the lock.

A step that took long is followed by one of half its size, one that was quick and had more to do by
a larger one: the size finds itself, whatever the machine, its disk, and what hangs on a call.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .log import bring_home
from .read_ahead import map_and_end
from .transactions import writing

LONG_S = 0.03
SHORT_S = 0.012
"""A writer waits a tenth of a second at most, also where a step has half a processor."""
CACHE_KB = 16_000
IDLE = 20
"""Steps whose changes, some 50 MB, the log has to hold."""


@dataclass(slots=True)
class Pace:
    """Room for `room` things in the next step, between `least` and `most`."""

    room: int
    least: int
    most: int
    clock: Callable[[], float] = time.perf_counter
    done: int = 0
    """What this step has done: only one that had more to do says that there may be more room."""
    idle: int = 0
    """Steps after which there was nothing to give back."""

    def took(self, seconds: float) -> None:
        """The lock was held that long."""
        if seconds > LONG_S:
            self.room = max(self.least, self.room // 2)
        elif seconds < SHORT_S and self.done >= self.room:
            self.room = min(self.most, self.room + self.room // 4 + 1)
        self.done = 0


@contextlib.contextmanager
def roomy(db: sqlite3.Connection) -> Iterator[None]:
    """Room in memory for all pages of a step, as long as it lasts.

    SQLite's own 2 MB hold a tenth of the index pages that a hundred calls are on: what was read
    ahead is read again under the lock, and what was changed is written twice.
    """
    (before,) = db.execute("pragma cache_size").fetchone()
    db.execute(f"pragma cache_size = -{CACHE_KB}")
    try:
        yield
    finally:
        db.execute(f"pragma cache_size = {before}")


@contextlib.contextmanager
def locked(db: sqlite3.Connection, pace: Pace) -> Iterator[None]:
    """A transaction that writes, and whose time counts; whatever ends it, nothing is half done.

    The log is not brought home at its end, which holds no lock but takes its time.
    """
    (pages,) = db.execute("pragma wal_autocheckpoint").fetchone()
    db.execute("pragma wal_autocheckpoint = 0")
    try:
        with writing(db):
            began = pace.clock()
            yield
        pace.took(pace.clock() - began)
    finally:
        db.execute(f"pragma wal_autocheckpoint = {pages}")


def give_back(db: sqlite3.Connection, pace: Pace) -> None:
    """Let the file end earlier, by free pages; and bring the log home, which no step does."""
    (free,) = db.execute("pragma freelist_count").fetchone()
    if free:
        map_and_end(db, min(free, pace.room))
        with locked(db, pace):
            # A page a row: read them all.
            pace.done = len(db.execute(f"pragma incremental_vacuum({pace.room})").fetchall())
    else:
        pace.idle += 1
    if free or pace.idle >= IDLE:
        pace.idle = 0
        bring_home(db)
