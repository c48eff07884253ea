"""One trace: its spans as a tree over time, what each of them said, and what it all took.

All spans are read for the totals and the critical path; a page shows a part of them, with the
words that the tier of each call keeps.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from agenttrace_mitm.traces.stories import length, split

from ..asking import Value, rows_of
from ..bills import Bill, bills
from ..calls.one import Part, pretty
from ..said import Words, replies
from .graph import Graph, graph
from .waterfall import Row, critical, ordered

PAGE_SPANS = 250
MOST_SPANS = 20_000
SHOWN_CHARS = 2_000  # of each text
ASKED_CHARS = 2_000
PREVIEW_CHARS = 110

type Kind = Literal["agent", "llm", "attempt", "tool"]


class Span(Value):
    """A step.  Of a call it says what the call took; `call_id` is where there is more to see."""

    span_id: str
    parent_span_id: str | None
    kind: Kind
    name: str
    call_id: str | None
    agent_id: str | None
    thread_id: str | None = None
    outcome: str | None
    how: str = ""
    confidence: float = 1.0
    started_us: int
    ended_us: int | None
    model: str | None = None
    status_code: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_nano_usd: int | None = None
    billing: str | None = None
    unpriced_reason: str | None = None
    attempt: int = 1
    tries: tuple[tuple[int, int], ...] = ()
    """When each try of an operation began and ended; between them its client waited."""
    tier: int = 1

    @property
    def failed(self) -> bool:
        """Whether it went wrong; what a client cancelled did not."""
        return self.outcome in ("error", "interrupted")

    @property
    def end_us(self) -> int:
        """Where it ends as far as is known."""
        return self.started_us if self.ended_us is None else self.ended_us

    @property
    def busy(self) -> tuple[tuple[int, int], ...]:
        """When it was at work."""
        return self.tries or ((self.started_us, self.end_us),)

    @property
    def busy_us(self) -> int:
        """How long it was at work."""
        return length(self.busy)

    @property
    def paused_us(self) -> int:
        """How long its client waited between its tries."""
        return max(self.end_us - self.started_us - self.busy_us, 0)

    @property
    def is_own_failure(self) -> bool:
        """A failure where it happened: each try by itself, not what stands above."""
        return self.failed and self.kind != "agent" and not self.tries


class Step(Value):
    """A span in its place on the page."""

    row: Row
    span: Span
    words: Words = Words()
    on_critical_path: bool = False

    @property
    def told(self) -> tuple[Part, ...]:
        """What a reply said; the tools that it called have spans of their own."""
        return tuple(part for part in self.words.reply if part.type != "tool_call")

    @property
    def says(self) -> bool:
        """Whether there is more to read than the rows below tell."""
        span = self.span
        if span.kind == "tool":
            return True
        return bool(self.told or self.words.withheld or span.error_type or span.error_message)

    @property
    def preview(self) -> str:
        """The beginning of what a reply said in words, or that it thought."""
        text = next((part.text for part in self.told if part.type == "text" and part.text), "")
        if not text and any(part.type == "reasoning" for part in self.told):
            return "Reasoning"
        return text[:PREVIEW_CHARS] + ("…" if len(text) > PREVIEW_CHARS else "")


class Times(Value):
    """Where the time went; the four add up to the whole."""

    model_ms: float
    tool_ms: float
    retry_ms: float
    """Between the tries of an operation."""
    idle_ms: float


class OneTrace(Value):
    """The page of a trace; `first` is the place of the first step shown."""

    trace_id: str
    session_id: str | None
    agent_id: str | None
    how: str
    confidence: float
    started_us: int
    ended_us: int
    asked_for: str | None
    asked_cut: bool
    call_id: str
    outcome: str
    bill: Bill
    times: Times
    critical_ms: float
    steps: tuple[Step, ...]
    first: int
    n_spans: int
    failed: tuple[str, ...]
    tool_failures: int
    graph: Graph | None
    tier: int

    @property
    def duration_us(self) -> int:
        """From the beginning to the end."""
        return self.ended_us - self.started_us

    @property
    def shown(self) -> frozenset[str]:
        """The steps on the page."""
        return frozenset(step.span.span_id for step in self.steps)


def load(
    db: sqlite3.Connection,
    trace_id: str,
    first: int | str = 0,
    cap: int = 3,
    most: int | None = None,
) -> OneTrace | None:
    """The trace with this id, None when there is none; *most* steps of it, from *first* on.

    *first* is the place of a step, or its id.  *cap* is the most of a tier to show.
    """
    found = rows_of(db.execute(_TRACE, {"id": trace_id, "cap": cap, "most": ASKED_CHARS}))
    if not found:
        return None
    trace = found[0]
    spans = _spans(db, trace_id, cap)
    whole = _whole(trace, spans)
    rows = ordered(spans, whole)
    path, critical_us = critical(spans)
    by_id = {span.span_id: span for span in spans}
    most = most or PAGE_SPANS
    if isinstance(first, str):
        first = next((at for at, row in enumerate(rows) if row.span_id == first), 0)
    first = min(max(first, 0), max(len(rows) - 1, 0)) // most * most
    page = rows[first : first + most]
    said = _words(db, [by_id[row.span_id] for row in page], cap)
    bill = bills(db, "trace_id", [trace_id]).get(trace_id, Bill())
    return OneTrace(
        **{name: trace[name] for name in ("trace_id", "session_id", "agent_id", "how",
                                          "confidence", "call_id", "asked_for")},
        asked_cut=bool(trace["asked_cut"]),
        started_us=whole[0], ended_us=whole[1], outcome=_outcome(spans), bill=bill,
        times=_times(spans, whole), critical_ms=critical_us / 1000,
        steps=tuple(
            Step(row=row, span=by_id[row.span_id], words=said.get(row.span_id, Words()),
                 on_critical_path=row.span_id in path)
            for row in page
        ),
        first=first, n_spans=len(rows),
        failed=tuple(row.span_id for row in rows if by_id[row.span_id].is_own_failure),
        tool_failures=sum(span.failed for span in spans if span.kind == "tool"),
        graph=graph(spans), tier=max([span.tier for span in spans if span.call_id] or [1]),
    )  # fmt: skip


_TRACE = """
    select t.*, case when min(o.privacy_tier, :cap) > 1 then substr(t.name, 1, :most) end
           as asked_for, length(t.name) > :most as asked_cut
    from traces t left join llm_calls o on o.id = t.call_id where t.trace_id = :id
