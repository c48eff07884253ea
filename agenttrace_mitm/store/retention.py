"""Content that has been kept long enough is let go; the figures of its calls stay.

Works in small steps, each a short transaction, so that new calls never wait for it.  Call ids
sort by time, so "older than" is a comparison of ids.  A message goes when no kept call uses it,
neither itself nor through the conversation that it continues.  Sessions on hold keep theirs.
"""

import sqlite3

from ..clock import oldest_id
from .chains import release
from .prompts import LET_GO

STEP = 200

# Newest first: what is stored after another request mostly goes before it, or in the same step.
_HELD = "(select id from llm_calls where session_id in (select session_id from holds))"
_OLD_PAYLOADS = f"""
select id from payloads where call_id < :oldest and call_id not in {_HELD}
order by call_id desc limit :step
"""

_MEDIA = f"""
update media set data = null
where sha256 in (
    select sha256 from media where last_seen_us < :before_us and data is not null
      and first_call_id not in {_HELD} limit :step
)
"""

_TOOL_CALLS = f"""
update tool_calls set arguments = null, result = null
where id in (
    select id from tool_calls
    where call_id < :oldest and (arguments is not null or result is not null)
      and call_id not in {_HELD}
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

# privacy_tier 0: should the message come again, its content is stored again.
_MESSAGES = """
with recursive continued (id) as (
    select continues_call_id from llm_calls
    where id >= :oldest and continues_call_id < :oldest
    union
    select id from llm_calls where session_id in (select session_id from holds)
    union
    select c.continues_call_id from continued join llm_calls c on c.id = continued.id
    where c.continues_call_id is not null
)
update messages set content = null, own_text = null, privacy_tier = 0
where id in (
    select m.id from messages m
    where m.first_seen_us < :before_us and m.content is not null
      and not exists (
          select 1 from call_messages u
          where u.message_id = m.id
            and (u.call_id >= :oldest or u.call_id in (select id from continued))
      )
    limit :step
)
"""


def let_go(db: sqlite3.Connection, before_us: int) -> int:
    """One step of forgetting content from before *before_us*; rows changed, 0 when done."""
    given: dict[str, str | int] = {
        "oldest": oldest_id(before_us),
        "before_us": before_us,
        "step": STEP,
    }
    db.execute("begin immediate")
    try:
        changed = _let_payloads_go(db, given)
        steps = (_MEDIA, _TOOL_CALLS, _COMMITS, _MESSAGES, LET_GO)
        changed += sum(_changes(db, sql, given) for sql in steps)
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise
    if changed:
        db.execute(f"pragma incremental_vacuum({STEP})").fetchall()  # a page a row: read them all
    return changed


def _let_payloads_go(db: sqlite3.Connection, given: dict[str, str | int]) -> int:
    """Rows deleted, or, while others are stored after them, made to stand alone."""
    going = [row for (row,) in db.execute(_OLD_PAYLOADS, given)]
    released = release(db, going, STEP)
    if released == STEP:
        return released
    db.executemany("delete from payloads where id = ?", ((row,) for row in going))
    return len(going)


def _changes(db: sqlite3.Connection, sql: str, given: dict[str, str | int]) -> int:
    # The cursor's rowcount is -1 for a statement that begins with a CTE.
    db.execute(sql, given)
    changed: int = db.execute("select changes()").fetchone()[0]
    return changed
