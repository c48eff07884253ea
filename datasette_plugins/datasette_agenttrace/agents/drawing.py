"""The communication of agents as a drawing: who calls whom, from left to right.

An agent stands to the right of whoever calls it; edges that lead back, those of cycles, are drawn
below.  Only places are worked out here: the template draws them, so colours follow the theme.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from .queries import Edge, Network

BOX, HIGH = 168, 40
ACROSS, DOWN, MARGIN = 290, 58, 16
LETTERS = 20


@dataclass(frozen=True, slots=True)
class Node:
    """An agent's box."""

    name: str
    label: str
    x: float
    y: float
    words: str
    is_bottleneck: bool
    in_cycle: bool


@dataclass(frozen=True, slots=True)
class Arc:
    """A line from box to box."""

    path: str
    width: float
    label: str
    label_x: float
    label_y: float
    failing: bool
    words: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of it, in a space `width` x `height`."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]


def drawing(network: Network) -> Drawing | None:
    """The drawing; None where nobody called anybody."""
    if not network.edges:
        return None
    rows = _rows(_ranks(network.edges), network.edges)
    tallest = max(len(names) for names in rows)
    height = 2 * MARGIN + tallest * DOWN
    at = {
        name: (
            MARGIN + rank * ACROSS,
            MARGIN + (height - 2 * MARGIN) * (place + 0.5) / len(names) - HIGH / 2,
        )
        for rank, names in enumerate(rows)
        for place, name in enumerate(names)
    }
    nodes = tuple(_node(name, x, y, network) for name, (x, y) in at.items())
    most = max(edge.times for edge in network.edges)
    arcs = tuple(_arc(edge, at, most, height) for edge in network.edges)
    width = 2 * MARGIN + (len(rows) - 1) * ACROSS + BOX
    back = any(at[edge.callee][0] <= at[edge.caller][0] for edge in network.edges)
    return Drawing(width, height + (36 if back else 0), nodes, arcs)


def _ranks(edges: tuple[Edge, ...]) -> dict[str, int]:
    """How far to the right each agent stands: one beyond the farthest of its callers."""
    callees: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        callees[edge.caller].append(edge.callee)
    callers, called = {edge.caller for edge in edges}, {edge.callee for edge in edges}
    names = [*sorted(callers - called), *sorted(called)]
    order = {name: place for place, name in enumerate(_callers_first(names, callees))}
    ranks = dict.fromkeys(order, 0)
    for name, place in order.items():
        for callee in callees[name]:
            if order[callee] > place:  # the others lead back along a cycle
                ranks[callee] = max(ranks[callee], ranks[name] + 1)
    return ranks


def _callers_first(names: list[str], callees: dict[str, list[str]]) -> list[str]:
    """The names in an order in which calls lead on, as far as there are no cycles."""
    done: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for callee in callees[name]:
                visit(callee)
            done.append(name)

    for name in names:
        visit(name)
    return done[::-1]


def _rows(ranks: dict[str, int], edges: tuple[Edge, ...]) -> list[list[str]]:
    """The names of each rank, each near the middle of those that call it."""
    rows: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for name in sorted(ranks):
        rows[ranks[name]].append(name)
    share = {name: (i + 0.5) / len(rows[0]) for i, name in enumerate(rows[0])}
    for names in rows[1:]:
        pulls = {
            name: [share[e.caller] for e in edges if e.callee == name and e.caller in share]
            for name in names
        }
        names.sort(key=lambda name: (sum(pulls[name]) / max(len(pulls[name]), 1), name))
        share |= {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
    return rows


def _node(name: str, x: float, y: float, network: Network) -> Node:
    into = [edge for edge in network.edges if edge.callee == name]
    out = [edge for edge in network.edges if edge.caller == name]
    called, calls = (_times(sum(edge.times for edge in some)) for some in (into, out))
    words = f"called {called}, calls {calls}"
    label = name if len(name) <= LETTERS else name[: LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return Node(
        name, label, round(x, 1), round(y, 1), words,
        name in network.bottlenecks, name in network.in_cycles,
    )  # fmt: skip


def _times(many: int) -> str:
    return f"{many:,} time" + ("" if many == 1 else "s")


def _arc(edge: Edge, at: Mapping[str, tuple[float, float]], most: int, floor: float) -> Arc:
    (x1, y1), (x2, y2) = at[edge.caller], at[edge.callee]
    words = f"{edge.caller} called {edge.callee} {_times(edge.times)}, {edge.failed:,} failed"
    width = 1 + 3.5 * math.log1p(edge.times) / math.log1p(most)
    if x2 > x1:
        start, end = (x1 + BOX, y1 + HIGH / 2), (x2 - 7, y2 + HIGH / 2)
        bend = (end[0] - start[0]) * 0.5
        path = (
            f"M{start[0]:.1f} {start[1]:.1f}C{start[0] + bend:.1f} {start[1]:.1f}"
            f" {end[0] - bend:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
        )
        # Near its end, where edges of one caller have parted.
        middle = end[0] - 26, end[1] + (start[1] - end[1]) * 0.06 - 6
    else:
        start, end = (x1 + BOX * 0.7, y1 + HIGH), (x2 + BOX * 0.3, y2 + HIGH + 7)
        low = floor + 22
        path = (
            f"M{start[0]:.1f} {start[1]:.1f}C{start[0] + 30:.1f} {low:.1f}"
            f" {end[0] - 30:.1f} {low:.1f} {end[0]:.1f} {end[1]:.1f}"
        )
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 8 + low * 0.75 - 4
    return Arc(
        path, round(width, 2), f"{edge.times:,}", round(middle[0], 1), round(middle[1], 1),
        edge.failed * 5 >= edge.times, words,
    )  # fmt: skip
