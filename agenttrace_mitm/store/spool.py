"""Records that SQLite could not take, waiting in files until it can.

One file an outage, 0600, a redacted record a line (JSON).  A record that SQLite refuses for its
own sake goes to the dead letters, with the reason; so does a line that cannot be read back.
The folder is bounded: when it is full calls are kept without what was said, and a quarter beyond
that none are taken any more.
"""

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..clock import moment_of, new_id, now_us
from ..model import Record
from .waiting import bare

DEAD_LETTERS = "dead-letters.jsonl"
IN_FLIGHT = b'"outcome":"in_flight"'
"""In the line of a call that has not ended; within a text, its quotes would be escaped."""

LIMIT_BYTES = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that could not be stored: why, and what it was (JSON, or a torn line)."""

    reason: str
    record: str


class Spool:
    """The folder of waiting records.  `add` returns once they are on the disk."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._file: Path | None = None
        self._ended: dict[Path, int] = {}  # how many calls that have ended are in a file
        self._home: dict[Path, int] = {}  # and how many of them are in the database by now
        self._read: dict[Path, int] = {}  # up to which line a file was read,
        self._settled: dict[Path, int] = {}  # and which of these lines need no reading any more

    @property
    def bytes(self) -> int:
        """What the folder takes, dead letters included."""
        sizes = 0
        with contextlib.suppress(OSError):
            for file in self._folder.iterdir():
                with contextlib.suppress(OSError):
                    sizes += file.stat().st_size
        return sizes

    @property
    def calls(self) -> int:
        """Calls that have ended and wait here, as far as they were counted."""
        return sum(count - self.home(file) for file, count in list(self._ended.items()))

    @property
    def lag_s(self) -> float:
        """How long the oldest of them has waited; 0 when there is none."""
        with contextlib.suppress(ValueError):
            began_us = min(moment_of(file.stem) for file in list(self._ended))
            return max(0.0, (now_us() - began_us) / 1e6) if began_us else 0.0
        return 0.0

    def count(self) -> None:
        """Count what others left here; takes a second for a full spool."""
        for file in self.waiting():
            if file not in self._ended:
                with file.open("rb") as lines:
                    self._ended[file] = sum(1 for line in lines if IN_FLIGHT not in line)

    def add(self, records: Sequence[Record]) -> int:
        """Keep *records*, in order; how many had to leave what was said behind.

        Raises `OSError` when the disk does not take them, or when the spool may not grow.
        """
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = self._folder / f"{new_id()}.spool"
        lines, stripped = self._within_bounds(records)
        _append(self._file, lines)
        self._ended[self._file] = self._ended.get(self._file, 0) + ended(records)
        return stripped

    def _within_bounds(self, records: Sequence[Record]) -> tuple[list[str], int]:
        """*records* as lines, and how many of them are bare."""
        size = self.bytes
        lines = [record.model_dump_json() for record in records]
        if size + sum(map(len, lines)) <= self._limit:
            return lines, 0
        lines = [bare(record).model_dump_json() for record in records]
        if size + sum(map(len, lines)) > self._limit * 5 // 4:
            raise OSError(errno.ENOSPC, "the spool has reached its limit")
        return lines, len(lines)

    def bury(self, record: Record, reason: str) -> None:
        """Keep a *record* that can never be stored, with the *reason*; bare in a full spool."""
        kept = bare(record) if self.bytes > self._limit else record
        self.bury_line(kept.model_dump_json(), reason)

    def bury_line(self, record: str, reason: str) -> None:
        """The same for what may be no record."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        letter = json.dumps({"reason": reason, "record": record})
        _append(self._folder / DEAD_LETTERS, [letter])

    def waiting(self) -> list[Path]:
        """Spool files, oldest first."""
        return sorted(self._folder.glob("*.spool")) if self._folder.is_dir() else []

    def files(self) -> list[Path]:
        """Every file in which something waits or was buried."""
        letters = self._folder / DEAD_LETTERS
        return [*self.waiting(), *([letters] if letters.exists() else [])]

    def read(self, file: Path) -> Iterator[Record]:
        """The records of *file* that are not home; a line torn by a crash becomes a dead letter."""
        settled = self._settled.get(file, 0)
        with file.open("rb") as lines:
            for number, line in enumerate(itertools.islice(lines, settled, None), settled + 1):
                self._read[file] = number
                try:
                    record = Record.model_validate_json(line)
                except ValueError as error:
                    self.bury_line(line.decode(errors="replace"), f"not readable: {error}"[:300])
                else:
                    yield record

    def brought_home(self, file: Path, calls: int) -> None:
        """All that was read of *file* is in the database, *calls* more of those that have ended."""
        self._settled[file] = self._read[file]
        self._home[file] = self.home(file) + calls

    def home(self, file: Path) -> int:
        """How many calls of *file* are in the database."""
        return self._home.get(file, 0)

    def done(self, file: Path) -> None:
        """Remove *file*: its records are in the database."""
        file.unlink(missing_ok=True)
        self._ended.pop(file, None)
        for known in (self._home, self._read, self._settled):
            known.pop(file, None)
        if file == self._file:
            self._file = None

    def dead_letters(self) -> list[DeadLetter]:
        """What could not be stored, oldest first."""
        return list(_letters(self._folder / DEAD_LETTERS))

    def requeue(self) -> int:
        """Let the recorder try the dead letters again; how many there were.

        Those that are no records stay, and so does what is refused a second time.
        """
        taken = self._folder / f"{new_id()}.letters"
        try:
            (self._folder / DEAD_LETTERS).rename(taken)  # from now on new ones go to a new file
        except FileNotFoundError:
            return 0
        again = []
        for letter in _letters(taken):
            try:
                again.append(Record.model_validate_json(letter.record).model_dump_json())
            except ValueError:
                self.bury_line(letter.record, letter.reason)
        if again:
            written = taken.with_suffix(".tmp")
            _append(written, again)
            written.rename(taken.with_suffix(".spool"))  # whole, before the recorder looks at it
        taken.unlink()
        return len(again)


def ended(records: Sequence[Record]) -> int:
    """How many of *records* are calls that have ended."""
    return sum(1 for record in records if record.call.outcome != "in_flight")


def _letters(file: Path) -> Iterator[DeadLetter]:
    if not file.exists():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                letter = json.loads(line)
                yield DeadLetter(str(letter["reason"]), str(letter["record"]))
            except (ValueError, TypeError, KeyError):
                yield DeadLetter("not readable", line)


def _append(file: Path, lines: Sequence[str]) -> None:
    """All of *lines*, or none: what a full disk took half of is taken back."""
    data = "".join(f"{line}\n" for line in lines).encode()
    file.touch(mode=0o600)
    with file.open("r+b", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        if end:
            stream.seek(end - 1)
            if stream.read(1) != b"\n":
                data = b"\n" + data  # somebody died in the middle of a line: it ends here
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[stream.write(rest) or 0 :]
            os.fsync(stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                stream.truncate(end)
            raise
