"""Who called whom in a trace, as a drawing: agents from left to right, an arrow for each edge.

Shapes and words are SVG with attributes alone, as the pages allow no inline style.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from ..asking import Value

LOW = 44.0
NARROW = 168.0
LETTER = 8.2  # what one takes of a box, by and large
GAP = (72.0, 16.0)
EDGE = 2.0  # around the drawing
MOST_AGENTS = 40
LABEL_CHARS = 40


class Placed(Protocol):
    """A span as far as it matters here."""

    @property
    def span_id(self) -> str: ...  # noqa: D102
    @property
    def parent_span_id(self) -> str | None: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def agent_id(self) -> str | None: ...  # noqa: D102
    @property
    def failed(self) -> bool: ...  # noqa: D102


class Node(Value):
    """An agent and its box; `label` is cut."""

    agent: str
    label: str
    calls: int
    failed: bool
    x: float
    y: float


class Arrow(Value):
    """How often *caller* started *callee*, and the line (`d` of an SVG path)."""

    caller: str
    callee: str
    times: int
    path: str
    x: float
    y: float


class Graph(Value):
    """The drawing; boxes are as wide as the longest name asks for."""

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    box_width: float
    width: float
    height: float


def graph(spans: Sequence[Placed]) -> Graph | None:
    """Agents and who started whom; None where there is only one, or far too many."""
    edges = _edges(spans)
    agents = [_name(span) for span in spans if span.kind == "agent"]
    names = list(dict.fromkeys([*agents, *(name for edge in edges for name in edge)]))
    if not edges or not 2 <= len(names) <= MOST_AGENTS:
        return None
    wide = max(NARROW, 20 + LETTER * max(len(_cut(name)) for name in names))
    places = _places(names, edges, wide)
    calls = Counter(_name(span) for span in spans if span.kind == "llm")
    failed = {_name(span) for span in spans if span.failed and span.kind == "llm"}
    nodes = tuple(
        Node(agent=name, label=_cut(name), calls=calls[name], failed=name in failed, x=x, y=y)
        for name, (x, y) in places.items()
    )
    arrows = tuple(_arrow(*edge, times, places, wide) for edge, times in edges.items())
    return Graph(
        nodes=nodes, arrows=arrows, box_width=wide,
        width=max(node.x for node in nodes) + wide + EDGE,
        height=max([node.y + LOW for node in nodes] + [arrow.y for arrow in arrows]) + EDGE,
    )  # fmt: skip


def _edges(spans: Sequence[Placed]) -> Counter[tuple[str, str]]:
    by_id = {span.span_id: span for span in spans}
    edges: Counter[tuple[str, str]] = Counter()
    for span in spans:
        above = by_id.get(span.parent_span_id or "")
        if span.kind == "agent" and above is not None:
            edges[_name(above), _name(span)] += 1
    return edges


def _places(
    names: Sequence[str], edges: Counter[tuple[str, str]], wide: float
) -> dict[str, tuple[float, float]]:
    """A column for each step away from the agents that nobody called."""
    called = {callee for caller, callee in edges if caller != callee}
    ranks = {name: 0 for name in names if name not in called} or {names[0]: 0}
    waiting = list(ranks)
    for name in waiting:
        for caller, callee in edges:
            if caller == name and callee not in ranks:
                ranks[callee] = ranks[name] + 1
                waiting.append(callee)
    columns: Counter[int] = Counter()
    places = {}
    for name in names:
        rank = ranks.get(name, 0)
        x, y = rank * (wide + GAP[0]) + EDGE, columns[rank] * (LOW + GAP[1]) + EDGE
        places[name] = (x, y)
        columns[rank] += 1
    return places


def _arrow(
    caller: str, callee: str, times: int, places: dict[str, tuple[float, float]], wide: float
) -> Arrow:
    (x1, y1), (x2, y2) = places[caller], places[callee]
    middle = LOW / 2
    begin, end = (x1 + wide, y1 + middle), (x2, y2 + middle)
    if x2 <= x1:  # back, or to itself: below the boxes
        begin, end = (x1 + wide / 2, y1 + LOW), (x2 + wide / 2 + 12, y2 + LOW)
        low = max(begin[1], end[1]) + GAP[1]
        path = f"M{begin[0]} {begin[1]}C{begin[0]} {low} {end[0]} {low} {end[0]} {end[1]}"
        return Arrow(caller=caller, callee=callee, times=times, path=path,
                     x=(begin[0] + end[0]) / 2, y=low)  # fmt: skip
    half = (begin[0] + end[0]) / 2
    path = f"M{begin[0]} {begin[1]}C{half} {begin[1]} {half} {end[1]} {end[0]} {end[1]}"
    y = (begin[1] + end[1]) / 2
    return Arrow(caller=caller, callee=callee, times=times, path=path, x=half, y=y)


def _name(span: Placed) -> str:
    return span.agent_id or "(unknown)"


def _cut(name: str) -> str:
    # Sub-agents are named after their parents: the end tells them apart.
    return name if len(name) <= LABEL_CHARS else "…" + name[1 - LABEL_CHARS :]
