"""What a writer called safe, and what is in its database."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Kept:
    """Ids that a writer called safe, and a way to wait for them."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._more = threading.Condition()

    def __call__(self, ids: Sequence[str]) -> None:
        with self._more:
            self.ids += ids
            self._more.notify_all()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.ids) >= count, timeout=30)


def until(holds: Callable[[], object]) -> None:
    """Wait for what a writer does on its thread."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What *sql* finds in the database at *path*."""
    with sqlite3.connect(path) as db:
        return list(db.execute(sql))
