"""How the processes fare, told in small files that anybody of the same user may read.

Each process writes `run/health/NAME.json` every few seconds; figures are flat, named and counted
as in `docs/metrics.md`.  What is older than a few turns is nobody's: its process is gone or hangs.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import clock

EVERY_S = 2.0
STALE_US = 10_000_000

type Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Health:
    """What one process said of itself, and when.

    *parts* holds figures of things that it looks after, by their names.
    """

    name: str
    at_us: int
    figures: Figures = field(default_factory=dict)
    parts: Mapping[str, Figures] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """Whether the process still speaks."""
        return abs(clock.now_us() - self.at_us) <= STALE_US


def folder(run_folder: Path) -> Path:
    """Where the files are."""
    return run_folder / "health"


def say(
    run_folder: Path, name: str, figures: Figures, parts: Mapping[str, Figures] | None = None
) -> None:
    """Replace what *name* said before.  A disk that takes nothing is no reason to stop."""
    said = {"at_us": clock.now_us(), "figures": dict(figures), "parts": dict(parts or {})}
    place = folder(run_folder)
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = place / f"{name}.new"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(said, file)
        draft.replace(place / f"{name}.json")


def heard(run_folder: Path) -> list[Health]:
    """What all processes said, as far as it is fresh; sorted by name."""
    found = []
    for file in sorted(folder(run_folder).glob("*.json")):
        try:
            said = json.loads(file.read_bytes())
            one = Health(file.stem, int(said["at_us"]), said["figures"], said["parts"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if one.is_fresh:
            found.append(one)
    return found


def total(all_of_them: Sequence[Health], figure: str) -> float | None:
    """The sum of *figure* over all who told it; None when nobody did."""
    told = [one.figures[figure] for one in all_of_them if figure in one.figures]
    return sum(told) if told else None


async def keep_saying(run_folder: Path, name: str, figures: Callable[[], Figures]) -> None:
    """Say it again and again, off the event loop, until cancelled; then take it back."""
    try:
        while True:
            await asyncio.to_thread(say, run_folder, name, figures())
            await asyncio.sleep(EVERY_S)
    finally:
        (folder(run_folder) / f"{name}.json").unlink(missing_ok=True)
