"""The one SQLite file: its schema, its writer, what it knows, and what waits to get in.

The only home of SQL on our tables, the pages' queries aside.  Names are imported when they are
used: a check of alerts from cron wants none of the writer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answers
    from .chains import request_of, response_of
    from .damage import set_aside
    from .items import BlindSpot, Event, Relink, Removal
    from .keeping import Keeping
    from .known import KnownContent
    from .opening import is_behind, open_database, way_in
    from .reading import Reading
    from .spool import DeadLetter, Spool
    from .writer import Writer

_HOMES = {
    "Answers": "answers",
    "BlindSpot": "items",
    "DeadLetter": "spool",
    "Event": "items",
    "KnownContent": "known",
    "Keeping": "keeping",
    "Reading": "reading",
    "Relink": "items",
    "Removal": "items",
    "Spool": "spool",
    "Writer": "writer",
    "is_behind": "opening",
    "open_database": "opening",
    "way_in": "opening",
    "request_of": "chains",
    "response_of": "chains",
    "set_aside": "damage",
}

__all__ = [
    "Answers",
    "BlindSpot",
    "DeadLetter",
    "Event",
    "Keeping",
    "KnownContent",
    "Reading",
    "Relink",
    "Removal",
    "Spool",
    "Writer",
    "is_behind",
    "open_database",
    "request_of",
    "response_of",
    "set_aside",
    "way_in",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found
