"""What is handed to the writer, beside records and what a record is made of."""

import threading
from dataclasses import dataclass, field

from ..model import Record, StoredCommit, StoredEvent, StoredRef
from .commits import OnBranches


@dataclass(frozen=True, slots=True)
class Event:
    """A line for `recorder_events`."""

    kind: str
    detail: str
    at_us: int


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A line for `blind_spots`."""

    at_us: int
    host: str
    reason: str
    client: str


@dataclass(frozen=True, slots=True)
class Relink:
    """Calls to place again once the batch is written, because one came after them.

    `done` is set when that was tried; `placed` holds the calls that have been placed then.
    """

    call_ids: tuple[str, ...]
    done: threading.Event = field(default_factory=threading.Event)
    placed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gone:
    """What a `Removal` took: the calls, and how many rows by table."""

    calls: tuple[str, ...]
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Removal:
    """A trace to delete, after what came before it is written.

    `done` is set when that was tried.  `gone` is empty then where the database did not take it.
    """

    trace_id: str
    done: threading.Event = field(default_factory=threading.Event)
    gone: list[Gone] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place among items: `done` is set when those before it are written, or wait in the spool."""

    done: threading.Event = field(default_factory=threading.Event)


type Item = (
    Record
    | StoredEvent
    | StoredCommit
    | StoredRef
    | OnBranches
    | Event
    | BlindSpot
    | Relink
    | Removal
    | Mark
)
