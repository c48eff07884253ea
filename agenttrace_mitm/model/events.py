"""What programs tell us themselves and is no call: heartbeats, errors, events of their own."""

from .json import Json
from .row import Row


class StoredEvent(Row):
    """A row of `events`."""

    id: str
    at_us: int
    agent_id: str
    type: str
    name: str | None = None
    severity: str | None = None
    message: str | None = None
    tags: Json = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    received_us: int
