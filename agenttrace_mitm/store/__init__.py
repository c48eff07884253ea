"""The one SQLite file: its schema, its writer, what it knows, and what waits to get in.

The only home of SQL on our tables, the pages' queries aside.
"""

from .answers import Answers
from .chains import request_of, response_of
from .damage import set_aside
from .known import KnownContent
from .reading import Reading
from .schema import open_database
from .spool import DeadLetter, Spool
from .writer import BlindSpot, Event, Writer

__all__ = [
    "Answers",
    "BlindSpot",
    "DeadLetter",
    "Event",
    "KnownContent",
    "Reading",
    "Spool",
    "Writer",
    "open_database",
    "request_of",
    "response_of",
    "set_aside",
]
