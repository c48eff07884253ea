"""How the processes fare, told in small files that anybody of the same user may read.

Each process writes `run/health/NAME.json` every few seconds; figures are flat, named and counted
as in `docs/metrics.md`.  What is older than a few turns is nobody's: its process is gone or hangs,
and `troubles` says so.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import clock
from .files import put

EVERY_S = 2.0
STALE_US = 10_000_000
LATE_S = 10.0
"""Calls that wait for so long are a trouble, whatever the reason."""

LONGEST = frozenset({"lag_seconds"})
"""Figures of which the longest counts, not the sum."""

type Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Health:
    """What one process said of itself, and when.

    *parts* holds figures of things that it looks after, by their names; *trouble* what keeps it
    from its work, in words.
    """

    name: str
    at_us: int
    figures: Figures = field(default_factory=dict)
    parts: Mapping[str, Figures] = field(default_factory=dict)
    trouble: str = ""

    @property
    def is_fresh(self) -> bool:
        """Whether the process still speaks."""
        return abs(clock.now_us() - self.at_us) <= STALE_US


def folder(run_folder: Path) -> Path:
    """Where the files are."""
    return run_folder / "health"


def say(
    run_folder: Path,
    name: str,
    figures: Figures,
    parts: Mapping[str, Figures] | None = None,
    trouble: str = "",
) -> None:
    """Replace what *name* said before.  A disk that takes nothing is no reason to stop."""
    said = {
        "at_us": clock.now_us(), "figures": dict(figures), "parts": dict(parts or {}),
        "trouble": trouble,
    }  # fmt: skip
    text = json.dumps(said).encode()
    file = folder(run_folder) / f"{name}.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        put(file, text, durable=False)
    except OSError:
        # A full disk takes no new file, and still what fits into the old one: now above all.
        with contextlib.suppress(OSError):
            _write_over(file, text)


def _write_over(file: Path, text: bytes) -> None:
    """*text* in the place of what *file* holds, in one write and no shorter: it needs no room."""
    handle = os.open(file, os.O_WRONLY)
    try:
        os.write(handle, text.ljust(os.fstat(handle).st_size))
    finally:
        os.close(handle)


def told(run_folder: Path) -> list[Health]:
    """What all processes said, however long ago; sorted by name."""
    found = []
    for file in sorted(folder(run_folder).glob("*.json")):
        try:
            said = json.loads(file.read_bytes())
            one = Health(
                file.stem, int(said["at_us"]), said["figures"], said["parts"],
                str(said.get("trouble", "")),
            )  # fmt: skip
        except (OSError, ValueError, TypeError, KeyError):
            continue
        found.append(one)
    return found


def heard(run_folder: Path) -> list[Health]:
    """What they said, as far as it is fresh."""
    return [one for one in told(run_folder) if one.is_fresh]


def together(of_each: Iterable[Figures]) -> dict[str, float]:
    """The figures of several processes as those of one."""
    found: dict[str, float] = {}
    for figures in of_each:
        for name, value in figures.items():
            before = found.get(name, 0)
            found[name] = max(before, value) if name in LONGEST else before + value
    return found


def total(all_of_them: Iterable[Health], figure: str) -> float | None:
    """The sum of *figure* over all who told it, or the longest; None when nobody did."""
    return together(one.figures for one in all_of_them).get(figure)


def waiting(all_of_them: Iterable[Health]) -> int | None:
    """How many calls have ended and are in no database yet; None where nobody told."""
    figures = together(one.figures for one in all_of_them)
    if not {"spooled_calls", "held_calls"} & set(figures):
        return None
    return _spooled(figures) + _held(figures)


def _spooled(figures: Figures) -> int:
    return round(figures.get("spooled_calls", 0))


def _held(figures: Figures) -> int:
    return max(0, round(figures.get("held_calls", 0) - figures.get("running_calls", 0)))


def troubles(said: Sequence[Health]) -> list[str]:
    """What keeps calls from the database now, in words; empty where nothing does.

    *said* is what all processes said, however long ago (`told`).  Where nobody has spoken lately
    nothing runs, which is no trouble.
    """
    fresh = [one for one in said if one.is_fresh]
    found = [one.trouble for one in fresh if one.trouble]
    parts = {name: part for one in fresh for name, part in one.parts.items()}
    speak = {one.name.partition("-")[0] for one in fresh}
    # Who speaks is up, whatever the supervisor said a moment ago.
    down = {kind for kind in {"recorder", "capture"} - speak if _is_down(kind, parts)}
    found += [f"the {kind} process is down" for kind in sorted(down)]
    if "recorder" not in speak | down and ("recorder" in parts or "capture" in speak):
        found += [f"the recorder has not been heard for {silent}" for silent in _silence(said)]
    figures = together(one.figures for one in fresh)
    if not found and (lag_s := figures.get("lag_seconds", 0)) >= LATE_S:
        found = [f"the database has taken nothing for {lag_s:.0f} s"]
    if found and (where := _in_words(figures)):
        found[0] += f": {where}"
    return found


def _is_down(kind: str, parts: Mapping[str, Figures]) -> bool:
    """Whether none of that kind is up; a second worker is `capture-2`."""
    up = [part.get("up") for name, part in parts.items() if name.partition("-")[0] == kind]
    return bool(up) and not any(up)


def _silence(said: Iterable[Health]) -> Iterator[str]:
    for one in said:
        if one.name == "recorder":
            yield f"{(clock.now_us() - one.at_us) // 1_000_000} s"


def _in_words(figures: Figures) -> str:
    """How many calls wait, and where; empty for none."""
    spooled, held = _spooled(figures), _held(figures)
    if not spooled + held:
        return ""
    where = [place for count, place in ((spooled, "the spool"), (held, "memory")) if count]
    wait = "call waits" if spooled + held == 1 else "calls wait"
    return f"{spooled + held:,} {wait} in {' and '.join(where)}"


async def keep_saying(
    run_folder: Path,
    name: str,
    figures: Callable[[], Figures],
    trouble: Callable[[], str] = lambda: "",
) -> None:
    """Say it again and again, off the event loop, until cancelled; then take it back."""
    try:
        while True:
            await asyncio.to_thread(say, run_folder, name, figures(), None, trouble())
            await asyncio.sleep(EVERY_S)
    finally:
        (folder(run_folder) / f"{name}.json").unlink(missing_ok=True)