"""
# A span of an operation knows its first call; what it took is what its last attempt did.
_SPANS = f"""
    select s.span_id, s.parent_span_id, s.kind, s.name, s.call_id, s.thread_id, s.agent_id,
           s.outcome, s.how, s.confidence, s.started_us, s.ended_us
    from spans s where s.trace_id = ? order by s.started_us, s.rowid limit {MOST_SPANS}
"""
_CALLS = """
    select id, operation_id, span_id, parent_span_id, started_us, ended_us, outcome, kind,
           coalesce(response_model, model) as model, status_code, error_type,
           case when min(privacy_tier, :cap) > 1 then error_message end as error_message,
           tokens_in, tokens_out, cost_nano_usd, billing, unpriced_reason, attempt, agent_id,
           thread_id, operation, min(privacy_tier, :cap) as tier
    from llm_calls where trace_id = :id and kind in ('llm', 'auxiliary')
    order by started_us, attempt
"""
_OF_CALL = (
    "model", "status_code", "error_type", "error_message", "tokens_in", "tokens_out",
    "cost_nano_usd", "billing", "unpriced_reason", "attempt", "outcome", "tier",
)  # fmt: skip


def _spans(db: sqlite3.Connection, trace_id: str, cap: int) -> list[Span]:
    """The spans, with what their calls took; calls that have no span are leaves of their own."""
    calls = rows_of(db.execute(_CALLS, {"id": trace_id, "cap": cap}))
    by_id = {call["id"]: call for call in calls}
    of_operation: dict[str, list[dict[str, Any]]] = {}
    for call in calls:
        of_operation.setdefault(call["operation_id"] or call["id"], []).append(call)
    spans, placed = [], set[str]()
    for row in rows_of(db.execute(_SPANS, (trace_id,))):
        told: dict[str, Any] = {}
        call_id = row["call_id"]
        if row["kind"] == "llm" and call_id in of_operation:
            attempts = of_operation[call_id]
            told = {name: attempts[-1][name] for name in _OF_CALL} | _sums(attempts)
            if len(attempts) > 1:
                told["tries"] = [(a["started_us"], a["ended_us"] or a["started_us"])
                                 for a in attempts]  # fmt: skip
            row["call_id"] = attempts[-1]["id"]
            placed.update(call["id"] for call in attempts)
        elif call_id in by_id:
            # Of a tool, only how much of it may be shown; its money is its call's.
            names = _OF_CALL if row["kind"] == "attempt" else ("tier",)
            told = {name: by_id[call_id][name] for name in names}
        spans.append(Span(**row | told))
    loose = [call for call in calls if call["id"] not in placed]
    known = {span.span_id for span in spans}
    return spans + [_loose(call) for call in loose if call["span_id"] not in known]


def _sums(attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the attempts of an operation, so that rows add up to the bill."""
    summed = ("tokens_in", "tokens_out", "cost_nano_usd")
    known = {name: [a[name] for a in attempts if a[name] is not None] for name in summed}
    return {name: sum(values) if values else None for name, values in known.items()}


