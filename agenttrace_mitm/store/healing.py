"""One call's record made to agree with what its bytes are understood to say now.

Comes in: a call and the same call read again.  Rows that say the same stay as they are, ids and
all; what differs is changed in its own row where nobody else uses that, else in a new one.
Where a call belongs (session, thread, trace, what it continues) is not decided anew.

Stored bytes are redacted, and fingerprints were taken before that: what a secret stood in counts
as the same when the words around it are, and keeps its fingerprint.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from ..model import LlmCall, Payload, StoredMessage, StoredToolCall, StoredToolResult
from ..traces import plain_text
from .chains import Bodies, bodies_of, release, replace
from .healed_tools import heal_answers, heal_tools
from .likeness import alike, is_redacted
from .rows import INSERT_MEDIUM, INSERT_MESSAGE, content_text, message_values
from .words import own_text

_PLACED = """
select u.position, u.choice, m.id, m.fingerprint, m.role, m.content, m.text, m.size, m.privacy_tier
from call_messages u join messages m on m.id = u.message_id
where u.call_id = ? and u.direction = ?
order by u.position, u.choice
"""
_USERS = "select count(*) from call_messages where message_id = ?"
_REWRITE = """
update messages
set fingerprint = ?1, role = ?2, content = ?3, own_text = ?4, size = ?5, privacy_tier = ?7
where id = ?8
"""
_FORGET = """
delete from messages
where id = :id and not exists (select 1 from call_messages where message_id = :id)
"""
_FIGURES = ("mime_type", "width", "height", "duration_ms", "token_estimate")


@dataclass(frozen=True, slots=True)
class Again:
    """A call read again.  What is None could not be read: its rows stay.

    `asked` is the whole request, history included.  `results` are what it brings of tools;
    `request_chain`, `turn_print` and `reply_print` are None where redaction hides what they are
    taken of.
    """

    call: LlmCall
    asked: tuple[StoredMessage, ...] | None = None
    answered: tuple[StoredMessage, ...] | None = None
    tools: tuple[StoredToolCall, ...] | None = None
    results: tuple[StoredToolResult, ...] = ()
    payload: Payload | None = None
    request_chain: str | None = None
    turn_print: str | None = None
    reply_print: str | None = None


@dataclass(slots=True)
class _Compared:
    """How a call's messages compare: rows changed, and whether equal ones have equal prints."""

    changed: int = 0
    equal: int = 0
    foreign: int = 0


def heal(
    db: sqlite3.Connection, call: LlmCall, again: Again, lengths: dict[str, int]
) -> tuple[LlmCall, Counter[str]]:
    """Make the rows around *call* agree with *again*: the call as it is now, rows changed by table.

    *lengths* notes how many messages a request turned out to have, for the calls that continue
    it.  The row of the call itself is left to the caller.
    """
    rows: Counter[str] = Counter()
    seen = _Compared()
    after = again.call
    length = call.n_messages
    if again.asked is not None:
        length = len(again.asked)
        told = min(_told(db, call, lengths), length)
        _messages(db, call, "in", again.asked[told:], seen)
        lengths[call.id] = length
    if again.answered is not None:
        placed = [one.model_copy(update={"position": length}) for one in again.answered]
        _messages(db, call, "out", placed, seen)
    if seen.changed or length != call.n_messages:
        after = after.model_copy(update={"n_messages": length})
    if not seen.foreign and (seen.changed or seen.equal):
        after = after.model_copy(update=_prints(again))
    rows["messages"] += seen.changed
    if again.tools is not None:
        rows["tool_calls"] += heal_tools(db, call, again.tools)
    rows["tool_calls"] += heal_answers(db, call, again.results)
    if again.payload is not None:
        rows["media"] += _media(db, call, again.payload)
        rows["payloads"] += _payload(db, call, again.payload)
    return after, +rows


def _prints(again: Again) -> dict[str, str | None]:
    """Prints that could be taken again; an empty one is none, as in a recorded row."""
    return {
        name: told or None
        for name in ("request_chain", "turn_print", "reply_print")
        if (told := getattr(again, name)) is not None
    }


def _told(db: sqlite3.Connection, call: LlmCall, lengths: dict[str, int]) -> int:
    """How many of the request's first messages are those of the call that it continues."""
    if call.continues_call_id is None:
        return 0
    [first] = db.execute(
        "select min(position) from call_messages where call_id = ? and direction = 'in'",
        (call.id,),
    ).fetchone()
    told: int = call.n_messages if first is None else first
    if told == 0:
        return 0
    if call.continues_call_id in lengths:
        return lengths[call.continues_call_id]
    row = db.execute(
        "select n_messages from llm_calls where id = ?", (call.continues_call_id,)
    ).fetchone()
    return int(row[0]) if row else told


