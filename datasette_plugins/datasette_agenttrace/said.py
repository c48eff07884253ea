"""What calls answered, as far as their tiers show it: for pages that show many calls at once."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from .asking import Value, rows_of
from .calls.one import Part, parts_of

OPENED_CHARS = 300_000  # of a message, beyond which only its beginning is read


class Words(Value):
    """What a span said: parts of a reply, or a tool's arguments and result; None is not kept."""

    reply: tuple[Part, ...] = ()
    withheld: int | None = None
    arguments: str | None = None
    result: str | None = None
    cut: bool = False


def replies(db: sqlite3.Connection, calls: Sequence[str], cap: int, most: int) -> dict[str, Words]:
    """What each of *calls* answered, *most* characters of each part, at tier *cap* at most."""
    rows = db.execute(
        f"""
        select u.call_id, m.role, min(c.privacy_tier, :cap) as tier, coalesce(m.size, 0) as size,
               c.reply_chars,
               case when length(m.content) <= {OPENED_CHARS} then m.content end as content,
               case when length(m.content) > {OPENED_CHARS}
                    then substr(m.text, 1, {most}) end as beginning
        from llm_calls c
        join call_messages u on u.call_id = c.id
        join messages m on m.id = u.message_id
        where c.id in (select value from json_each(:calls)) and u.direction = 'out'
        order by u.call_id, u.position, u.choice
        """,
        {"calls": json.dumps(list(calls)), "cap": cap},
    )
    found: dict[str, Words] = {}
    for row in rows_of(rows):
        found[row["call_id"]] = _and(found.get(row["call_id"], Words()), row, most)
    return found


def _and(before: Words, row: Mapping[str, Any], most: int) -> Words:
    """*before* and one more message, a row of `replies`."""
    if row["tier"] == 3 and row["beginning"] is not None:
        parts = [Part(type="text", text=row["beginning"], cut=True)]
    elif row["tier"] == 1 or row["content"] is None:
        # A message's size counts the arguments of tool calls too, which are no words of a reply.
        chars = row["reply_chars"]
        withheld = (before.withheld or 0) + row["size"] if chars is None else chars or None
        return before.model_copy(update={"withheld": withheld})
    else:
        parts = [shortened(one, most) for one in parts_of(row["content"], row["role"], row["tier"])]
    cut = before.cut or any(part.cut for part in parts)
    return before.model_copy(update={"reply": (*before.reply, *parts), "cut": cut})


def shortened(part: Part, most: int) -> Part:
    """*part* with at most *most* characters of its text."""
    if part.text is None or len(part.text) <= most:
        return part
    return part.model_copy(update={"text": part.text[:most], "cut": True})
