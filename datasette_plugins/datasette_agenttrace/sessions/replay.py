"""One session, told prompt by prompt: what was asked, answered, run, read and changed.

Light rows of all calls tell the figures and where the pages end; words are read for one page, as
far as the tier of each call keeps them.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from agenttrace_mitm.traces.content import parsed
from agenttrace_mitm.traces.spoken import user_text
from agenttrace_mitm.traces.stories import split

from .. import charts, figures
from ..asking import Value, rows_of
from ..bills import SUMS, Bill, bills
from ..calls.one import parts_in
from .outcome import Outcome, known_outcome, outcome, stamp_of
from .turns import Row, Teller, Turn

PAGE_PROMPTS = 10
PAGE_CALLS = 120
MOST_CALLS = 20_000
PROMPT_CHARS = 8_000
NAMED_CHARS = 120
OPENED_CHARS = 300_000
DRAWN_CALLS = 240


class Times(Value):
    """Where time went; idle is nobody's: mostly, an agent that waits for its user."""

    model_ms: float
    tool_ms: float
    idle_ms: float


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
    def context_chart(self) -> charts.Chart:
        """What each call of the main conversation read: from the cache, and afresh."""
        labels = [f"call {n}" for n in range(1, len(self.context) + 1)]
        series = [
            charts.Series("from cache", "c4", [cached for _, cached in self.context]),
            charts.Series("read afresh", "c0", [max(all_ - c, 0) for all_, c in self.context]),
        ]
        return charts.stacked(labels, series, figures.compact)


type Spans = Mapping[str, Sequence[tuple[int, int]]]
type Slice = tuple[int, int, int]
"""A prompt's number from 0, and which of its calls, from and until."""

_CALLS = f"""
    select c.id, c.trace_id, c.thread_id, c.kind, c.outcome, c.status_code, c.error_type,
           case when min(c.privacy_tier, :cap) > 1 then c.error_message end as error_message,
           c.agent_id, c.started_us, c.ended_us, c.latency_ms, c.tokens_in, c.cache_read_tokens,
           c.cost_nano_usd, c.history, min(c.privacy_tier, :cap) as tier, h.parent_span_id
    from llm_calls c left join threads h on h.thread_id = c.thread_id
    where c.session_id = :session and c.kind = 'llm'
    order by c.started_us, c.id limit {MOST_CALLS}
"""
_TRACES = f"""
    select t.trace_id, t.call_id, t.started_us, o.operation,
           min(o.privacy_tier, :cap) > 1 as kept,
           case when min(o.privacy_tier, :cap) > 1 then substr(t.name, 1, {NAMED_CHARS + 1}) end
               as words
    from traces t left join llm_calls o on o.id = t.call_id
    where t.trace_id in (select value from json_each(:traces)) order by t.started_us, t.trace_id
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
    calls = rows_of(db.execute(_CALLS, {"session": session_id, "cap": cap}))
    traces, by_trace = _prompts(db, calls, cap)
    pages = _pages([len(by_trace[trace["trace_id"]]) for trace in traces], most)
    page = min(max(page, 1), len(pages))
    shown = _of_page(pages[page - 1], traces, by_trace)
    page_of = _page_of(pages, traces, by_trace)
    session, per_trace = found[0], _bills(db, session_id)
    bill = bills(db, "session_id", [session_id]).get(session_id, Bill())
    left = (
        known_outcome(db, session_id, stamp_of(session["ended_us"], bill))
        if cap == 3
        else outcome(db, session_id, cap)
    )
    headings = _headings(traces, by_trace, per_trace, left.failures, page_of)
    teller = Teller(db, session_id, [call["id"] for call in shown], cap)
    spans = _tool_spans(db, session_id)
    whole_us = _whole(calls, session)
    return Replay(
        session_id=session_id,
        agent=session["agent_id"] or session["client"] or session["process"] or "",
        client=session["client"], cwd=session["cwd"] if cap > 1 else None,
        started_us=whole_us[0], ended_us=whole_us[1], bill=bill, aside=per_trace[None],
        outcome=left,
        times=_times(calls, spans, whole_us),
        compactions=sum(call["history"] == "compacted" for call in calls),
        headings=headings,
        prompts=tuple(
            _prompt(headings[n], by_trace[traces[n]["trace_id"]], (start, stop), spans).model_copy(
                update=_told(db, teller, by_trace[traces[n]["trace_id"]][start:stop],
                             traces[n]["call_id"] if start == 0 else None, cap)
            )
            for n, start, stop in pages[page - 1]
        ),
        page=page, pages=len(pages), errors=_errors(calls, left, page_of), context=_context(calls),
        tier=max([call["tier"] for call in calls] or [1]),
    )  # fmt: skip


# ------------------------------------------------------------------ prompts and pages


def _prompts(
    db: sqlite3.Connection, calls: Iterable[Row], cap: int
) -> tuple[list[Row], dict[str, list[Row]]]:
    """The traces that *calls* belong to, in order, and the calls of each.

    A trace that a client passes on may have begun in another session: it is told here too.
    """
    by_trace: dict[str, list[Row]] = {}
    for call in calls:
        by_trace.setdefault(call["trace_id"] or "", []).append(call)
    given = {"traces": json.dumps(list(by_trace)), "cap": cap}
    return rows_of(db.execute(_TRACES, given)), by_trace


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


def _of_page(
    page: Iterable[Slice], traces: Sequence[Row], by_trace: Mapping[str, Sequence[Row]]
) -> list[Row]:
    return [call for n, start, stop in page for call in by_trace[traces[n]["trace_id"]][start:stop]]


def _page_of(
    pages: Sequence[Sequence[Slice]], traces: Sequence[Row], by_trace: Mapping[str, Sequence[Row]]
) -> dict[str, int]:
    """The page of each call."""
    return {
        call["id"]: number
        for number, page in enumerate(pages, 1)
        for call in _of_page(page, traces, by_trace)
    }


def _bills(db: sqlite3.Connection, session_id: str) -> dict[str | None, Bill]:
    """The bill of each prompt; under None what is nobody's turn: titles, probes, monitors."""
    rows = db.execute(
        f"select case when kind = 'llm' then trace_id end as trace_id, {SUMS} from llm_calls"
        " where session_id = ? and kind in ('llm', 'auxiliary') group by 1",
        (session_id,),
    )
    found = {row.pop("trace_id"): Bill(**row) for row in rows_of(rows)}
    return {None: Bill()} | found


