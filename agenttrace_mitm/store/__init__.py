"""The one SQLite file: its schema, its writer, what it knows, and what waits to get in.

The only home of SQL on our tables, the pages' queries aside.
"""

from .answers import Answers
from .known import KnownContent
from .payloads import unpack
from .schema import open_database
from .spool import Spool
from .writer import BlindSpot, Event, Writer

__all__ = ["Answers", "BlindSpot", "Event", "KnownContent", "Spool", "Writer", "open_database", "unpack"]
