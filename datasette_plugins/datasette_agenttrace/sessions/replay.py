"""One session, told prompt by prompt: what was asked, answered, run, read and changed.

Its outline tells the figures and where the pages end; calls and words are read for one page, as
far as the tier of each call keeps them.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from agenttrace_mitm.traces.content import parsed
from agenttrace_mitm.traces.spoken import user_text

from .. import charts, figures
from ..asking import Value, rows_of
from ..bills import Bill
from ..calls.one import parts_in
from .outcome import Outcome
from .outline import (
    MOST_CALLS,
    PromptOutline,
    Spans,
    Stretch,
    Times,
    known_outline,
    outline,
    spans_of,
    times,
)
from .turns import Row, Teller, Turn

PAGE_PROMPTS = 10
PAGE_CALLS = 120
PROMPT_CHARS = 8_000
NAMED_CHARS = 120
OPENED_CHARS = 300_000


class Heading(Value):
    """A prompt as a line: its number from 1, and the page it begins on.

    Some have no words though these are *kept*: an embedding, say, has its *operation* alone.
    """

    number: int
    trace_id: str
    words: str | None
    kept: bool
    operation: str | None
    started_us: int
    duration_ms: float
    bill: Bill
    failures: int
    page: int


class Prompt(Value):
    """A prompt on the page; `continued` where it began on an earlier one."""

    heading: Heading
    text: str | None = None
    cut: bool = False
    turns: tuple[Turn, ...] = ()
    times: Times
    sub_agents: tuple[str, ...]
    context_tokens: int
    compactions: int
    continued: bool
    goes_on: bool


class Replay(Value):
    """The page of a session; `errors` are calls that went wrong, with their pages."""

    session_id: str
    agent: str
    agents: tuple[str, ...]
    """Who made its calls, in the order in which they came in."""
    client: str | None
    cwd: str | None
    started_us: int
    ended_us: int
    bill: Bill
    aside: Bill
    outcome: Outcome
    times: Times
    compactions: int
    headings: tuple[Heading, ...]
    prompts: tuple[Prompt, ...]
    page: int
    pages: int
    errors: tuple[tuple[str, int], ...]
    context: tuple[tuple[int, int], ...]
    tier: int

    @property
    def duration_ms(self) -> float:
        """From the first call to the last one's end."""
        return (self.ended_us - self.started_us) / 1000

    @property
    def most_context(self) -> int:
        """The most tokens that a call of the main conversation read."""
        return max((read for read, _ in self.context), default=0)

    @property
    def context_chart(self) -> charts.Chart:
        """What each call of the main conversation read: from the cache, and afresh."""
        labels = [f"call {n}" for n in range(1, len(self.context) + 1)]
        series = [
            charts.Series("from cache", "c4", [cached for _, cached in self.context]),
            charts.Series("read afresh", "c0", [max(all_ - c, 0) for all_, c in self.context]),
        ]
        return charts.stacked(labels, series, figures.compact)


type Prompts = Sequence[tuple[Heading, Row, PromptOutline]]
"""Each with its row of `_TRACES`."""
type Slice = tuple[int, int, int]
"""A prompt's number from 0, and which of its calls, from and until."""

_CALLS = """
    select c.id, c.outcome, c.status_code, c.error_type,
           case when min(c.privacy_tier, :cap) > 1 then c.error_message end as error_message,
           c.agent_id, c.started_us, c.ended_us, c.latency_ms, c.tokens_in,
           c.cost_nano_usd, c.history, c.operation_id, h.parent_span_id
    from llm_calls c left join threads h on h.thread_id = c.thread_id
    where c.id in (select value from json_each(:calls))
"""
_TRACES = f"""
    select t.trace_id, t.call_id, t.started_us, o.operation,
           min(o.privacy_tier, :cap) > 1 as kept,
           case when min(o.privacy_tier, :cap) > 1 then substr(t.name, 1, {NAMED_CHARS + 1}) end
               as words
    from traces t left join llm_calls o on o.id = t.call_id
    where {{which}} order by t.started_us, t.trace_id limit {MOST_CALLS}
"""


