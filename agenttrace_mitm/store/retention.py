"""Content that has been kept long enough is let go; the figures of its calls stay.

Works in small steps, each a short transaction, so that new calls never wait for it.  A mark goes
along the calls, whose ids sort by time; what it has passed waits in `content_waiting` until its
content has gone, and is looked at once, the newest first: a step costs the same however much was
kept.  A message goes when no kept call uses it, neither itself nor through the conversation that
it continues: a call waits for those that go on from it.  Sessions on hold keep theirs.

What a step changes it reads before it takes the lock: old rows are where nobody has looked for
weeks, and on a slow disk whoever else writes would wait for them.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping

from ..clock import moment_of, oldest_id
from .chains import release
from .prompts import let_words_go, unused_words

STEP = 100
"""Rows that change in one transaction."""
CALLS = 25
"""Calls that are looked at in one."""
WALK = 1_000
"""Calls that the mark passes at once."""
SLICE_S = 0.01
"""Large bodies take their time: after this long, no further call is begun."""
GIVE_BACK, AT_ONCE = 400, 50
"""Free pages that the file gives back after a step, more than a step sets free; in one lock."""

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
_IS_HELD = """
select 1 from llm_calls c join holds h on h.session_id = c.session_id where c.id = :id
"""
_IS_CONTINUED = """
select 1 from llm_calls c
where c.continues_call_id = :id and (
    c.id > :mark or exists (select 1 from content_waiting w where w.call_id = c.id)
)
"""
_TOOL_CALLS = """
update tool_calls set arguments = null, result = null
where call_id = :id and (arguments is not null or result is not null)
"""
# Of the calls that use a message, the newest that waits is found first; none waits that is older
# than the first of all.
_LOOSE = """
select m.id from call_messages o join messages m on m.id = o.message_id
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
# privacy_tier 0: should the message come again, its content is stored again.
_MESSAGES = f"""
update messages set content = null, own_text = null, privacy_tier = 0 where id in ({_LOOSE})
"""
_TO_CHANGE = (
    _IS_HELD,
    _IS_CONTINUED,
    "select * from payloads where call_id = :id",
    "select arguments, result from tool_calls where call_id = :id",
    f"select content, own_text from messages where id in ({_LOOSE})",
)
"""What letting the content of a call go reads."""
_BEFORE_IT = """
update content_waiting set due_us = 0
where due_us is null and call_id = (select continues_call_id from llm_calls where id = :id)
"""

_MEDIA = """
update media set data = null
where sha256 in (
    select sha256 from media where last_seen_us < :before_us and data is not null
      and not exists (
          select 1 from llm_calls c join holds h on h.session_id = c.session_id
          where c.id = first_call_id
      )
    limit :step
)
"""
_COMMITS = """
update commits set message = null, numstat = null
where (session_id, sha) in (
    select session_id, sha from commits
    where found_us < :before_us and (message is not null or numstat is not null)
      and session_id not in (select session_id from holds) limit :step
)
"""


def let_go(db: sqlite3.Connection, before_us: int, agents: Mapping[str, int] | None = None) -> int:
    """One step of forgetting content from before *before_us*; 0 when done.

    *agents* have moments of their own; None leaves those alone that wait for theirs.  Gives the
    rows that changed, or, where none had to, the calls that were looked at.
    """
    mark, due, passed = _due(db, before_us, agents)
    _read(db, due, mark)
    unused = [] if passed or due else unused_words(db, before_us)
    given = {"before_us": before_us, "step": STEP}
    with locked(db):
        done = (_let_some_go(db, due, mark) if due else 0) or passed
        done += db.execute(_MEDIA, given).rowcount
        if not done:
            done = db.execute(_COMMITS, given).rowcount + let_words_go(db, unused)
    if done:
        give_back(db)
    return done


