"""What a call asked for that another had not: the one that it continues or tries again."""

import json
import sqlite3

from agenttrace_mitm.model import LlmCall
from agenttrace_mitm.store.rows import call_of

from ..asking import Value, rows_of
from ..differences import Line, differences
from ..laid_out import laid_out
from .one import OPENED_BYTES, raw_body

MOST_LINES = 2_000

_CALL = "select * from llm_calls where id = ?"
_TRIED_BEFORE = """
    select id from llm_calls
    where (id = :operation or (retry_of = :operation and retry_of <> id))
      and started_us < :started_us and id <> :id
    order by started_us desc limit 1
"""
_SIZES = f"""
    select count(*) from payloads
    where call_id in (?, ?) and request_body is not null and length(request_body) <= {OPENED_BYTES}
"""

MESSAGES_SQL = """\
with recursive source (side, root, id, below, continued) as (
    select 'before', id, id, 1000000000, continues_call_id from llm_calls where id = :before
    union all
    select 'after', id, id, 1000000000, continues_call_id from llm_calls where id = :after
    union all
    -- What it was sent with, and an earlier call had brought.
    select s.side, s.root, s.continued, (
        select min(n.position) from call_messages n
        where n.call_id = s.id and n.direction = 'in'
    ), (select c.continues_call_id from llm_calls c where c.id = s.continued)
    from source s
    where s.continued is not null
)
select u.position, case when count(distinct s.side) = 2 then 'both' else min(s.side) end as in_call,
       u.direction, m.role, m.content, u.message_id
from source s
join call_messages u on u.call_id = s.id
join messages m on m.id = u.message_id
where (u.direction = 'in' and u.position < s.below) or u.call_id = s.root
group by u.position, u.direction, u.choice, u.message_id
order by u.position, in_call = 'after', u.direction, u.choice
"""
"""The messages of both calls for people, each once, and which of the two had it."""


class Changes(Value):
    """Two calls, and the lines of their requests that differ."""

    before: LlmCall | None
    """None for a call that continues no other and is no later attempt."""
    after: LlmCall
    lines: tuple[Line, ...] | None
    """None where there is nothing to compare, or a request is not kept, or too long."""

    @property
    def ids(self) -> dict[str, str]:
        """The parameters of `MESSAGES_SQL`; a call that is none has no id."""
        return {"before": self.before.id if self.before else "", "after": self.after.id}


def load(db: sqlite3.Connection, call_id: str, other: str = "") -> Changes | None:
    """How the call differs from *other*, by default the one before it.

    None where one of them is not there.
    """
    after = _call(db, call_id)
    before = _call(db, other or _before(db, after)) if after else None
    if after is None or (other and before is None):
        return None
    lines = _lines(db, before.id, after.id) if before else None
    return Changes(before=before, after=after, lines=lines)


def _call(db: sqlite3.Connection, call_id: str | None) -> LlmCall | None:
    found = rows_of(db.execute(_CALL, (call_id,)))
    return call_of(found[0]) if found else None


def _before(db: sqlite3.Connection, call: LlmCall) -> str | None:
    """An earlier attempt comes first: it is the same request, as a rule."""
    given = {"operation": call.operation_id, "started_us": call.started_us, "id": call.id}
    tried = (
        db.execute(_TRIED_BEFORE, given).fetchone() if call.attempt and call.attempt > 1 else None
    )
    return tried[0] if tried else call.continues_call_id


def _lines(db: sqlite3.Connection, before: str, after: str) -> tuple[Line, ...] | None:
    if db.execute(_SIZES, (before, after)).fetchone()[0] < len({before, after}):
        return None
    old, new = (raw_body(db, call_id, "request") for call_id in (before, after))
    if old is None or new is None:
        return None
    return differences(_laid_out(old), _laid_out(new), MOST_LINES)


def _laid_out(body: bytes) -> list[str]:
    """*body* in lines: JSON with a line for each value, and for each line within one."""
    text = body.decode("utf-8", "replace")
    try:
        text = laid_out(json.loads(text))
    except (ValueError, RecursionError):
        return text.splitlines()
    return text.replace("\\n", "\\n\n").split("\n")
