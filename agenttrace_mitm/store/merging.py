"""The pieces of the search index, made fewer a little at a time.

Each transaction that indexes messages adds a piece, and a search asks them all.  Left to itself,
SQLite merges them inside whatever transaction comes next: 64 pages for each of its levels, 60 ms
while everybody waits.  So that is switched off, and who writes merges a few pages in transactions
of their own.  A merge stops only between two words, and the commonest has some percent of all that
is indexed: where pieces are so large that one word is too much, they wait for a quiet time.

SQLite chooses the level: the one with the most pieces, of a merge that has begun those that are in
it, and of two alike the one of smaller pieces.  So while large pieces wait, others are merged once
there are more of them, and no merge is given more pages than it needs: SQLite would go on with the
large ones.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .pace import Pace, locked
from .read_ahead import read

FEW = 8
"""Pieces of a level that become one of the next: fewer would be written more often."""
LARGE = 16_000
"""Pages, of 4 KB, of a level that is merged at any time; a word may have a twentieth of them."""
MANY = 96
"""With so many pieces in a level, nothing waits for a quiet time any more."""
PAGES = 32
CRISIS = 256
"""Pieces at which SQLite merges all of a level at once: somebody wrote and never merged."""

_SETTINGS = {"automerge": 0, "usermerge": FEW, "crisismerge": CRISIS}
_STRUCTURE = "select block from messages_fts_data where id = 10"
_USERMERGE = "select v from messages_fts_config where k = 'usermerge'"
_SET = "insert into messages_fts (messages_fts, rank) values (?, ?)"
_MERGE = "insert into messages_fts (messages_fts, rank) values ('merge', ?)"
_PAGES = "select count(length(block)) from messages_fts_data where id between :first and :last"
PAGE_BITS = 37
"""Pages of a piece have ids that begin with its number, shifted so far."""
NEAR = 128
"""Pages of a piece that are in memory before it is merged: its commonest word has no more."""
_READ: dict[tuple[int, int], int] = {}
"""Up to where pieces, by number and last page, were read ahead; who is wrong waits for the disk."""
_COOKIE = 4
"""Bytes before the numbers of the structure."""


class Piece(NamedTuple):
    """A piece by its number, and its pages as far as they have not been merged."""

    segment: int
    first: int
    last: int


class Level(NamedTuple):
    """Pieces of about one size, the oldest first, and how many of them are being merged."""

    merging: int
    pieces: tuple[Piece, ...]

    @property
    def pages(self) -> tuple[int, ...]:
        """How many each piece has."""
        return tuple(one.last - one.first + 1 for one in self.pieces)

    @property
    def number(self) -> int:
        """Pieces that a merge takes."""
        return self.merging or len(self.pieces)

    @property
    def left(self) -> int:
        """Their pages, those that have been merged no longer."""
        return sum(self.pages[: self.number])

    @property
    def waits(self) -> bool:
        """A merge of it would hold up everybody."""
        return self.left > LARGE and self.number < MANY


def configure(db: sqlite3.Connection) -> None:
    """Leave merging to `merge_some`; the file remembers."""
    for name, value in _SETTINGS.items():
        db.execute(_SET, (name, value))


def a_pace() -> Pace:
    """Pages that are merged in one transaction."""
    return Pace(PAGES, 8, 128)


def merge_some(db: sqlite3.Connection, pace: Pace, *, large: bool = False) -> bool:
    """Merge a little, more where many pieces wait; False when there is nothing to do.

    *large* pieces as well only where that disturbs nobody.
    """
    if db.execute(_USERMERGE).fetchone() != (FEW,):  # by an earlier version
        with locked(db, Pace(1, 1, 1)):
            db.execute(_SET, ("usermerge", FEW))
    merged = False
    pieces, pages = _next(db, pace.room, large)
    for _ in range(-(-len(pieces) // FEW)):
        _read_ahead(db, pieces)
        before = db.total_changes
        with locked(db, pace):
            db.execute(_MERGE, (pages,))
            pace.done = pages
        if db.total_changes - before < 2:  # the command's own is one
            break
        merged = True
        pieces, pages = _next(db, pace.room, large)
        if not pages:
            break
    return merged


def _read_ahead(db: sqlite3.Connection, pieces: Sequence[Piece]) -> None:
    """Read what the next merges of *pieces* read, before anybody has to wait for the disk."""
    if len(_READ) > MANY * FEW:
        _READ.clear()
    for segment, first, last in pieces:
        known = max(_READ.get((segment, last), 0), first)
        if known < min(first + NEAR, last + 1):
            until = _READ[segment, last] = first + 2 * NEAR
            pages = {"first": segment << PAGE_BITS | known, "last": segment << PAGE_BITS | until}
            read(db, _PAGES, pages)


def _next(db: sqlite3.Connection, room: int, large: bool) -> tuple[Sequence[Piece], int]:
    """The merge that SQLite would choose: its pieces, and pages that it may have; or none."""
    try:
        found = levels(db)
    except ValueError:  # of a SQLite that records them otherwise: there may be enough
        return [Piece(0, 1, 0)] * FEW, room
    chosen = _chosen(found)
    if chosen is None or (chosen.waits and not large):
        return [], 0
    others_wait = any(one.waits and one.number >= FEW - 1 for one in found if one is not chosen)
    if others_wait and not large:
        # Pieces of the same words become no smaller than one of them; some pages are half gone.
        room = min(room, max(1, chosen.left // chosen.number - 1))
    return chosen.pieces[: chosen.number], room


def _chosen(found: Sequence[Level]) -> Level | None:
    """The level that SQLite merges when it is told to, None where all have too few pieces."""
    chosen = None
    for one in found:
        if one.number > (chosen.number if chosen else 0):
            chosen = one
        if one.merging:
            break
    return chosen if chosen and (chosen.merging or chosen.number >= FEW) else None


def levels(db: sqlite3.Connection) -> list[Level]:
    """The pieces of the index, the smallest level first; FTS5's own record of them, decoded.

    Raises `ValueError` where the record is not as SQLite has written it until now.
    """
    found = db.execute(_STRUCTURE).fetchone()
    if not found:
        return []
    numbers = _numbers(found[0][_COOKIE:])
    try:
        count, _, _ = next(numbers), next(numbers), next(numbers)
        return [_level(numbers) for _ in range(count)]
    except StopIteration:
        raise ValueError("the search index is recorded in another way") from None


def _level(numbers: Iterator[int]) -> Level:
    merging, pieces = next(numbers), next(numbers)
    found = [Piece(next(numbers), next(numbers), next(numbers)) for _ in range(pieces)]
    return Level(merging, tuple(found))


def _numbers(data: bytes) -> Iterator[int]:
    """SQLite's variable-length integers: seven bits a byte, the highest first."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            yield value
            value = 0
