"""A database that SQLite cannot read any more: out of the way, and kept for a salvage.

Only a file that is ours is moved: it carries our mark, or it lies in our home folder.
"""

import contextlib
import glob
import sqlite3
import struct
import time
from pathlib import Path

from .opening import APPLICATION_ID

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COMPANIONS = ("", "-wal", "-shm")
MARK_AT = 68  # https://www.sqlite.org/fileformat.html#the_database_header


def set_aside(path: Path, home: Path, *, thorough: bool) -> Path | None:
    """Move a damaged database away; where it is now, None when it is sound or not ours.

    *thorough* reads all of it, which takes a while for a large one.
    """
    if not path.exists() or not _is_damaged(path, thorough):
        return None
    if not _is_ours(path, home):
        return None
    place = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{place}{suffix}")
    return place


def set_aside_of(path: Path) -> list[Path]:
    """What `set_aside` made of files that were at *path*, their logs among them."""
    return sorted(path.parent.glob(f"{glob.escape(path.name)}.damaged-*"))


def _is_damaged(path: Path, thorough: bool) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("select count(*) from sqlite_master").fetchone()
            if thorough:
                return db.execute("pragma quick_check(1)").fetchall() != [("ok",)]
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode & 0xFF in DAMAGED
    return False


def _is_ours(path: Path, home: Path) -> bool:
    with path.open("rb") as file:
        mark = file.read(MARK_AT + 4)[MARK_AT:]
    return mark == struct.pack(">I", APPLICATION_ID) or path.parent == home
