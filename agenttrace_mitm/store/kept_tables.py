"""What retention leaves alone, and how far it has come."""

import sqlite3

TABLES = {
    "holds": "sessions that retention leaves alone",
    "horizon": "since when calls are kept; sums from before it are all that is left",
}
COLUMNS = {
    "holds": {
        "session_id": "the session, sessions.session_id",
        "since_us": "when it was put on hold, microseconds, UTC",
        "note": "why",
    },
    "horizon": {
        "only": "1: there is one row",
        "since_us": "calls that began before it have gone, microseconds, UTC",
    },
}


def create(db: sqlite3.Connection) -> None:
    """The tables, empty: everything is kept."""
    db.execute("create table holds (session_id text primary key, since_us integer, note text)")
    db.execute("create table horizon (only integer primary key check (only = 1), since_us integer)")
