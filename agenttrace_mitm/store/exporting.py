"""Rows for exports, one after the other from a single cursor; and a copy of the whole file.

An export sees one moment of the database, however long it takes, and keeps nobody from writing.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StoreError, no_database
from .chains import bodies_of
from .descriptions import CALL_COLUMNS
from .payloads import headers_of
from .queries import NOT_OURS, connected, last_number, remedy_of
from .rows import JSON_COLUMNS

BUSY_S = 15.0
_FILTERS = {
    "agent": "agent_id = :agent",
    "provider": "provider = :provider",
    "model": "coalesce(response_model, model) = :model",
    "session": "session_id = :session",
    "trace": "trace_id = :trace",
    "since_us": "started_us >= :since_us",
    "until_us": "started_us < :until_us",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which calls; what is None is not asked."""

    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    session: str | None = None
    trace: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """What is kept of a call's bytes; headers as pairs, None where nothing is kept."""

    request_headers: list[list[str]]
    response_headers: list[list[str]]
    request_body: bytes | None
    response_body: bytes | None


class Export:
    """An open export of the calls *chosen*, oldest first.  Close it, or use it in a `with`."""

    columns = (*CALL_COLUMNS, "cost_usd")

    def __init__(self, database: Path, chosen: Chosen) -> None:
        names = [name for name in _FILTERS if getattr(chosen, name) is not None]
        self._where = " and ".join(_FILTERS[name] for name in names) or "1"
        self._given = {name: getattr(chosen, name) for name in names}
        with _explained(database):
            self._db = connected(database, busy_s=BUSY_S, any_thread=True)
            self._db.execute("begin")  # one moment for the count, the rows and their bytes
            sql = f"select count(*) from llm_calls where {self._where}"
            declared = self._db.execute("pragma table_xinfo(llm_calls)")
            self.types: dict[str, str] = {row[1]: row[2].lower() for row in declared}
            self.count: int = self._db.execute(sql, self._given).fetchone()[0]

    def __enter__(self) -> "Export":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The calls, JSON columns as values."""
        sql = (
            f"select {', '.join(self.columns)} from llm_calls where {self._where}"
            " order by started_us, id"
        )
        for row in self._db.execute(sql, self._given):
            values = dict(zip(self.columns, row, strict=True))
            for name in JSON_COLUMNS:
                if values[name] is not None:
                    values[name] = json.loads(values[name])
            yield values

    def wire(self, call_id: str) -> Wire | None:
        """The bytes of a call, decoded and redacted as they are stored; None where none are."""
        sql = """
            select request_headers, response_headers from payloads where call_id = ?
        """
        row = self._db.execute(sql, (call_id,)).fetchone()
        if row is None:
            return None
        sent, got = map(headers_of, row)
        bodies = bodies_of(self._db, call_id)
        return Wire(sent, got, bodies.request, bodies.response)


_NOT_WRITTEN = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
)
"""Errors of the copy: the database is only read."""


def make_copy(database: Path, target: Path) -> None:
    """Make the empty, private file *target* for what comes of *database*.

    Raises `StoreError` where there is no database, or a file of that name.
    """
    if not database.exists():
        raise no_database(database)
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise StoreError(f"{target} is there already", "Name a file that is not") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error.strerror})") from None


def backup(database: Path, target: Path, tell: Callable[[int, int], None]) -> None:
    """Copy *database* to *target* while it is written to; *tell* gets pages done and in all.

    Raises `StoreError`; a copy that did not get whole is not left behind.
    """
    last_number(database)  # of another program's file we would say that it can be gone on with
    make_copy(database, target)
    try:
        with _explained(database), contextlib.closing(sqlite3.connect(target)) as copy:
            source = sqlite3.connect(database, timeout=BUSY_S)
            with contextlib.closing(source):
                # In one step: between two of them a busy writer would make it begin anew.
                source.backup(copy, progress=lambda _, left, pages: tell(pages - left, pages))
            if copy.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise StoreError(f"{database} is damaged", "See: agenttrace-mitm db verify")
    except StoreError as error:
        target.unlink(missing_ok=True)
        if getattr(error.__cause__, "sqlite_errorcode", None) in _NOT_WRITTEN:
            raise StoreError(
                f"{target} cannot be written ({error.__cause__})", "Make room, or name another file"
            ) from None
        raise
    except BaseException:  # Ctrl-C as well: half a copy is none
        target.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _explained(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        remedy = remedy_of(error, NOT_OURS)
        raise StoreError(f"{database} cannot be read ({error})", remedy) from error
