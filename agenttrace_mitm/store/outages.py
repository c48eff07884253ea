"""Whether the database is to blame for a failure, or the record; and what it means, in words."""

import errno
import shutil
import sqlite3
from pathlib import Path

from ..errors import StoreError

HARDLY_ANY_BYTES = 64 * 1024
"""Of free disk; SQLite wants at least so much for its log."""


def is_outage(error: Exception) -> bool:
    """True when the database is to blame, false when it is the record."""
    return isinstance(error, sqlite3.OperationalError | StoreError | OSError) or (
        type(error) is sqlite3.DatabaseError
    )


def why(error: Exception, path: Path) -> str:
    """What *error* means for who reads how recording fares; *path* is the database's."""
    cause = error.__cause__ if isinstance(error, StoreError) and error.__cause__ else error
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    number = getattr(cause, "errno", None)
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT) or _is_full(path):
        return "the disk is full"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program keeps the database locked"
    return f"the database cannot be written ({cause})"


def _is_full(path: Path) -> bool:
    """Whether there is no room beside *path*: SQLite may call that an error of reading."""
    try:
        return shutil.disk_usage(path.parent).free < HARDLY_ANY_BYTES
    except OSError:
        return False
