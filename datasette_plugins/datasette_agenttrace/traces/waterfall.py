"""Spans in the order of a tree, each with its bars over the time of the trace: one for each try.

A tool's span stands below the call that asked for it, and begins when that call ends: the tree
says who asked, the bars say when.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from agenttrace_mitm.traces.stories import length

from ..asking import Value

WIDTH = 1000.0
SMALLEST = 2.0
DEEPEST = 12  # steps of indentation; deeper ones stand under each other

SETTLE_US = 1_000  # clocks of two measurements agree no better


class Timed(Protocol):
    """A span as far as it matters here."""

    @property
    def span_id(self) -> str: ...  # noqa: D102
    @property
    def parent_span_id(self) -> str | None: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def started_us(self) -> int: ...  # noqa: D102
    @property
    def end_us(self) -> int: ...  # noqa: D102
    @property
    def busy(self) -> Sequence[tuple[int, int]]: ...  # noqa: D102


class Row(Value):
    """A span's place: how deep it stands, how many are below it, its bars (x and width)."""

    span_id: str
    depth: int
    below: int
    bars: tuple[tuple[float, float], ...]


def ordered(spans: Sequence[Timed], whole: tuple[int, int]) -> list[Row]:
    """*spans* as one reads a tree.  Parents that are not there, or go in a circle, are left out."""
    below, roots = _family(spans)
    rows: list[Row] = []
    open_: list[tuple[Timed, int]] = [(span, 0) for span in reversed(roots)]
    seen = set[str]()
    while open_:
        span, depth = open_.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        children = below.get(span.span_id, [])
        rows.append(_row(span, min(depth, DEEPEST), len(children), whole))
        open_ += [(child, depth + 1) for child in reversed(children)]
    circle = [span for span in spans if span.span_id not in seen]
    return rows + [_row(span, 0, 0, whole) for span in circle]


def critical(spans: Sequence[Timed]) -> tuple[frozenset[str], int]:
    """The spans that a faster trace would need faster, and how long they take without gaps.

    From the end backwards: what ended last, then what ended last before that one began.  Work is
    done by calls and tools; a tool that a sub-agent stands under waits for that one's work.
    """
    below, _ = _family(spans)
    by_id = {span.span_id: span for span in spans}
    waits = {
        span.parent_span_id
        for span in spans
        if span.kind == "agent" and span.parent_span_id in by_id
    }
    work = [
        span for span in spans
        if span.kind == "llm" or (span.kind == "tool" and span.span_id not in waits)
    ]  # fmt: skip
    work.sort(key=lambda span: (span.end_us, -span.started_us))
    together: dict[tuple[int, int], list[Timed]] = {}
    for span in work:
        together.setdefault((span.started_us, span.end_us), []).append(span)
    path, taken, now = set[str](), 0, None
    for span in reversed(work):
        if now is not None and span.end_us > now + SETTLE_US:
            continue
        # Tools of one reply are known to end with the same request: they are on it together.
        path.update(one.span_id for one in together[span.started_us, span.end_us])
        taken += length(span.busy)
        now = span.started_us
    return frozenset(path | _above(path, by_id, below)), taken


def _above(path: Iterable[str], by_id: dict[str, Timed], below: dict[str, list[Timed]]) -> set[str]:
    """Agents, and tools that wait for one, on the way to what is on the path."""
    found, visited = set[str](), set[str]()
    for id_ in path:
        parent = by_id[id_].parent_span_id
        # Above what was visited all was: a circle ends, and nothing is walked twice.
        while parent is not None and parent in by_id and parent not in visited:
            visited.add(parent)
            span = by_id[parent]
            waits = any(child.kind == "agent" for child in below.get(parent, ()))
            if span.kind == "agent" or waits:
                found.add(parent)
            parent = span.parent_span_id
    return found


def _family(spans: Sequence[Timed]) -> tuple[dict[str, list[Timed]], list[Timed]]:
    """The children of each span, and those that have no parent here; in order of time."""
    known = {span.span_id for span in spans}
    below: dict[str, list[Timed]] = {}
    roots = []
    rank = {"agent": 0, "attempt": 1, "llm": 2, "tool": 3}
    for span in sorted(spans, key=lambda s: (s.started_us, rank.get(s.kind, 4))):
        if span.parent_span_id in known and span.parent_span_id != span.span_id:
            below.setdefault(str(span.parent_span_id), []).append(span)
        else:
            roots.append(span)
    return below, roots


def _row(span: Timed, depth: int, below: int, whole: tuple[int, int]) -> Row:
    bars = tuple(_bar(begin, end, whole) for begin, end in span.busy)
    return Row(span_id=span.span_id, depth=depth, below=below, bars=bars)


def _bar(begin: int, end: int, whole: tuple[int, int]) -> tuple[float, float]:
    total = max(whole[1] - whole[0], 1)
    x = WIDTH * (begin - whole[0]) / total
    width = max(WIDTH * (end - begin) / total, SMALLEST)
    return round(min(x, WIDTH - width), 2) if width < WIDTH else 0.0, round(width, 2)