def _loose(call: Mapping[str, Any]) -> Span:
    """A call without a span: one that runs, or a side call that its client put into the trace."""
    return Span(
        span_id=call["span_id"] or call["id"], parent_span_id=call["parent_span_id"], kind="llm",
        name=f"{call['operation'] or ''} {call['model'] or ''}".strip(), call_id=call["id"],
        agent_id=call["agent_id"], thread_id=call["thread_id"], started_us=call["started_us"],
        ended_us=call["ended_us"], **{name: call[name] for name in _OF_CALL},
    )  # fmt: skip


def _whole(trace: Mapping[str, Any], spans: Iterable[Span]) -> tuple[int, int]:
    starts = [trace["started_us"], *(span.started_us for span in spans)]
    return min(starts), max([trace["ended_us"], *(span.end_us for span in spans)])


def _outcome(spans: Iterable[Span]) -> str:
    """How the last operation ended; one that runs is the last."""
    calls = [span for span in spans if span.kind == "llm"]
    if not calls:
        return "ok"
    last = max(calls, key=lambda span: (span.ended_us is None, span.end_us))
    return last.outcome or "ok"


def _times(spans: Sequence[Span], whole: tuple[int, int]) -> Times:
    # An operation is as long as its tries: nobody works in the pauses between them.
    model = [one for span in spans if span.kind == "llm" for one in span.busy]
    tools = [(span.started_us, span.end_us) for span in spans if span.kind == "tool"]
    pauses = [(before[1], after[0]) for span in spans for before, after in pairwise(span.tries)]
    times = split(whole, model, tools, pauses)
    return Times(
        model_ms=times.model_us / 1000, tool_ms=times.tool_us / 1000,
        retry_ms=times.retry_us / 1000, idle_ms=times.idle_us / 1000,
    )  # fmt: skip


# ------------------------------------------------------------------ words


def _words(db: sqlite3.Connection, spans: list[Span], cap: int) -> dict[str, Words]:
    calls = [s.call_id for s in spans if s.kind in ("llm", "attempt") and s.call_id]
    answered = replies(db, calls, cap, SHOWN_CHARS)
    said = {
        span.span_id: answered[span.call_id]
        for span in spans
        if span.kind in ("llm", "attempt") and span.call_id in answered
    }
    return said | _tools(db, [span.span_id for span in spans if span.kind == "tool"], cap)


def _tools(db: sqlite3.Connection, spans: list[str], cap: int) -> dict[str, Words]:
    rows = db.execute(
        f"""
        select t.span_id, min(c.privacy_tier, :cap) > 1 as kept,
               substr(t.arguments, 1, {SHOWN_CHARS}), substr(t.result, 1, {SHOWN_CHARS}),
               coalesce(length(t.arguments), 0) > {SHOWN_CHARS}
               or coalesce(length(t.result), 0) > {SHOWN_CHARS}
        from spans s
        join tool_calls t on t.call_id = s.call_id and t.span_id = s.span_id
        join llm_calls c on c.id = t.call_id
        where s.span_id in (select value from json_each(:spans))
        """,
        {"spans": json.dumps(spans), "cap": cap},
    )
    return {
        span: Words(arguments=_laid_out(arguments), result=_laid_out(result), cut=bool(cut))
        for span, kept, arguments, result, cut in rows
        if kept
    }


def _laid_out(text: str | None) -> str | None:
    return None if text is None else pretty(text)[: 2 * SHOWN_CHARS]
