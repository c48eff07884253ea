"""Calls that have been kept long enough go altogether; the sums of their days stay.

Works in small steps, so that new calls never wait for it: what a step needs is read first, then
removed in a short transaction.  Only whole days (UTC) go: `horizon` says from when on all calls are
kept, and rollups from before it are what is left of those that went, so they are never counted
again.  Sessions on hold stay, with their content.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping

from . import chains
from .forgetting import GOING_BODIES, GONE, HEIRS, HERITAGE, doom, going, remove_doomed
from .pace import Pace, give_back, locked, roomy
from .prompts import OLD_UNUSED, REMOVE
from .read_ahead import A_ROW, look_at, read
from .retention import LET_WORDS_GO, prompts_go, vacuum_pace
from .rollups import DAY_US

STEP = 10
HEAVY = 2_500
"""Rows of calls and of what hangs on them, a long text counting as several: more take too long."""
ROWS_OF_BODY = 100
"""A body that was stored after one that goes has to stand alone: as long as so many rows take."""
BODIES, WORDS = 5, 1_000
"""Such bodies, or rows of texts, that go ahead of a call that is heavy by itself."""

MAY_GO = """
outcome <> 'in_flight' and (session_id is null or session_id not in (select session_id from holds))
"""
_OLDEST = f"""
select id from llm_calls where {{old}} and {MAY_GO}
order by started_us limit ?
"""
_AGENTS = """
with recursive agents (id) as (
    select min(agent_id) from llm_calls
    union all
    select (select min(agent_id) from llm_calls where agent_id > agents.id)
    from agents where agents.id is not null
)
select id from agents
"""
_STAY_AFTER_ALL = f"""
delete from temp.doomed where id not in (
    select id from llm_calls where id in (select id from temp.doomed) and {MAY_GO}
)
"""
_HORIZON = f"""
insert into horizon
select 1, max(:before_us, coalesce(max(started_us) / {DAY_US} * {DAY_US} + {DAY_US}, 0))
from temp.doomed where true
on conflict (only) do update set since_us = max(since_us, excluded.since_us)
"""
_RESTING = f"continues_call_id in {GONE} and id not in {GONE}"
_RESTING_BODIES = f"""
select count(*) from payloads a
where a.stored_after in ({GOING_BODIES}) and a.call_id not in {GONE}
"""
# Before their calls have gone, nothing tells which messages are left without one but this.
_LOOSE = f"""
id in (select message_id from call_messages where call_id in {GONE}) and not exists (
    select 1 from call_messages c where c.message_id = messages.id and c.call_id not in {GONE}
)
"""
_TEXTS = f"""
select id, sum(1 + size / {A_ROW}) over (order by id) - (1 + size / {A_ROW})
from messages where {_LOOSE} and content is not null limit :room
"""
_OLD_EVENTS = """
id in (
    select id from events
    where at_us < :before_us
      and (session_id is null or session_id not in (select session_id from holds))
    limit :step
)
"""


def a_pace() -> Pace:
    """Calls that go in one transaction, to begin with."""
    return Pace(STEP, 5, 500)


def let_calls_go(
    db: sqlite3.Connection,
    before_us: int,
    agents: Mapping[str, int] | None = None,
    pace: Pace | None = None,
    vacuum: Pace | None = None,
) -> int:
    """One step of removing calls from before the day of *before_us*; calls gone, 0 when done.

    *agents* have moments of their own.  Steps that follow one another are given the same *pace*
    and *vacuum*.
    """
    pace = pace or a_pace()
    before_us = before_us // DAY_US * DAY_US
    with roomy(db):
        return _step(db, before_us, agents or {}, pace, vacuum or vacuum_pace())


def _step(
    db: sqlite3.Connection, before_us: int, agents: Mapping[str, int], pace: Pace, vacuum: Pace
) -> int:
    room = pace.room
    going_ids = _oldest(db, before_us, agents, room)
    if _doomed(db, going_ids) > HEAVY and (lighter := _made_lighter(db)):
        return lighter
    alone = chains.made_ahead(db, _bodies(db))
    events_go = {"before_us": before_us, "step": room}
    read(db, look_at(db, "events") + _OLD_EVENTS, events_go)
    with locked(db, pace):
        chains.put_ahead(db, alone)
        db.execute(_STAY_AFTER_ALL)
        db.execute(_HORIZON, {"before_us": before_us})
        counted = remove_doomed(db)
        events = db.execute(f"delete from events where {_OLD_EVENTS}", events_go).rowcount
        pace.done = max(counted["llm_calls"], events)
    if len(going_ids) < room:  # the last of a day, or of all
        prompts_go(db, OLD_UNUSED, REMOVE, before_us, pace)
    if counted["llm_calls"]:
        give_back(db, vacuum)
    return counted["llm_calls"] + events


def ages_of(
    db: sqlite3.Connection, before_us: int, agents: Mapping[str, int]
) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Conditions on `llm_calls`, with their parameters, that together are true of those too old."""
    if not agents:
        yield "started_us < ?", (before_us,)
        return
    yield "agent_id is null and started_us < ?", (before_us,)
    for (agent,) in db.execute(_AGENTS).fetchall():
        if agent is not None:
            at_us = agents.get(agent, before_us)
            yield "agent_id = ? and started_us < ?", (agent, at_us // DAY_US * DAY_US)


def _oldest(
    db: sqlite3.Connection, before_us: int, agents: Mapping[str, int], room: int
) -> list[str]:
    """The calls that go next, by agent where one has its own time."""
    found: list[str] = []
    for old, given in ages_of(db, before_us, agents):
        sql = _OLDEST.format(old=old)
        found += [id_ for (id_,) in db.execute(sql, (*given, room - len(found)))]
        if len(found) >= room:
            break
    return found


def _doomed(db: sqlite3.Connection, ids: list[str]) -> int:
    """Put *ids* into `temp.doomed`, fewer where much hangs on them; how many rows that is."""
    while True:
        doom(db, "id in (select value from json_each(?))", json.dumps(ids))
        rows = _read_ahead(db, ids)
        if rows <= HEAVY or len(ids) == 1:
            return rows
        ids = ids[: len(ids) // 2]


def _read_ahead(db: sqlite3.Connection, ids: list[str]) -> int:
    """Read what goes with the calls *ids*, in `temp.doomed`; how many rows that is."""
    if not ids:
        return 0
    rows = sum(
        read(db, look_at(db, table) + (_LOOSE if table == "messages" else where))
        for table, where in going(None)
    )
    read(db, look_at(db, "llm_calls") + _RESTING)
    db.execute(HERITAGE).fetchone()
    return rows + read(db, _RESTING_BODIES) * ROWS_OF_BODY


def _made_lighter(db: sqlite3.Connection) -> int:
    """A part of what makes a call heavy goes before it; 0 when nothing is left to part with."""
    alone = chains.made_ahead(db, _bodies(db), BODIES)
    with locked(db, Pace(BODIES, BODIES, BODIES)):
        # What kept calls take over stays, with its words.
        before = db.total_changes
        if not chains.put_ahead(db, alone):
            db.execute(HEIRS)
        if done := db.total_changes - before:
            return done
    texts = db.execute(_TEXTS, {"room": WORDS})
    rows = [id_ for id_, before in texts if before < WORDS]
    if not rows:
        return 0
    with locked(db, Pace(WORDS, WORDS, WORDS)):
        return db.execute(LET_WORDS_GO, (json.dumps(rows),)).rowcount


def _bodies(db: sqlite3.Connection) -> list[int]:
    return [row for (row,) in db.execute(GOING_BODIES)]


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
