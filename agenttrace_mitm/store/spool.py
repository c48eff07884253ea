"""Records that SQLite could not take, waiting in files until it can.

One file an outage, 0600, holding length-prefixed msgpack of redacted records.  A record that
SQLite refuses for its own sake goes to the dead-letter file with the reason.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..clock import new_id
from ..model import Record

DEAD_LETTERS = "dead-letters.msgpack"


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
        _append(self._file, [msgspec.msgpack.encode(_plain(record)) for record in records])

    def bury(self, record: Record, reason: str) -> None:
        """Keep a *record* that can never be stored, with the *reason*."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        letter = {"reason": reason, "record": _plain(record)}
        _append(self._folder / DEAD_LETTERS, [msgspec.msgpack.encode(letter)])

    def waiting(self) -> list[Path]:
        """Spool files, oldest first."""
        return sorted(self._folder.glob("*.spool")) if self._folder.is_dir() else []

    def read(self, file: Path) -> Iterator[Record]:
        """The records of *file*; a torn last one, from a crash while writing, is left out."""
        for body in _pieces(file.read_bytes()):
            yield Record.model_validate(msgspec.msgpack.decode(body))

    def done(self, file: Path) -> None:
        """Remove *file*: its records are in the database."""
        file.unlink(missing_ok=True)
        if file == self._file:
            self._file = None


def _plain(record: Record) -> object:
    return record.model_dump()


def _append(file: Path, bodies: Sequence[bytes]) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, b"".join(len(body).to_bytes(4, "big") + body for body in bodies))
        os.fsync(handle)
    finally:
        os.close(handle)


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while len(data) - at >= 4:
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield data[at + 4 : end]
        at = end
