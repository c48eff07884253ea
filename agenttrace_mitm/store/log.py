"""SQLite's write-ahead log, kept short while much changes.

What is committed stands in the log until it is brought home, into the file.  Who writes next begins
the log anew where all of it is home.  Beside somebody who writes every few milliseconds it never
was: what was written while the log came home stayed out until the next time.  And where that was
somebody else's work, more came all the time from steps that did not wait for it.  It grew by
gigabytes.
"""

import sqlite3
import time

LONG_PAGES = 4_000
"""32 MB."""
AGAIN = 3
WAIT_S = 0.1
PAUSE_S = 0.002


def bring_home(db: sqlite3.Connection) -> None:
    """Write what the log holds into the file, outside a transaction; nobody waits for it.

    Where somebody else does so, that is waited for, `WAIT_S` at most: no more comes meanwhile.
    Of a long log what has come since is brought as well: a few pages, for which nothing has the
    time to come.
    """
    last = time.monotonic() + WAIT_S
    while (pages := _brought(db)) is None and time.monotonic() < last:
        time.sleep(PAUSE_S)
    if pages and pages > LONG_PAGES:
        for _ in range(AGAIN):
            _brought(db)


def _brought(db: sqlite3.Connection) -> int | None:
    """Pages that the log holds, home now; None where somebody else is at it."""
    _, pages, _ = db.execute("pragma wal_checkpoint(passive)").fetchone()
    return None if pages < 0 else int(pages)