def _headings(
    traces: Sequence[Row],
    by_trace: Mapping[str, Sequence[Row]],
    taken: Mapping[str | None, Bill],
    failures: Mapping[str, int],
    page_of: Mapping[str, int],
) -> tuple[Heading, ...]:
    headings = []
    for number, trace in enumerate(traces, 1):
        calls = by_trace[trace["trace_id"]]
        started, ended = _stretch(calls)
        words = trace["words"]
        headings.append(
            Heading(
                number=number, trace_id=trace["trace_id"], started_us=started,
                words=words if not words or len(words) <= NAMED_CHARS else words[:-1] + "…",
                kept=bool(trace["kept"]), operation=trace["operation"],
                duration_ms=(ended - started) / 1000,
                bill=taken.get(trace["trace_id"], Bill()),
                failures=sum(failures.get(call["id"], 0) for call in calls),
                page=page_of[calls[0]["id"]],
            )
        )  # fmt: skip
    return tuple(headings)


def _prompt(heading: Heading, calls: Sequence[Row], part: tuple[int, int], spans: Spans) -> Prompt:
    main = [call for call in calls if call["parent_span_id"] is None] or calls
    below = dict.fromkeys(call["agent_id"] or "" for call in calls if call["parent_span_id"])
    return Prompt(
        heading=heading,
        times=_times(calls, spans, _stretch(calls)),
        sub_agents=tuple(below),
        context_tokens=max((call["tokens_in"] or 0 for call in main), default=0),
        compactions=sum(call["history"] == "compacted" for call in main),
        continued=part[0] > 0,
        goes_on=part[1] < len(calls),
    )


def _told(
    db: sqlite3.Connection, teller: Teller, calls: Sequence[Row], asked: str | None, cap: int
) -> dict[str, Any]:
    """What a prompt says on the page; *asked* is the call that opened it, where it begins."""
    text = _asked(db, asked, cap) if asked else None
    return {
        "turns": teller.turns(calls),
        "text": text[:PROMPT_CHARS] if text else None,
        "cut": text is not None and len(text) > PROMPT_CHARS,
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


_SPANS = """
    select t.call_id, t.started_us, coalesce(t.ended_us, t.started_us)
    from llm_calls c join tool_calls t on t.call_id = c.id
    where c.session_id = ? and c.kind = 'llm'
"""


def _tool_spans(db: sqlite3.Connection, session_id: str) -> Spans:
    """When tools ran, by the call that asked for them."""
    found: dict[str, list[tuple[int, int]]] = {}
    for call_id, started, ended in db.execute(_SPANS, (session_id,)):
        found.setdefault(call_id, []).append((started, ended))
    return found


# ------------------------------------------------------------------ figures


def _stretch(calls: Sequence[Row]) -> tuple[int, int]:
    ends = [call["ended_us"] or call["started_us"] for call in calls]
    return min(call["started_us"] for call in calls), max(ends)


def _whole(calls: Sequence[Row], session: Row) -> tuple[int, int]:
    started, ended = session["started_us"], session["ended_us"]
    if not calls:
        return started, ended
    first, last = _stretch(calls)
    return min(started, first), max(ended, last)


def _times(calls: Sequence[Row], spans: Spans, whole: tuple[int, int]) -> Times:
    answering = [(c["started_us"], c["ended_us"] or c["started_us"]) for c in calls]
    times = split(whole, answering, [span for c in calls for span in spans.get(c["id"], ())])
    return Times(
        model_ms=times.model_us / 1000, tool_ms=times.tool_us / 1000, idle_ms=times.idle_us / 1000
    )


def _errors(
    calls: Iterable[Row], left: Outcome, page_of: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    return tuple(
        (call["id"], page_of[call["id"]])
        for call in calls
        if call["id"] in page_of
        and (call["outcome"] in ("error", "interrupted") or call["id"] in left.failures)
    )


def _context(calls: Sequence[Row]) -> tuple[tuple[int, int], ...]:
    """Tokens read, and of these from the cache, by calls of the main conversation.

    Of very many calls, the fullest of each few.
    """
    read = [
        (call["tokens_in"], call["cache_read_tokens"] or 0)
        for call in calls
        if call["tokens_in"] and not call["parent_span_id"]
    ]
    few = -(-len(read) // DRAWN_CALLS) or 1
    return tuple(max(read[at : at + few]) for at in range(0, len(read), few))
