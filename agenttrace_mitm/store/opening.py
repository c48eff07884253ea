"""How the database is opened: ours and no other program's, brought up to date, tuned."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Literal

from sqlite_utils import Database

from ..errors import StoreError
from .schema import migrations
from .transactions import writing

APPLICATION_ID = 0x41547263  # "ATrc", in the file header: tells our file from other programs'
BUSY_TIMEOUT_MS = 20_000

type Way = Literal["brought up to date", "as it is", "as if nobody wrote it"]

type Identity = tuple[int, int] | None
"""Device and number of a file; None where there is none."""


def open_database(path: Path) -> Database:
    """The database at *path*, created or brought up to date; safe for several processes at once.

    Raises `StoreError` when the file cannot be used or is another program's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600, exist_ok=True)
        db = Database(_connect(path))
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{path} cannot be opened ({error})", "Choose another file with --db"
        ) from error
    try:
        _claim(db, path)
        _migrate(db)
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreError(
            f"{path} is not a usable SQLite database ({error})",
            "Move it away or choose another file with --db",
        ) from error
    except BaseException:  # Ctrl-C as well: no connection is left open
        db.close()
        raise
    return db


def way_in(path: Path) -> Way:
    """How to show the database at *path*, which is brought up to date where that can be written.

    Raises `StoreError` as `open_database`, but where it can be read and nobody here may write it.
    """
    try:
        open_database(path).close()
    except StoreError:
        if not _may_only_be_read(path):
            raise
        # A log beside the file wants to be written even to be read: without one there is no writer
        # whose changes could be missed.
        ways: dict[Way, str] = {"as it is": "mode=ro", "as if nobody wrote it": "immutable=1"}
        for way, how in ways.items():
            if _is_ours(path, how):
                return way
        raise
    return "brought up to date"


def _may_only_be_read(path: Path) -> bool:
    return os.access(path, os.R_OK) and not (
        os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    )


def _is_ours(path: Path, how: str) -> bool:
    with contextlib.suppress(sqlite3.Error):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)
        with contextlib.closing(db):
            mark = db.execute("pragma application_id").fetchone()[0]
            db.execute("select count(*) from sqlite_master").fetchone()
            return bool(mark == APPLICATION_ID)
    return False


def open_again(path: Path) -> sqlite3.Connection:
    """A further connection to the database at *path*; nothing is made, or brought up to date.

    Raises `sqlite3.OperationalError` where there is none.
    """
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
    )
    db.execute("pragma synchronous = normal")
    return db


def identity(path: Path) -> Identity:
    """Which file has that name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_behind(db: sqlite3.Connection) -> bool:
    """True where an older version wrote *db*, and nobody has brought it up to date since."""
    return bool(migrations.pending(Database(db)))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)


def _claim(db: Database, path: Path) -> None:
    """Refuse a file that belongs to somebody else; mark and prepare an empty one."""
    mark, has_tables = _owner(db)
    if mark == APPLICATION_ID:
        db.execute("pragma synchronous = normal")
        return
    if mark or has_tables:
        raise StoreError(
            f"{path} is a database of another program", "Choose another file with --db"
        )
    db.execute("pragma page_size = 8192")
    db.execute("pragma auto_vacuum = incremental")
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = normal")


def _owner(db: Database) -> tuple[int, bool]:
    """The file's mark, and whether it has tables.

    In one transaction, hence of one moment: another process may be creating the database, and its
    tables without its mark would look like somebody else's.
    """
    db.execute("begin")
    try:
        mark = db.execute("pragma application_id").fetchone()[0]
        tables = db.execute("select count(*) from sqlite_master").fetchone()[0]
    finally:
        db.execute("rollback")
    return mark, bool(tables)


def _migrate(db: Database) -> None:
    # Two processes may get here at once, and applying is not safe by itself: the second waits
    # for the lock, then finds nothing left to do.
    if not migrations.pending(db):
        return
    with writing(db.conn):
        migrations.apply(db)
        db.execute(f"pragma application_id = {APPLICATION_ID}")
