"""Charts as plain SVG, drawn here: what a page shows without JavaScript, and until it has run.

Only shapes: a drawing is stretched to the width there is, so words stand beside it in HTML.
Colours are classes (`at-c0` ...), because our pages allow no inline style.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH = 1000.0
HEIGHT = 200.0
COLOURS = 8  # of the stylesheet
GAP = 0.18  # of a bar's place
LEAST_BAR = 40.0  # that wide are bars where no others are near
MOST_TICKS = 8
STEPS = {"hour": (1, 3), "day": (1, 2, 4, 7, 14, 28, 56, 112)}  # from one tick to the next
YEAR = 330  # days, beyond which a month has two years
NICE = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)  # and so are their halves, which stand beside them


@dataclass(frozen=True, slots=True)
class Series:
    """One thing over time; None where nothing is known."""

    name: str
    colour: str
    values: Sequence[float | None]


class Bar(NamedTuple):
    """A rectangle, and what it says when pointed at: a tuple, for there are a thousand."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str


class Tick(NamedTuple):
    """A place below the drawing, in percent of its width, and the time there."""

    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """Stretches of a line (`points` of SVG), broken where nothing is known."""

    colour: str
    stretches: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its words."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    top: str
    middle: str
    legend: tuple[Series, ...]
    first: str
    last: str
    ticks: tuple[Tick, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.bars and not any(line.stretches or line.dots for line in self.lines)

    @property
    def shapes(self) -> Markup:
        """What stands inside `<svg>`; made here, for a template takes ten times as long."""
        found = [
            f'<rect class="at-{bar.colour}" x="{bar.x}" y="{bar.y}" width="{bar.width}"'
            f' height="{bar.height}"><title>{escape(bar.title)}</title></rect>'
            for bar in self.bars
        ]
        for line in self.lines:
            drawn = f"at-line at-{line.colour}"
            found += [f'<polyline class="{drawn}" points="{one}"/>' for one in line.stretches]
            found += [f'<path class="{drawn} at-dot" d="M{x} {y}h0.01"/>' for x, y in line.dots]
        return Markup("\n".join(found))  # noqa: S704  # what is not ours is escaped


def colours(names: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """A colour for each of up to eight *names*, and the same on every page and in every time.

    It follows from the place among all *known* names.  Where two have the same, the later of
    *names* has the next one that is free.
    """
    places = {name: place for place, name in enumerate(known)}
    free = list(range(COLOURS))
    found = []
    for rank, name in enumerate(names):
        own = places.get(name, rank) % COLOURS
        chosen = min(free or [own], key=lambda one: (one - own) % COLOURS)
        if chosen in free:
            free.remove(chosen)
        found.append(f"c{chosen}")
    return found


def stacked(
    labels: Sequence[str], series: Sequence[Series], words: Callable[[float], str]
) -> Chart:
    """Bars, one on the other, in the order of *series*."""
    sums = [sum(one.values[i] or 0 for one in series) for i in range(len(labels))]
    top = ceiling(max(sums, default=0))
    place = WIDTH / max(len(labels), 1)
    width = _bar_width(place, [i for i, sum_ in enumerate(sums) if sum_])
    bars = []
    for i, label in enumerate(labels):
        left = _r(min(max(place * (i + 0.5) - width / 2, 0), WIDTH - width))
        ground = HEIGHT
        for one in series:
            value = one.values[i]
            if not value:
                continue
            height = HEIGHT * value / top
            ground -= height
            title = f"{label} · {one.name}: {words(value)}"
            if value != sums[i]:
                title += f" of {words(sums[i])}"
            bars.append(Bar(left, _r(ground), width, _r(height), one.colour, title))
    return _chart(labels, series, top, words, bars=tuple(bars))


def lines(
    labels: Sequence[str],
    series: Sequence[Series],
    words: Callable[[float], str],
    top: float | None = None,
) -> Chart:
    """A line for each of *series*."""
    known = [value for one in series for value in one.values if value is not None]
    top = top or ceiling(max(known, default=0))
    drawn = tuple(_line(one, top, len(labels)) for one in series)
    return _chart(labels, series, top, words, lines=drawn)


SPARK_WIDTH, SPARK_HEIGHT = 100.0, 24.0


@dataclass(frozen=True, slots=True)
class Spark:
    """A line a few words long: points of its line, and of the area below."""

    line: str
    area: str
    words: str


def spark(values: Sequence[float | None], words: Callable[[float], str]) -> Spark | None:
    """The course of *values*, nothing counting as 0; None where there is nothing to see."""
    known = [value or 0.0 for value in values]
    top = max(known, default=0)
    if top <= 0 or len(known) < 2:
        return None
    step = SPARK_WIDTH / (len(known) - 1)
    points = [
        (_r(i * step), _r(SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 2) * value / top))
        for i, value in enumerate(known)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    area = f"0,{SPARK_HEIGHT} {line} {SPARK_WIDTH},{SPARK_HEIGHT}"
    return Spark(line, area, f"up to {words(top)}, at last {words(known[-1])}")


def ceiling(value: float) -> float:
    """The next round number."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size > value:
        size /= 10
    while size * 10 < value:
        size *= 10
    return next(size * step for step in NICE if size * step >= value)


def ticks(labels: Sequence[str]) -> tuple[Tick, ...]:
    """Up to eight of *labels*, days or hours in UTC, as people write them; none of other labels."""
    try:
        times = [datetime.fromisoformat(label) for label in labels]
    except ValueError:
        return ()
    unit, form = "day", "%b %Y" if len(times) > YEAR else "%b {day}"
    if times and "T" in labels[0]:
        unit, form = "hour", "%H:%M"
    step = next((one for one in STEPS[unit] if len(times) <= one * MOST_TICKS), STEPS[unit][-1])
    # Today has one; so has midnight.
    first = (len(times) - 1) % step if unit == "day" else 0
    return tuple(
        Tick(_r(100 * (i + 0.5) / len(times)), times[i].strftime(form).format(day=times[i].day))
        for i in range(first, len(times), step)
    )


def _bar_width(place: float, filled: Sequence[int]) -> float:
    """How wide bars are at the places *filled*, so that they neither touch nor leave the drawing.

    The outermost are moved inside by half of what is wider than their place.
    """
    width = place * (1 - GAP)
    nearest = min((after - one for one, after in pairwise(filled)), default=WIDTH)
    return _r(max(width, min(LEAST_BAR, width * (2 * nearest + 1) / 3)))


def _line(one: Series, top: float, places: int) -> Line:
    stretches: list[list[tuple[float, float]]] = [[]]
    for i, value in enumerate(one.values):
        if value is None:
            stretches.append([])
        else:
            at = (i + 0.5) * WIDTH / places, HEIGHT - HEIGHT * min(value, top) / top
            stretches[-1].append((_r(at[0]), _r(at[1])))
    joined = tuple(
        " ".join(f"{x},{y}" for x, y in stretch) for stretch in stretches if len(stretch) > 1
    )
    dots = tuple(stretch[0] for stretch in stretches if len(stretch) == 1)
    return Line(one.colour, joined, dots)


def _chart(
    labels: Sequence[str],
    series: Sequence[Series],
    top: float,
    words: Callable[[float], str],
    *,
    bars: tuple[Bar, ...] = (),
    lines: tuple[Line, ...] = (),
) -> Chart:
    first, last = (labels[0], labels[-1]) if labels else ("", "")
    return Chart(bars, lines, words(top), words(top / 2), tuple(series), first, last, ticks(labels))


def _r(number: float) -> float:
    # Not negative; `round` takes five times as long, and a chart has thousands.
    return int(number * 100 + 0.5) / 100
