"""What retention leaves alone, and how far it has come."""

import sqlite3

from ..model import LlmCall

TABLES = {
    "holds": "sessions that retention leaves alone",
    "horizon": "since when calls are kept; sums from before it are all that is left",
    "content_mark": "how far content has been let go: the last call that retention has passed",
    "content_waiting": "calls it has passed whose content is still there, and until when",
}
COLUMNS = {
    "holds": {
        "session_id": "the session, sessions.session_id",
        "since_us": "when it was put on hold, microseconds, UTC",
        "note": "why",
    },
    "horizon": {
        "only": "1: there is one row",
        "since_us": "calls that began before it may have gone, microseconds, UTC",
    },
    "content_mark": {
        "only": "1: there is one row",
        "call_id": "the last call passed; later ones are kept",
        "ages": "JSON: how much longer than others an agent's content is kept, microseconds",
    },
    "content_waiting": {
        "call_id": "the call, llm_calls.id",
        "due_us": "when it is looked at again; NULL: once no call goes on from it, nor is it held",
    },
}


def create(db: sqlite3.Connection) -> None:
    """The tables, empty: everything is kept."""
    db.execute("create table holds (session_id text primary key, since_us integer, note text)")
    db.execute("create table horizon (only integer primary key check (only = 1), since_us integer)")


def create_waiting(db: sqlite3.Connection) -> None:
    """Which calls' content is to go next: what a step of retention looks at."""
    db.execute(
        "create table content_mark"
        " (only integer primary key check (only = 1), call_id text not null, ages text not null)"
    )
    db.execute(
        "create table content_waiting (call_id text primary key, due_us integer) without rowid"
    )
    db.execute("create index content_due on content_waiting (due_us) where due_us is not null")
    db.execute("create index media_kept on media (last_seen_us) where data is not null")
    for sql in _FOLLOWED:
        db.execute(sql)


class Late:
    """New calls of one transaction that retention has passed already, by their time.

    No trigger: with any on insert SQLite copies each page of each index before it changes it, which
    takes as long as all the rest of writing a call.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._passed: str | None = None
        self._calls: list[tuple[str, int]] = []

    def add(self, call: LlmCall) -> None:
        """Look at *call*, just written for the first time."""
        if self._passed is None:
            mark = self._db.execute("select call_id from content_mark").fetchone()
            self._passed = mark[0] if mark else ""
        if call.id <= self._passed:
            self._calls.append((call.id, call.started_us))

    def write(self) -> None:
        """Have retention look at them, inside the caller's transaction."""
        sql = "insert or ignore into content_waiting values (?, ?)"
        self._db.executemany(sql, self._calls)
        self._calls, self._passed = [], None


def insert_freely(db: sqlite3.Connection) -> None:
    """What comes late is told by who writes it: `Late`."""
    db.execute("drop trigger calls_come_late")


# A call that comes late is behind the mark.  What waits for a call is due once it has gone, or
# goes on from another one.
_FOLLOWED = (
    """
    create trigger calls_come_late after insert on llm_calls
    when new.id <= (select call_id from content_mark) begin
        insert or ignore into content_waiting values (new.id, new.started_us);
    end
    """,
    """
    create trigger calls_continue_others after update of continues_call_id on llm_calls
    when old.continues_call_id is not new.continues_call_id begin
        update content_waiting set due_us = 0
        where due_us is null and call_id = old.continues_call_id;
    end
    """,
    """
    create trigger calls_gone after delete on llm_calls begin
        delete from content_waiting where call_id = old.id;
        update content_waiting set due_us = 0
        where due_us is null and call_id = old.continues_call_id;
    end
    """,
)