def load(
    db: sqlite3.Connection, session_id: str, page: int = 1, cap: int = 3, most: int | None = None
) -> Replay | None:
    """A page of the session, None when there is none; with *most* it holds so many calls.

    *cap* is the most of a tier to show.
    """
    found = rows_of(db.execute("select * from sessions where session_id = ?", (session_id,)))
    if not found:
        return None
    session = found[0]
    known = known_outline(db, session) if cap == 3 else outline(db, session, cap)
    traces = _traces(db, session_id, known.prompts, cap)
    asked = [known.prompts[trace["trace_id"]] for trace in traces]
    pages = _pages([len(one.calls) for one in asked], most)
    page = min(max(page, 1), len(pages))
    page_of = _page_of(pages, asked)
    headings = _headings(traces, asked, page_of)
    return Replay(
        session_id=session_id,
        agent=session["agent_id"] or session["client"] or session["process"] or "",
        agents=known.agents, client=session["client"], cwd=session["cwd"] if cap > 1 else None,
        started_us=known.whole_us[0], ended_us=known.whole_us[1], bill=known.bill,
        aside=known.aside, outcome=known.outcome, times=known.times,
        compactions=known.compactions, headings=headings,
        prompts=_told(
            db, session_id, cap, pages[page - 1],
            list(zip(headings, traces, asked, strict=True)),
        ),
        page=page, pages=len(pages),
        errors=tuple((id_, page_of[id_]) for id_ in known.errors if id_ in page_of),
        context=known.context, tier=_tier(db, session_id, cap),
    )  # fmt: skip


def _traces(
    db: sqlite3.Connection, session_id: str, prompts: Mapping[str, PromptOutline], cap: int
) -> list[Row]:
    """The traces of *prompts* in order: read side by side, as the session has them."""
    given = {"session": session_id, "cap": cap}
    rows = rows_of(db.execute(_TRACES.format(which="t.session_id = :session"), given))
    found = [row for row in rows if row["trace_id"] in prompts]
    # A trace that a client passes on may have begun in another session: it is told here too.
    elsewhere = prompts.keys() - {row["trace_id"] for row in found}
    if elsewhere:
        of_ids = _TRACES.format(which="t.trace_id in (select value from json_each(:traces))")
        found += rows_of(db.execute(of_ids, given | {"traces": json.dumps(list(elsewhere))}))
        found.sort(key=lambda row: (row["started_us"], row["trace_id"]))
    return found


_OF_TIER = """
    exists (
        select 1 from llm_calls
        where session_id = :session and kind = 'llm' and privacy_tier = {tier}
    )
"""
_TIER = f"""
    select case when {_OF_TIER.format(tier=3)} then 3 when {_OF_TIER.format(tier=2)} then 2 end
"""


def _tier(db: sqlite3.Connection, session_id: str, cap: int) -> int:
    """The highest tier of its calls: one call is looked at, where everything is kept."""
    (found,) = db.execute(_TIER, {"session": session_id}).fetchone()
    return min(found or 1, cap)


# ------------------------------------------------------------------ prompts and pages


def _pages(sizes: Sequence[int], most: int | None = None) -> list[list[Slice]]:
    """Prompts of these sizes, a few to a page; one with many calls goes on over several.

    Pages are filled from the beginning, so that those before the last stay as they are.
    """
    most_calls, most_prompts = (most, most) if most else (PAGE_CALLS, PAGE_PROMPTS)
    pages: list[list[Slice]] = [[]]
    room = most_calls
    for n, size in enumerate(sizes):
        for start in range(0, size, most_calls):
            stop = min(start + most_calls, size)
            if pages[-1] and (stop - start > room or len(pages[-1]) == most_prompts):
                pages.append([])
                room = most_calls
            pages[-1].append((n, start, stop))
            room -= stop - start
    return pages


def _page_of(pages: Sequence[Sequence[Slice]], asked: Sequence[PromptOutline]) -> dict[str, int]:
    """The page of each call."""
    return {
        id_: number
        for number, page in enumerate(pages, 1)
        for n, start, stop in page
        for id_ in asked[n].calls[start:stop]
    }