def _messages(
    db: sqlite3.Connection,
    call: LlmCall,
    direction: Literal["in", "out"],
    wanted: Sequence[StoredMessage],
    seen: _Compared,
) -> None:
    """Make the messages that *call* adds in one *direction* those that are *wanted*."""
    placed = db.execute(_PLACED, (call.id, direction)).fetchall()
    if not placed and not wanted:
        return
    spare = {(row["position"], row["choice"]): row for row in placed}
    now: dict[tuple[int, int], int] = {}
    changed = []
    for one in wanted:
        row = _taken(spare, one, call)
        if row is None:
            changed.append(one)
            continue
        now[one.position, one.choice] = row["id"]
        seen.equal += row["fingerprint"] == one.fingerprint
        seen.foreign += row["fingerprint"] != one.fingerprint and not is_redacted(row["content"])
        seen.changed += _searchable(db, row)
    for one in changed:
        own = spare.pop((one.position, one.choice), None)
        now[one.position, one.choice] = _written(db, call, one, own)
    seen.changed += len(changed) + len(spare)
    before = {(row["position"], row["choice"]): row["id"] for row in placed}
    _place(db, call, direction, before, now)


def _taken(
    spare: dict[tuple[int, int], sqlite3.Row], one: StoredMessage, call: LlmCall
) -> sqlite3.Row | None:
    """The stored message that says what *one* says, taken off *spare*: at its place, or moved."""
    place = one.position, one.choice
    for key in [place, *(key for key in spare if key != place)]:
        if key in spare and _same(spare[key], one, call):
            return spare.pop(key)
    return None


def _same(row: sqlite3.Row, one: StoredMessage, call: LlmCall) -> bool:
    if row["fingerprint"] == one.fingerprint:
        return True
    if row["role"] != one.role:
        return False
    content = content_text(one.content)
    if row["content"] is None or row["privacy_tier"] != call.privacy_tier:
        # What is kept of it is not enough to compare, and its print is older than redaction.
        return is_redacted(content)
    return alike(content or "", row["content"])


def _searchable(db: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Bring the words for search in line with the content; True when they were not."""
    if row["privacy_tier"] != 3 or row["content"] is None:
        return False
    content = msgspec.json.decode(row["content"])
    text = plain_text(content) if content else None
    if (text, len(text or "")) == (row["text"], row["size"]):
        return False
    db.execute(
        "update messages set own_text = ?, size = ? where id = ?",
        (own_text(content, text), len(text or ""), row["id"]),
    )
    return True


def _written(
    db: sqlite3.Connection, call: LlmCall, one: StoredMessage, own: sqlite3.Row | None
) -> int:
    """The id of the row that holds *one*: a known one, *own* if nobody else has it, a new one."""
    values = message_values(call, one)
    known = _id_of(db, one.fingerprint)
    if known is None and own and db.execute(_USERS, (own["id"],)).fetchone()[0] == 1:
        db.execute(_REWRITE, (*values, own["id"]))
        return int(own["id"])
    db.execute(INSERT_MESSAGE, values)
    found = _id_of(db, one.fingerprint)
    assert found is not None
    return found


def _id_of(db: sqlite3.Connection, fingerprint: str) -> int | None:
    row = db.execute("select id from messages where fingerprint = ?", (fingerprint,)).fetchone()
    return row[0] if row else None


def _place(
    db: sqlite3.Connection,
    call: LlmCall,
    direction: str,
    before: dict[tuple[int, int], int],
    now: dict[tuple[int, int], int],
) -> None:
    """Write where messages stand; those that stand nowhere any more go."""
    for position, choice in before.keys() - now.keys():
        db.execute(
            "delete from call_messages"
            " where call_id = ? and direction = ? and position = ? and choice = ?",
            (call.id, direction, position, choice),
        )
    for (position, choice), id_ in now.items():
        if before.get((position, choice)) != id_:
            db.execute(
                "insert or replace into call_messages"
                " (call_id, direction, position, choice, message_id) values (?, ?, ?, ?, ?)",
                (call.id, direction, position, choice, id_),
            )
    for id_ in set(before.values()) - set(now.values()):
        db.execute(_FORGET, {"id": id_})


def _media(db: sqlite3.Connection, call: LlmCall, payload: Payload) -> int:
    """Store new media; describe anew those that this call was the first to have."""
    changed = 0
    for medium in payload.media:
        row = db.execute("select * from media where sha256 = ?", (medium.sha256,)).fetchone()
        values = medium.__dict__ | {"call_id": call.id, "at_us": call.started_us}
        if row is None:
            db.execute(INSERT_MEDIUM, values)
            changed += 1
        elif row["first_call_id"] == call.id and any(row[n] != values[n] for n in _FIGURES):
            places = ", ".join(f"{name} = :{name}" for name in _FIGURES)
            db.execute(f"update media set {places} where sha256 = :sha256", values)
            changed += 1
    return changed


def _payload(db: sqlite3.Connection, call: LlmCall, payload: Payload) -> int:
    """Set media aside that stand in the stored bodies; a body that is not kept stays away."""
    there = bodies_of(db, call.id)
    now = Bodies(
        there.request and (payload.request_body or there.request),
        there.response and (payload.response_body or there.response),
    )
    if now == there:
        return 0
    row = db.execute("select id from payloads where call_id = ?", (call.id,)).fetchone()
    release(db, row)
    replace(db, row[0], now)
    return 1
