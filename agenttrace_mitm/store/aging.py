"""Calls that have been kept long enough go altogether; the sums of their days stay.

Works in small steps, each a short transaction, so that new calls never wait for it.  Only whole
days (UTC) go: `horizon` says from when on calls are kept, and rollups from before it are what is
left of theirs, so they are never counted again.  Sessions on hold stay, with their content.
"""

import sqlite3

from .forgetting import remove_doomed
from .retention import GIVE_BACK
from .rollups import DAY_US

STEP = 10

_DOOMED = """
create temp table doomed as
select id, started_us / 3600000000 as hour, session_id, trace_id, thread_id, prompt_id
from llm_calls
where started_us < :before_us and outcome <> 'in_flight'
  and (session_id is null or session_id not in (select session_id from holds))
order by started_us limit :step
"""
_EVENTS = """
delete from events where id in (
    select id from events
    where at_us < :before_us
      and (session_id is null or session_id not in (select session_id from holds))
    limit :step
)
"""


def let_calls_go(db: sqlite3.Connection, before_us: int) -> int:
    """One step of removing calls from before the day of *before_us*; calls gone, 0 when done."""
    given = {"before_us": before_us // DAY_US * DAY_US, "step": STEP}
    db.execute("begin immediate")
    try:
        db.execute(
            "insert into horizon values (1, :before_us) on conflict (only) do update"
            " set since_us = max(since_us, excluded.since_us)",
            given,
        )
        db.execute("drop table if exists temp.doomed")
        db.execute(_DOOMED, given)
        counted = remove_doomed(db)
        counted["events"] = db.execute(_EVENTS, given).rowcount
        db.execute("commit")
    except BaseException:  # Ctrl-C as well: nothing is half gone
        if db.in_transaction:
            db.rollback()
        raise
    if counted["llm_calls"]:
        db.execute(
            f"pragma incremental_vacuum({GIVE_BACK})"
        ).fetchall()  # a page a row: read them all
    return counted["llm_calls"] + counted["events"]


def hold(db: sqlite3.Connection, session_id: str, now_us: int, note: str | None) -> bool:
    """Let retention leave a session alone; False where there is none of that id."""
    known = db.execute("select 1 from sessions where session_id = ?", (session_id,)).fetchone()
    if known:
        db.execute(
            "insert into holds values (?, ?, ?)"
            " on conflict (session_id) do update set note = excluded.note",
            (session_id, now_us, note),
        )
    return known is not None


def release(db: sqlite3.Connection, session_id: str) -> bool:
    """Let retention have a session again; False where it was not on hold."""
    db.execute(
        "update content_waiting set due_us = 0 where due_us is null"
        " and call_id in (select id from llm_calls where session_id = ?)",
        (session_id,),
    )
    return db.execute("delete from holds where session_id = ?", (session_id,)).rowcount > 0


def held(db: sqlite3.Connection) -> list[tuple[str, int, str | None]]:
    """Sessions on hold, the latest first: id, since when, why."""
    return db.execute("select session_id, since_us, note from holds order by 2 desc").fetchall()
