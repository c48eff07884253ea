"""The pieces of the search index, made fewer a little at a time.

Each transaction that indexes messages adds a piece, and a search asks them all.  Left to itself,
SQLite merges them inside whatever transaction comes next: 64 pages for each of its levels, 60 ms
while everybody waits.  So that is switched off, and who writes merges a few pages in transactions
of their own.  A merge stops only between two words, and the commonest has some percent of all that
is indexed: where pieces are so large that one word is too much, they wait for a quiet time.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from .pace import Pace, locked

FEW = 8
"""Pieces of a level that become one of the next: fewer would be written more often."""
PATIENT = 16
"""The same while large pieces wait, the most that SQLite takes: or it would go on with those."""
LARGE = 16_000
"""Pages, of 4 KB, of a level that is merged at any time; a word may have a twentieth of them."""
MANY = 24
"""With so many pieces in a level, nothing waits for a quiet time any more."""
PAGES = 32
CRISIS = 256
"""Pieces at which SQLite merges all of a level at once: somebody wrote and never merged."""

_SETTINGS = {"automerge": 0, "usermerge": FEW, "crisismerge": CRISIS}
_STRUCTURE = "select block from messages_fts_data where id = 10"
_USERMERGE = "select v from messages_fts_config where k = 'usermerge'"
_SET = "insert into messages_fts (messages_fts, rank) values (?, ?)"
_MERGE = "insert into messages_fts (messages_fts, rank) values ('merge', ?)"
_COOKIE = 4
"""Bytes before the numbers of the structure."""


class Level(NamedTuple):
    """Pieces of about one size: their pages, and how many are being merged already."""

    merging: int
    pages: tuple[int, ...]


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
    few = _few(db, large)
    merged = False
    for _ in range(-(-_pieces(db, few, large) // few)):
        before = db.total_changes
        with locked(db, pace):
            db.execute(_MERGE, (pace.room,))
            pace.done = pace.room
        if db.total_changes - before < 2:  # the command's own is one
            break
        merged = True
        if not _pieces(db, few, large):
            break
    return merged


def _few(db: sqlite3.Connection, large: bool) -> int:
    """Pieces of a level that become one of the next now; the file is told where that is new.

    Before a large level has as many as others need: once its merge has begun, SQLite stays with it.
    """
    found = () if large else _known_levels(db) or ()
    waits = any(
        len(one.pages) >= FEW - 1 and sum(one.pages) * FEW > LARGE * (FEW - 1) for one in found
    )
    few = PATIENT if waits else FEW
    if db.execute(_USERMERGE).fetchone() != (few,):
        with locked(db, Pace(1, 1, 1)):
            db.execute(_SET, ("usermerge", few))
    return few


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
    ends = [(next(numbers), next(numbers), next(numbers))[1:] for _ in range(pieces)]
    return Level(merging, tuple(last - first + 1 for first, last in ends))


def _known_levels(db: sqlite3.Connection) -> list[Level] | None:
    """`levels`; None of a SQLite that records them in another way."""
    try:
        return levels(db)
    except ValueError:
        return None


def _pieces(db: sqlite3.Connection, few: int, large: bool) -> int:
    """The most pieces of a level, 0 where there are too few, or large ones that have to wait.

    SQLite goes on with what it likes once a level is done: so the others wait with those.  Where
    nothing is known of them there may always be *few*.
    """
    found = _known_levels(db)
    if found is None:
        return few
    ready = [level for level in found if level.merging or len(level.pages) >= few]
    most = max((len(level.pages) for level in ready), default=0)
    if not large and most < MANY and any(sum(level.pages) > LARGE for level in ready):
        return 0
    return most


def _numbers(data: bytes) -> Iterator[int]:
    """SQLite's variable-length integers: seven bits a byte, the highest first."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            yield value
            value = 0
