"""A connection to look things up with, in whichever file has the database's name.

What cannot be read is not known: a database that is damaged, gone or locked costs a call its
neighbours, never its row.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .opening import open_database

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 5.0


class Found:
    """The rows of a query, as a cursor gives them."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        """The next row, None at the end."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(self._rows)


class Reading:
    """Reads the database at *path*; `renew` after the file was replaced.

    Raises `StoreError` when it cannot be opened at first; later it finds nothing, and tries to
    open it again from time to time.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._again_at = clock()
        self._db: sqlite3.Connection | None = open_database(path).conn

    def execute(self, sql: str, parameters: "sqlite3._Parameters" = ()) -> Found:
        """The rows of a query; none when the database cannot be read."""
        db = self._connection()
        if db is None:
            return Found([])
        try:
            return Found(db.execute(sql, parameters).fetchall())
        except sqlite3.Error as error:
            self._give_up(error)
            return Found([])

    def renew(self) -> None:
        """Look into the file that has the name now."""
        self.close()
        self._again_at = self._clock()
        self._connection()

    def close(self) -> None:
        """Look no more."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> sqlite3.Connection | None:
        if self._db is None and self._clock() >= self._again_at:
            try:
                self._db = open_database(self._path).conn
            except StoreError as error:
                self._give_up(error)
        return self._db

    def _give_up(self, error: Exception) -> None:
        log.warning("%s cannot be read (%s); calls stand alone meanwhile", self._path, error)
        self.close()
        self._again_at = self._clock() + AGAIN_AFTER_S


type Readable = sqlite3.Connection | Reading
"""What can be asked."""
