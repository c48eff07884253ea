"""What is known of a whole session besides its words: sums, times, and which calls each prompt has.

That takes a look at every call, so it is remembered until the session goes on; words, which may be
let go at any time, never are.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agenttrace_mitm.traces.stories import pauses_of, split

from ..asking import DAY_US, Value, rows_of
from ..bills import CALL, SUMS, Bill, added, summed
from .memory import Memory
from .outcome import Outcome, known_outcome, outcome, stamp_of

MOST_CALLS = 20_000
DRAWN_CALLS = 240
REMEMBERED = 8
MOST_DAYS = 1_000  # whose sums tell whether a session went on

type Row = dict[str, Any]
type Part = tuple[int | None, ...]
"""What a call adds to a bill."""
type Stretch = tuple[int, int]
type Try = tuple[str | None, int, int | None]
"""Of which operation a call is, and when it began and ended."""
type Spans = Mapping[str, Sequence[Stretch]]
"""When tools ran, by the call that asked for them."""


class Times(Value):
    """Where time went; idle is nobody's: mostly, an agent that waits for its user."""

    model_ms: float
    tool_ms: float
    retry_ms: float
    """Between the tries of an operation, before the next."""
    idle_ms: float


class Light(NamedTuple):
    """What is looked at of every call."""

    id: str
    kind: str
    trace_id: str | None
    thread_id: str | None
    outcome: str
    started_us: int
    ended_us: int | None
    tokens_in: int | None
    cache_read_tokens: int | None
    history: str | None
    agent_id: str | None
    operation_id: str | None
    tier: int


class PromptOutline(NamedTuple):
    """A prompt: its calls in order, from when to when, what they took, how many tools failed."""

    calls: tuple[str, ...]
    stretch: Stretch
    bill: Bill
    failures: int


class Outline(NamedTuple):
    """The session; `errors` are calls that went wrong, `context` is what its chart shows."""

    bill: Bill
    aside: Bill
    outcome: Outcome
    whole_us: Stretch
    times: Times
    compactions: int
    prompts: Mapping[str, PromptOutline]
    """By the trace of each."""
    agents: tuple[str, ...]
    """Who made its calls, in the order in which they came in."""
    errors: tuple[str, ...]
    context: tuple[tuple[int, int], ...]


def outline(db: sqlite3.Connection, session: Row, cap: int) -> Outline:
    """The outline of a row of `sessions`, told at tier *cap* at most."""
    session_id = session["session_id"]
    read = _calls(db, session_id)
    calls = [one for one, _ in read if one.kind == "llm"]
    taken = _bills(db, session_id, read)
    bill = added(taken.values())
    tiers = {one.id: one.tier for one, _ in read} if len(read) < MOST_CALLS else None
    left = (
        known_outcome(db, session_id, stamp_of(session["ended_us"], bill), tiers)
        if cap == 3
        else outcome(db, session_id, cap, tiers)
    )
    whole_us = _whole(calls, session)
    spans = spans_of(db, (one.id for one in calls))
    return Outline(
        bill=bill,
        aside=taken[None],
        outcome=left,
        whole_us=whole_us,
        times=times(
            whole_us,
            [(one.operation_id, one.started_us, one.ended_us) for one in calls],
            spans.values(),
        ),
        compactions=sum(one.history == "compacted" for one in calls),
        prompts=_prompts(calls, taken, left),
        agents=tuple(dict.fromkeys(one.agent_id for one in calls if one.agent_id)),
        errors=tuple(one.id for one in calls if _went_wrong(one, left)),
        context=_context(calls, _of_sub_agents(db, session_id, calls)),
    )


_CALLS = f"""
    select id, kind, trace_id, thread_id, outcome, started_us, ended_us, tokens_in,
           cache_read_tokens, history, agent_id, operation_id, coalesce(privacy_tier, 1), {CALL}
    from llm_calls where session_id = ? and kind in ('llm', 'auxiliary')
    order by started_us, id limit {MOST_CALLS}
"""


def _calls(db: sqlite3.Connection, session_id: str) -> list[tuple[Light, Part]]:
    """The calls of a session, the first `MOST_CALLS` of them, each with its part of the bill."""
    width = len(Light._fields)
    rows = db.execute(_CALLS, (session_id,))
    return [(Light._make(row[:width]), row[width:]) for row in rows]


def _bills(
    db: sqlite3.Connection, session_id: str, read: Sequence[tuple[Light, Part]]
) -> dict[str | None, Bill]:
    """The bill of each prompt; under None what is nobody's turn: titles, probes, monitors."""
    found: dict[str | None, Bill] = {None: Bill()}
    if len(read) < MOST_CALLS:
        parts: dict[str | None, list[Part]] = {}
        for one, part in read:
            parts.setdefault(one.trace_id if one.kind == "llm" else None, []).append(part)
        return found | {trace_id: summed(some) for trace_id, some in parts.items()}
    rows = db.execute(
        f"select case when kind = 'llm' then trace_id end as trace_id, {SUMS} from llm_calls"
        " where session_id = ? and kind in ('llm', 'auxiliary') group by 1",
        (session_id,),
    )
    return found | {row.pop("trace_id"): Bill(**row) for row in rows_of(rows)}


