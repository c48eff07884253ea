"""Calls that have been kept long enough go altogether; the sums of their days stay.

Works in small steps, each a short transaction, so that new calls never wait for it.  Only whole
days (UTC) go: `horizon` says from when on calls are kept, and rollups from before it are what is
left of theirs, so they are never counted again.  Sessions on hold stay, with their content.
"""

import sqlite3
import time

from .forgetting import remove_doomed
from .retention import SLICE_S, give_back, locked
from .rollups import DAY_US

STEP, AHEAD = 10, 40
"""Calls that go at once; that go in one transaction, where each ten of them take little time."""

_DOOMED = """
create temp table doomed as
select id, started_us / 3600000000 as hour, session_id, trace_id, thread_id, prompt_id
from llm_calls
where started_us < :before_us and outcome <> 'in_flight'
  and (session_id is null or session_id not in (select session_id from holds))
order by started_us limit :most
"""
_OF_DOOMED = "call_id in (select id from temp.doomed)"
# As in `retention`: what the step changes is read before it takes the lock.
_TO_CHANGE = (
    "select * from llm_calls where id in (select id from temp.doomed)",
    f"select * from payloads where {_OF_DOOMED}",
    f"select * from tool_calls where {_OF_DOOMED}",
    "select * from spans where trace_id in (select trace_id from temp.doomed)",
    f"select m.* from call_messages o join messages m on m.id = o.message_id where o.{_OF_DOOMED}",
    "select * from traces where trace_id in (select trace_id from temp.doomed)",
    "select * from sessions where session_id in (select session_id from temp.doomed)",
    "select * from threads where thread_id in (select thread_id from temp.doomed)",
    "select id from llm_calls where continues_call_id in (select id from temp.doomed)",
)
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
    before_us = before_us // DAY_US * DAY_US
    _choose(db, before_us, AHEAD)
    for sql in _TO_CHANGE:
        db.execute(sql).fetchall()
    gone, until = 0, time.monotonic() + SLICE_S
    with locked(db):
        db.execute(
            "insert into horizon values (1, ?) on conflict (only) do update"
            " set since_us = max(since_us, excluded.since_us)",
            (before_us,),
        )
        while gone < AHEAD and time.monotonic() < until:
            _choose(db, before_us, STEP)  # again: a session may have been put on hold
            counted = remove_doomed(db)
            gone += counted["llm_calls"]
            if counted["llm_calls"] < STEP:
                break
        events = db.execute(_EVENTS, {"before_us": before_us, "step": STEP}).rowcount
    if gone:
        give_back(db)
    return gone + events


def _choose(db: sqlite3.Connection, before_us: int, most: int) -> None:
    db.execute("drop table if exists temp.doomed")
    db.execute(_DOOMED, {"before_us": before_us, "most": most})


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
