"""A connection to look things up with, in whichever file has the database's name."""

import sqlite3
from pathlib import Path

from .schema import open_database


class Reading:
    """Reads the database at *path*; `renew` after the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_database(path).conn

    def execute(self, sql: str, parameters: "sqlite3._Parameters" = ()) -> sqlite3.Cursor:
        """The rows of a query."""
        return self._db.execute(sql, parameters)

    def renew(self) -> None:
        """Look into the file that has the name now."""
        self.close()
        self._db = open_database(self._path).conn

    def close(self) -> None:
        """Look no more."""
        self._db.close()
