"""Records that SQLite could not take, waiting in files until it can.

One file an outage, 0600, a redacted record a line (JSON).  A record that SQLite refuses for its
own sake goes to the dead letters, with the reason.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..clock import new_id
from ..model import Record

DEAD_LETTERS = "dead-letters.jsonl"


class Spool:
    """The folder of waiting records.  `add` returns once they are on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Path | None = None

    def add(self, records: Sequence[Record]) -> None:
        """Keep *records*, in order.  Raises `OSError` when the disk does not take them."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = self._folder / f"{new_id()}.spool"
        _append(self._file, [record.model_dump_json() for record in records])

    def bury(self, record: Record, reason: str) -> None:
        """Keep a *record* that can never be stored, with the *reason*."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        letter = f'{{"reason": {json.dumps(reason)}, "record": {record.model_dump_json()}}}'
        _append(self._folder / DEAD_LETTERS, [letter])

    def waiting(self) -> list[Path]:
        """Spool files, oldest first."""
        return sorted(self._folder.glob("*.spool")) if self._folder.is_dir() else []

    def read(self, file: Path) -> Iterator[Record]:
        """The records of *file*; a torn last one, from a crash while writing, is left out."""
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield Record.model_validate_json(line)

    def done(self, file: Path) -> None:
        """Remove *file*: its records are in the database."""
        file.unlink(missing_ok=True)
        if file == self._file:
            self._file = None


def _append(file: Path, lines: Sequence[str]) -> None:
    file.touch(mode=0o600)
    with file.open("ab") as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
        stream.flush()
        os.fsync(stream.fileno())
