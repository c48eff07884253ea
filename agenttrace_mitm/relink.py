"""A call that began before others and came after them: those are placed again.

Comes in: the ids of calls that looked for it in vain, and a connection in a transaction that has
written it.  Goes out: the ids of the calls that were placed again; rows as if it had come first.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .placed_again import PlacedAgain
from .store import KnownContent
from .store.relinked import Relinking
from .traces import Fingerprinter

if TYPE_CHECKING:
    import sqlite3

CANDIDATES = 250
"""Calls that began since crowd those before them: more of them are looked at."""


def relink(db: "sqlite3.Connection", prints: Fingerprinter, ids: Sequence[str]) -> list[str]:
    """Place the calls *ids*, and all that hang on them, anew."""
    taken_up = Relinking(db, ids)
    # Calls are looked up among all that are stored: what is remembered would hide the others.
    again = PlacedAgain(
        prints, KnownContent(db, remembered=0, candidates=CANDIDATES), responses=taken_up.responses
    )
    for talk in taken_up.talks:
        taken_up.put(again.placed(talk))
    taken_up.finish()
    return [talk.call.id for talk in taken_up.talks]
