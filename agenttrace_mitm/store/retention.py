"""Content that has been kept long enough is let go; the figures of its calls stay.

Works in small steps, so that new calls never wait for it: what a step needs is read first, then
changed in a short transaction.  A mark goes
along the calls, whose ids sort by time; what it has passed waits in `content_waiting` until its
content has gone, and is looked at once, the newest first: a step costs the same however much was
kept.  A message goes when no kept call uses it, neither itself nor through the conversation that
it continues: a call waits for those that go on from it.  A trace keeps its name, words of the call
that opened it, as long as those.  Sessions on hold keep theirs.
"""

import json
import sqlite3
import time
from collections.abc import Mapping

from ..clock import moment_of, oldest_id
from . import chains
from .pace import Pace, give_back, locked, roomy
from .prompts import LET_GO, OLD_PROMPTS
from .read_ahead import A_ROW, look_at, read

STEP = 100
"""Rows that change in the first transaction; `pace` says how many in those that follow."""
WALK = 200
"""Calls that the mark passes at once."""
SLICE_S = 0.02
"""Large bodies take their time: after this long, no further call is begun."""
GIVE_BACK = 400
"""Free pages that the file gives back after the first step, more than it sets free."""

_MARK = "select call_id, ages from content_mark"
_PASSED = """
select id, agent_id from llm_calls
where id > :mark and id < :limit order by id limit :walk
"""
_WAITS = """
insert into content_waiting (call_id, due_us) values (?, ?)
on conflict (call_id) do update set due_us = excluded.due_us
"""
# Newest first: what is stored after another request, or goes on from it, goes before it.
_DUE = "select call_id from content_waiting where due_us < ? order by due_us desc limit ?"
_LAST_ROW = "select coalesce(max(rowid), 0) from llm_calls"
_IS_HELD = """
select 1 from llm_calls c join holds h on h.session_id = c.session_id where c.id = :id
"""
_IS_CONTINUED = """
select 1 from llm_calls c
where c.continues_call_id = :id and (
    c.id > :mark or exists (select 1 from content_waiting w where w.call_id = c.id)
)
"""
_WITH_WORDS = "(arguments is not null or result is not null or calls_inside is not null)"
_TOOL_CALLS = f"""
update tool_calls set arguments = null, result = null, calls_inside = null
where call_id = :id and {_WITH_WORDS}
"""
# An error may quote the prompt.
_SAYS_MORE = "id = :id and (error_message is not null or end_user is not null)"
_FIGURES = f"update llm_calls set error_message = null, end_user = null where {_SAYS_MORE}"
# Named after the words of the call that opened it.
_NAMED = """
trace_id = (select trace_id from llm_calls where id = :id) and call_id = :id and name is not null
"""
_NAME = f"update traces set name = null where {_NAMED}"
NAMES_GO_AGAIN = """
update traces set name = null
where name is not null and call_id <= (select call_id from content_mark)
  and call_id not in (select call_id from content_waiting)
"""
"""Who places calls anew names traces after words that another, kept call repeats."""
# Of the calls that use it, the newest that waits is found first; none waits that is older than the
# first of all.
_MESSAGES = f"""
select m.id, 1 + m.size / {A_ROW} from call_messages o join messages m on m.id = o.message_id
where o.call_id = :id and m.content is not null
  and not exists (
      select 1 from call_messages u where u.message_id = m.id and u.call_id > :mark
  )
  and (
      select 1 from call_messages u
      where u.message_id = m.id and u.call_id <> :id
        and u.call_id between (select min(call_id) from content_waiting) and :mark
        and exists (select 1 from content_waiting w where w.call_id = u.call_id)
      order by u.call_id desc limit 1
  ) is null
limit :room
"""
# privacy_tier 0: should the message come again, its content is stored again.  In the order of their
# ids: each time that these go back, the search index begins a piece.
LET_WORDS_GO = """
update messages set content = null, own_text = null, privacy_tier = 0
where id in (select value from json_each(?))
"""
_BEFORE_IT = """
update content_waiting set due_us = 0
where due_us is null and call_id = (select continues_call_id from llm_calls where id = :id)
"""

_WAITS_FOR_IT = """
select w.call_id from llm_calls c join content_waiting w on w.call_id = c.continues_call_id
where c.id = ? and w.due_us is null
"""