def _headings(
    traces: Sequence[Row], asked: Sequence[PromptOutline], page_of: Mapping[str, int]
) -> tuple[Heading, ...]:
    headings = []
    for number, (trace, one) in enumerate(zip(traces, asked, strict=True), 1):
        words, (started, ended) = trace["words"], one.stretch
        headings.append(
            Heading(
                number=number, trace_id=trace["trace_id"], started_us=started,
                words=words if not words or len(words) <= NAMED_CHARS else words[:-1] + "…",
                kept=bool(trace["kept"]), operation=trace["operation"],
                duration_ms=(ended - started) / 1000, bill=one.bill, failures=one.failures,
                page=page_of[one.calls[0]],
            )
        )  # fmt: skip
    return tuple(headings)


# ------------------------------------------------------------------ the page


def _told(
    db: sqlite3.Connection, session_id: str, cap: int, page: Sequence[Slice], prompts: Prompts
) -> tuple[Prompt, ...]:
    """The prompts of *page*: figures of all calls of each, and what those on the page said."""
    ids = [id_ for n, _, _ in page for id_ in prompts[n][2].calls]
    given = {"calls": json.dumps(ids), "cap": cap}
    rows = {row["id"]: row for row in rows_of(db.execute(_CALLS, given))}
    spans = spans_of(db, ids)
    shown = [id_ for n, start, stop in page for id_ in prompts[n][2].calls[start:stop]]
    teller = Teller(db, session_id, shown, cap)
    found = []
    for n, start, stop in page:
        heading, trace, known = prompts[n]
        opened = trace["call_id"] if start == 0 else None
        text = _asked(db, opened, cap) if opened else None
        calls = [rows[id_] for id_ in known.calls if id_ in rows]
        turns = [rows[id_] for id_ in known.calls[start:stop] if id_ in rows]
        said: dict[str, Any] = {
            "heading": heading,
            "turns": teller.turns(turns),
            "text": text[:PROMPT_CHARS] if text else None,
            "cut": text is not None and len(text) > PROMPT_CHARS,
            "continued": start > 0,
            "goes_on": stop < len(known.calls),
        }
        found.append(Prompt(**said, **_figures(calls, spans, known.stretch)))
    return tuple(found)


def _figures(calls: Sequence[Row], spans: Spans, stretch: Stretch) -> dict[str, Any]:
    main = [call for call in calls if call["parent_span_id"] is None] or calls
    below = dict.fromkeys(call["agent_id"] or "" for call in calls if call["parent_span_id"])
    answering = [(call["operation_id"], call["started_us"], call["ended_us"]) for call in calls]
    return {
        "times": times(stretch, answering, [spans.get(call["id"], ()) for call in calls]),
        "sub_agents": tuple(below),
        "context_tokens": max((call["tokens_in"] or 0 for call in main), default=0),
        "compactions": sum(call["history"] == "compacted" for call in main),
    }


_WORDS = f"""
    select m.role, case when length(m.content) <= {OPENED_CHARS} then m.content end as content,
           case when length(m.content) > {OPENED_CHARS}
                then substr(m.text, 1, {PROMPT_CHARS + 1}) end as beginning
    from llm_calls c join call_messages u on u.call_id = c.id
    join messages m on m.id = u.message_id
    where c.id = :call and u.direction = 'in' and u.choice = 0 and min(c.privacy_tier, :cap) > 1
    order by u.position desc limit 60
"""


def _asked(db: sqlite3.Connection, call_id: str, cap: int) -> str | None:
    """The user's words that opened a prompt, injected notes aside; None where not kept."""
    rows = rows_of(db.execute(_WORDS, {"call": call_id, "cap": cap}))[::-1]
    runs = [list(run) for _, run in groupby(rows, lambda row: row["role"] == "assistant")]
    if not runs or runs[-1][0]["role"] == "assistant":
        return None
    said = []
    for row in runs[-1]:
        if row["beginning"] and row["role"] == "user":
            said.append(str(row["beginning"]))
        elif row["content"]:
            said.append(user_text([parsed(row["role"], parts_in(row["content"]))]))
    return "\n".join(filter(None, said)) or None
