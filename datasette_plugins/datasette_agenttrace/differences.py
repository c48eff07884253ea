"""What changed between two texts, line by line."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Literal

from .asking import Value

AROUND = 2
"""Lines that stayed, shown on both sides of one that did not."""
MOST_COMPARED = 5_000
"""Lines on each side between the first and the last that differ; comparing takes their product."""

Mark = Literal["", "plus", "minus", "place"]


class Line(Value):
    """A line of a difference."""

    mark: Mark
    text: str


def differences(old: Sequence[str], new: Sequence[str], most: int) -> tuple[Line, ...]:
    """The lines that went and came, with their surroundings, *most* at most; none where all stayed.

    What the two begin and end with alike is not compared: requests repeat their history.
    """
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    first = max(0, start - AROUND)
    before = old[first : min(len(old), len(old) - end + AROUND)][:MOST_COMPARED]
    after = new[first : min(len(new), len(new) - end + AROUND)][:MOST_COMPARED]
    return tuple(_lines(difflib.unified_diff(before, after, n=AROUND), most))


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines the two begin with alike."""
    for number, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return number
    return min(len(old), len(new))


def _lines(said: Iterator[str], most: int) -> Iterator[Line]:
    marks: dict[str, Mark] = {"+": "plus", "-": "minus", "@": "place"}
    for number, line in enumerate(said):
        if number >= most + 2:
            yield Line(mark="place", text="\N{HORIZONTAL ELLIPSIS} and more")
            return
        if number < 2:  # the names of the files that there are not
            continue
        mark = marks.get(line[:1], "")
        # Line numbers would be those of what was compared.
        yield Line(
            mark=mark, text="\N{HORIZONTAL ELLIPSIS}" if mark == "place" else line.rstrip("\n")
        )
