"""SQLite's write-ahead log, kept short while much changes.

What is committed stands in the log until it is brought home, into the file.  Who writes next begins
the log anew where all of it is home.  Beside somebody who writes every few milliseconds it never
was: who brought it home had more to bring all the time, from steps that did not wait for it, and
the log grew by gigabytes.
"""

import sqlite3
import time

WAIT_S = 0.1
AGAIN_S = 0.002


def bring_home(db: sqlite3.Connection) -> None:
    """Write what the log holds into the file, outside a transaction; nobody waits for it.

    Where somebody else does so, that is waited for, `WAIT_S` at most: no more comes meanwhile.
    """
    last = time.monotonic() + WAIT_S
    while _somebody_else_does(db) and time.monotonic() < last:
        time.sleep(AGAIN_S)


def _somebody_else_does(db: sqlite3.Connection) -> bool:
    busy, _, _ = db.execute("pragma wal_checkpoint(passive)").fetchone()
    return bool(busy)