_OLD_MEDIA = """
select sha256 from media where last_seen_us < :before_us and data is not null
  and not exists (
      select 1 from llm_calls c join holds h on h.session_id = c.session_id
      where c.id = first_call_id
  )
limit :step
"""
_MEDIA = f"update media set data = null where sha256 in ({_OLD_MEDIA})"
_OLD_COMMITS = """
select session_id, sha from commits
where found_us < :before_us and (message is not null or numstat is not null)
  and session_id not in (select session_id from holds)
limit :step
"""
_COMMITS = f"""
update commits set message = null, numstat = null where (session_id, sha) in ({_OLD_COMMITS})
"""
_OF_CALL = (
    ("payloads", "call_id = :id"),
    ("tool_calls", f"call_id = :id and {_WITH_WORDS}"),
    (
        "messages",
        """
        id in (select message_id from call_messages where call_id = :id) and content is not null
        and not exists (
            select 1 from call_messages u where u.message_id = messages.id and u.call_id > :mark
        )
        """,
    ),
)
"""What goes with a call, by table; messages, the last, perhaps with a later one."""
_CHANGES = (
    f"select count(*) from llm_calls where {_SAYS_MORE}",
    f"select count(*) from traces where {_NAMED}",
)
"""Rows that stay with less: no index of theirs is changed."""


def a_pace() -> Pace:
    """Rows that change in one transaction, to begin with."""
    return Pace(STEP, 20, 2_000)


def vacuum_pace() -> Pace:
    """Free pages that the file gives back after a step, more than a step sets free."""
    return Pace(GIVE_BACK, 10, 2_000)


def let_go(
    db: sqlite3.Connection,
    before_us: int,
    agents: Mapping[str, int] | None = None,
    pace: Pace | None = None,
    vacuum: Pace | None = None,
) -> int:
    """One step of forgetting content from before *before_us*; 0 when done.

    *agents* have moments of their own; None leaves those alone that wait for theirs.  Gives the
    rows that changed, or, where none had to, the calls that were looked at.  Steps that follow one
    another are given the same *pace* and *vacuum*.
    """
    pace = pace or a_pace()
    with roomy(db):
        done = _of_calls(db, before_us, agents, pace)
        done += _rows_go(db, _OLD_MEDIA, _MEDIA, before_us, pace)
        if not done:
            done = _rows_go(db, _OLD_COMMITS, _COMMITS, before_us, pace)
            done += prompts_go(db, OLD_PROMPTS, LET_GO, before_us, pace)
        if done:
            give_back(db, vacuum or vacuum_pace())
    return done


def marked(db: sqlite3.Connection) -> str:
    """The last call that the mark has passed, '' for none."""
    found = db.execute(_MARK).fetchone()
    return str(found[0]) if found else ""


def _of_calls(
    db: sqlite3.Connection, before_us: int, agents: Mapping[str, int] | None, pace: Pace
) -> int:
    longer = {agent: before_us - own for agent, own in sorted((agents or {}).items())}
    mark, known = db.execute(_MARK).fetchone() or ("", "{}")
    if agents is not None and json.dumps(longer) != known:
        mark = ""  # for other ages all are looked at again, in steps as well
        _set_mark(db, mark, json.dumps(longer))
    passed = 0
    due = [id_ for (id_,) in db.execute(_DUE, (before_us, pace.room))]
    if not due:
        limit = oldest_id(max(before_us, 0, *(agents or {}).values()))
        found = db.execute(_PASSED, {"mark": mark, "limit": limit, "walk": WALK}).fetchall()
        if not found:
            return 0
        passed, mark = len(found), found[-1][0]
        with locked(db, Pace(WALK, WALK, WALK)):
            db.executemany(_WAITS, ((id_, moment_of(id_) + longer.get(of, 0)) for id_, of in found))
            _set_mark(db, mark)
        due = [id_ for (id_,) in db.execute(_DUE, (before_us, pace.room))]
    if not due:
        return passed
    due, rows = _looked_at(db, due, mark, pace.room)
    with locked(db, pace):
        done = _let_some_go(db, due, mark, pace.room)
        pace.done = max(done, rows)  # some that were looked at stay
    return done or passed


