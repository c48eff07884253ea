"""Prompt caches that should have hit: the first block that changed, who changed it, what it cost.

A provider's cache holds the beginning of a request: tools, system prompt, messages, in this order.
The first difference to the request before is what broke it.  Comes in: calls of the view
`broken_caches`.  Goes out: `Break`s, the latest first.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..model import Cost, Json, LlmCall
from ..pricing.calls import price_call
from .rows import call_of
from .talks import Talks, json_list

type Changed = Literal["model", "tools", "system", "history", "time", "unseen", "system or tools"]

NEWEST = 10_000
"""Calls that are looked at, the newest before the end that is asked for."""

_BROKEN = """
select id, after_call_id, tokens_lost, changed from broken_caches
where started_us < :until_us and started_us >= max(:since_us, coalesce((
        select started_us from llm_calls where started_us < :until_us
        order by started_us desc limit 1 offset :newest
    ), 0))
  and (:agent is null or agent_id = :agent) and (:session is null or session_id = :session)
  and (:provider is null or provider = :provider) and (:model is null or model = :model)
limit :most
"""
_CALLS = "select * from llm_calls where id in (select value from json_each(?))"
_MESSAGES = """
select id, role, substr(text, 1, 200) as text from messages
where id in (select value from json_each(?))
"""
_FOREVER_US = 2**62
_BEFORE_MESSAGES = ("model", "tools")


@dataclass(frozen=True, slots=True)
class Break:
    """A call that read far less from the cache than the call before had left there.

    `position` is that of the first message that differs, `role` whose it is, `before` and `after`
    how the two begin; all None where no message of the request before was changed.  `lost` is
    what a hit would have spared; None where the call has no price, or is not metered.
    """

    call_id: str
    after_call_id: str
    started_us: int
    agent_id: str | None
    session_id: str | None
    model: str
    tokens_lost: int
    lost_nano_usd: int | None
    changed: Changed
    position: int | None = None
    role: str | None = None
    before: str | None = None
    after: str | None = None


def breaks(
    db: sqlite3.Connection,
    since_us: int = 0,
    until_us: int = _FOREVER_US,
    *,
    provider: str | None = None,
    model: str | None = None,
    agent: str | None = None,
    session: str | None = None,
    most: int = 100,
) -> list[Break]:
    """Broken caches since *since_us* among the newest calls before *until_us*, latest first."""
    given = {
        "since_us": since_us,
        "until_us": until_us,
        "newest": NEWEST - 1,
        "provider": provider,
        "model": model,
        "agent": agent,
        "session": session,
        "most": most,
    }
    found = [tuple(row) for row in db.execute(_BROKEN, given)]
    ids = sorted({id_ for row in found for id_ in row[:2]})
    rows, db.row_factory = db.row_factory, sqlite3.Row
    try:
        calls = {row["id"]: call_of(row) for row in db.execute(_CALLS, (json_list(ids),))}
        talks = Talks(db, ids)
        told = [
            _break(calls[id_], after, lost, changed, talks) for id_, after, lost, changed in found
        ]
        return _worded(db, told, talks)
    finally:
        db.row_factory = rows


def _break(call: LlmCall, after: str, lost: int, changed: Changed, talks: Talks) -> Break:
    return Break(
        call.id,
        after,
        call.started_us,
        call.agent_id,
        call.session_id,
        call.response_model or call.model or "",
        lost,
        _spared(call, lost),
        changed,
        _first_difference(talks.request(after), talks.request(call.id)),
    )


def _first_difference(before: Sequence[int], after: Sequence[int]) -> int | None:
    """Where the request *after* does not go on as *before* did; None where it does."""
    for position, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return position
    return len(after) if len(after) < len(before) else None


def _worded(db: sqlite3.Connection, told: Sequence[Break], talks: Talks) -> list[Break]:
    """*told* with the messages that differ, and who changed them."""

    def message_of(call_id: str, position: int | None) -> int | None:
        whole = talks.request(call_id)
        return whole[position] if position is not None and position < len(whole) else None

    pairs = [
        (message_of(one.after_call_id, one.position), message_of(one.call_id, one.position))
        for one in told
    ]
    ids = [str(id_) for pair in pairs for id_ in pair if id_ is not None]
    words = {row["id"]: row for row in db.execute(_MESSAGES, (json_list(ids),))}
    worded = []
    for one, (before, after) in zip(told, pairs, strict=True):
        was, now = words.get(before), words.get(after)
        role = was["role"] if was else None
        changed = one.changed
        if role and changed not in _BEFORE_MESSAGES:
            changed = "system" if role == "system" else "history"
        text = (was["text"] if was else None, now["text"] if now else None)
        worded.append(replace(one, changed=changed, role=role, before=text[0], after=text[1]))
    return worded


def _spared(call: LlmCall, lost: int) -> int | None:
    """What *call* would have cost less, had *lost* more tokens come from the cache."""
    if call.billing not in (None, "metered"):
        return None
    plain = call.model_copy(update={"usage_raw": None})
    as_it_was, as_a_hit = price_call(plain), price_call(_with_hit(plain, lost))
    if isinstance(as_it_was, Cost) and isinstance(as_a_hit, Cost):
        return max(as_it_was.nano_usd - as_a_hit.nano_usd, 0)
    return None


def _with_hit(call: LlmCall, lost: int) -> LlmCall:
    """*call*, *lost* tokens read from the cache that were written to it, or read at full price."""
    written = max((call.cache_write_tokens or 0) - lost, 0)
    read = min((call.cache_read_tokens or 0) + lost, (call.tokens_in or 0) - written)
    detail: dict[str, Json] = dict(call.usage_detail or {})
    kinds = [name for name in ("cache_write_1h", "cache_write_5m") if detail.pop(name, None)]
    if kinds and written:
        detail[kinds[0]] = written
    hit = {"cache_read_tokens": read, "cache_write_tokens": written, "usage_detail": detail}
    return call.model_copy(update=hit)