def _prompts(
    calls: Iterable[Light], taken: Mapping[str | None, Bill], left: Outcome
) -> dict[str, PromptOutline]:
    by_trace: dict[str, list[Light]] = {}
    for call in calls:
        by_trace.setdefault(call.trace_id or "", []).append(call)
    return {
        trace_id: PromptOutline(
            calls=tuple(one.id for one in some),
            stretch=_stretch(some),
            bill=taken.get(trace_id, Bill()),
            failures=sum(left.failures.get(one.id, 0) for one in some) if left.failures else 0,
        )
        for trace_id, some in by_trace.items()
    }


def _stretch(calls: Sequence[Light]) -> Stretch:
    return calls[0].started_us, max([one.ended_us or one.started_us for one in calls])


def _whole(calls: Sequence[Light], session: Row) -> Stretch:
    started, ended = session["started_us"], session["ended_us"]
    if not calls:
        return started, ended
    first, last = _stretch(calls)
    return min(started, first), max(ended, last)


def _went_wrong(call: Light, left: Outcome) -> bool:
    return call.outcome in ("error", "interrupted") or call.id in left.failures


def _of_sub_agents(db: sqlite3.Connection, session_id: str, calls: Iterable[Light]) -> set[str]:
    """Their threads."""
    wanted = {one.thread_id for one in calls if one.thread_id}
    # Side by side in their table, which their ids are not in its index.
    sql = "select thread_id, parent_span_id is not null from threads where"
    of_session = f"{sql} session_id = ? order by started_us limit {MOST_CALLS}"
    found = dict(db.execute(of_session, (session_id,)).fetchall())
    if elsewhere := wanted - found.keys():
        of_ids = f"{sql} thread_id in (select value from json_each(?))"
        found |= dict(db.execute(of_ids, (json.dumps(list(elsewhere)),)).fetchall())
    return {thread_id for thread_id in wanted if found.get(thread_id)}


def _context(calls: Iterable[Light], aside: set[str]) -> tuple[tuple[int, int], ...]:
    """Tokens read, and of these from the cache, by calls of the main conversation.

    Of very many calls, the fullest of each few.
    """
    read = [
        (call.tokens_in, call.cache_read_tokens or 0)
        for call in calls
        if call.tokens_in and call.thread_id not in aside
    ]
    few = -(-len(read) // DRAWN_CALLS) or 1
    return tuple(max(read[at : at + few]) for at in range(0, len(read), few))


# ------------------------------------------------------------------ times


_SPANS = """
    select t.call_id, t.started_us, coalesce(t.ended_us, t.started_us)
    from json_each(?) one cross join tool_calls t on t.call_id = one.value
"""


def spans_of(db: sqlite3.Connection, calls: Iterable[str]) -> Spans:
    """When the tools of *calls* ran."""
    found: dict[str, list[Stretch]] = {}
    for call_id, started, ended in db.execute(_SPANS, (json.dumps(list(calls)),)):
        found.setdefault(call_id, []).append((started, ended))
    return found


def times(whole: Stretch, calls: Sequence[Try], tools: Iterable[Sequence[Stretch]]) -> Times:
    """Where the time of *whole* went, by when *calls* and *tools* began and ended."""
    answering = [(started, ended or started) for _, started, ended in calls]
    running = [span for spans in tools for span in spans]
    found = split(whole, answering, running, pauses_of(calls))
    return Times(
        model_ms=found.model_us / 1000, tool_ms=found.tool_us / 1000,
        retry_ms=found.retry_us / 1000, idle_ms=found.idle_us / 1000,
    )  # fmt: skip


# ------------------------------------------------------------------ remembering

type Stamp = tuple[int | None, ...]

_SUMMED = ("calls", "failed", "cancelled", "unpriced", "cost_nano_usd", "tokens_in", "tokens_out")
_STAMP = f"""
    select s.started_us, s.ended_us,
           (select count(*) from llm_calls where session_id = s.session_id),
           (select count(*) from llm_calls indexed by llm_calls_running
            where outcome = 'in_flight' and session_id = s.session_id
              and started_us >= s.started_us),
           placed.*, taken.*
    from sessions s, (
        select count(*), sum(t.started_us - s.started_us), sum(t.ended_us - s.started_us)
        from sessions s join traces t on t.session_id = s.session_id
        where s.session_id = :session
    ) placed, (
        select {", ".join(f"sum({name})" for name in _SUMMED)}
        from json_each(:days) d
        cross join rollup_session on day = d.value and session_id = :session
    ) taken
    where s.session_id = :session
"""

_known: Memory[Outline] = Memory(REMEMBERED)


def known_outline(db: sqlite3.Connection, session: Row) -> Outline:
    """The outline, remembered while what the session took stays the same."""
    return _known.told(
        db, session["session_id"], _stamp(db, session), lambda: outline(db, session, 3)
    )


def _stamp(db: sqlite3.Connection, session: Row) -> Stamp:
    first, last = session["started_us"] // DAY_US, session["ended_us"] // DAY_US
    days = list(range(max(first, last - MOST_DAYS), last + 1))
    given = {"session": session["session_id"], "days": json.dumps(days)}
    found: Stamp = db.execute(_STAMP, given).fetchone()
    return found