def _looked_at(
    db: sqlite3.Connection, due: list[str], mark: str, room: int
) -> tuple[list[str], int]:
    """The first of *due*, as many as there is room for; what goes with them has been read.

    Those that wait for one of them come right after it: a conversation goes from its end.  And how
    many rows that is, a long text counting as several.
    """
    *own, words = (look_at(db, table) + of_call for table, of_call in _OF_CALL)
    found: list[str] = []
    rows = 0
    for first in due:
        stays = db.execute(_IS_CONTINUED, {"id": first, "mark": mark}).fetchone()
        id_: str | None = first
        while id_ and rows < room:
            looks = own if stays else [*own, words]
            rows += sum(read(db, sql, {"id": id_, "mark": mark}) for sql in (*looks, *_CHANGES))
            rows += chains.read_ahead(db, id_)
            found.append(id_)
            before = None if stays else db.execute(_WAITS_FOR_IT, (id_,)).fetchone()
            id_ = before[0] if before else None
    return found, rows


def _rows_go(db: sqlite3.Connection, old: str, sql: str, before_us: int, pace: Pace) -> int:
    """Let rows go with *sql*; nothing is locked where the query *old* finds none."""
    given = {"before_us": before_us, "step": STEP}
    if not db.execute(old, given).fetchone():
        return 0
    with locked(db, pace):
        return db.execute(sql, given).rowcount


def prompts_go(db: sqlite3.Connection, old: str, sql: str, before_us: int, pace: Pace) -> int:
    """Change with *sql* what *old* finds unused; who uses them is asked before the lock."""
    given = {"before_us": before_us, "seen": db.execute(_LAST_ROW).fetchone()[0]}
    found = db.execute(old, given).fetchall()
    if not found:
        return 0
    with locked(db, pace):
        return sum(db.execute(sql, {**given, "id": id_}).rowcount for (id_,) in found)


def _set_mark(db: sqlite3.Connection, call_id: str, ages: str | None = None) -> None:
    db.execute(
        "insert into content_mark values (1, ?, coalesce(?, '{}')) on conflict (only) do update"
        " set call_id = excluded.call_id, ages = coalesce(?, ages)",
        (call_id, ages, ages),
    )


def _let_some_go(db: sqlite3.Connection, due: list[str], mark: str, room: int) -> int:
    changed, until = 0, time.monotonic() + SLICE_S
    messages: set[int] = set()
    looked_at = 0
    for id_ in due:
        looked_at += 1
        changed += _let_one_go(db, {"id": id_, "mark": mark}, room - changed, messages)
        if changed >= room or time.monotonic() > until:
            break
    if messages:
        db.execute(LET_WORDS_GO, (json.dumps(sorted(messages)),))
    return changed or looked_at


def _let_one_go(db: sqlite3.Connection, call: dict[str, str], room: int, messages: set[int]) -> int:
    """Rows that changed, or will: *messages* gains those whose words go at the end of the step.

    The call stays due when *room* was not enough for it.
    """
    if db.execute(_IS_HELD, call).fetchone():
        _wait_on(db, call)
        return 0
    rows = [row for (row,) in db.execute("select id from payloads where call_id = :id", call)]
    if rows and (released := chains.release(db, rows, room)) >= room:
        return released
    changed = db.execute("delete from payloads where call_id = :id", call).rowcount
    changed += db.execute(_TOOL_CALLS, call).rowcount
    changed += db.execute(_FIGURES, call).rowcount
    if db.execute(_IS_CONTINUED, call).fetchone():
        _wait_on(db, call)
        return changed
    if changed < room:
        for id_, rows in db.execute(_MESSAGES, {**call, "room": room - changed}):
            messages.add(id_)
            changed += rows
            if changed >= room:
                break
    if changed < room:
        changed += db.execute(_NAME, call).rowcount
        db.execute("delete from content_waiting where call_id = :id", call)
        db.execute(_BEFORE_IT, call)
    return changed


def _wait_on(db: sqlite3.Connection, call: dict[str, str]) -> None:
    """Until what it waits for says so: the call that goes on from it, or the end of a hold."""
    db.execute("update content_waiting set due_us = null where call_id = :id", call)