def give_back(db: sqlite3.Connection) -> None:
    """Let the file have its free pages back, and others write between a few of them and more."""
    for _ in range(GIVE_BACK // AT_ONCE):
        (free,) = db.execute("pragma freelist_count").fetchone()
        if not free:
            return
        # A page a row: read them all.
        db.execute(f"pragma incremental_vacuum({AT_ONCE})").fetchall()


@contextlib.contextmanager
def locked(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes; Ctrl-C as well leaves nothing half gone."""
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise


def _read(db: sqlite3.Connection, due: list[str], mark: str) -> None:
    for id_ in due:
        for sql in _TO_CHANGE:
            db.execute(sql, {"id": id_, "mark": mark, "room": STEP}).fetchall()


def marked(db: sqlite3.Connection) -> str:
    """The last call that the mark has passed, '' for none."""
    found = db.execute(_MARK).fetchone()
    return str(found[0]) if found else ""


def _due(
    db: sqlite3.Connection, before_us: int, agents: Mapping[str, int] | None
) -> tuple[str, list[str], int]:
    """The mark, calls whose content is due, and how many the mark has passed for that."""
    longer = {agent: before_us - own for agent, own in sorted((agents or {}).items())}
    mark, known = db.execute(_MARK).fetchone() or ("", "{}")
    if agents is not None and json.dumps(longer) != known:
        mark = ""  # for other ages all are looked at again, in steps as well
        _set_mark(db, mark, json.dumps(longer))
    sought = before_us, CALLS
    if due := [id_ for (id_,) in db.execute(_DUE, sought)]:
        return mark, due, 0
    limit = oldest_id(max(before_us, 0, *(agents or {}).values()))
    passed = db.execute(_PASSED, {"mark": mark, "limit": limit, "walk": WALK}).fetchall()
    if not passed:
        return mark, [], 0
    mark = passed[-1][0]
    with locked(db):
        db.executemany(_WAITS, ((id_, moment_of(id_) + longer.get(of, 0)) for id_, of in passed))
        _set_mark(db, mark)
    return mark, [id_ for (id_,) in db.execute(_DUE, sought)], len(passed)


def _set_mark(db: sqlite3.Connection, call_id: str, ages: str | None = None) -> None:
    db.execute(
        "insert into content_mark values (1, ?, coalesce(?, '{}')) on conflict (only) do update"
        " set call_id = excluded.call_id, ages = coalesce(?, ages)",
        (call_id, ages, ages),
    )


def _let_some_go(db: sqlite3.Connection, due: list[str], mark: str) -> int:
    changed, until = 0, time.monotonic() + SLICE_S
    for number, id_ in enumerate(due, 1):
        changed += _let_one_go(db, {"id": id_, "mark": mark}, STEP - changed)
        if changed >= STEP or time.monotonic() > until:
            return changed or number
    return changed or len(due)


def _let_one_go(db: sqlite3.Connection, call: dict[str, str], room: int) -> int:
    """Rows that changed; the call stays due when *room* was not enough for it."""
    if db.execute(_IS_HELD, call).fetchone():
        _wait_on(db, call)
        return 0
    rows = [row for (row,) in db.execute("select id from payloads where call_id = :id", call)]
    if rows and (released := release(db, rows, room)) >= room:
        return released
    changed = db.execute("delete from payloads where call_id = :id", call).rowcount
    changed += db.execute(_TOOL_CALLS, call).rowcount
    if db.execute(_IS_CONTINUED, call).fetchone():
        _wait_on(db, call)
        return changed
    if changed < room:
        changed += db.execute(_MESSAGES, {**call, "room": room - changed}).rowcount
    if changed < room:
        db.execute("delete from content_waiting where call_id = :id", call)
        db.execute(_BEFORE_IT, call)
    return changed


def _wait_on(db: sqlite3.Connection, call: dict[str, str]) -> None:
    """Until what it waits for says so: the call that goes on from it, or the end of a hold."""
    db.execute("update content_waiting set due_us = null where call_id = :id", call)
