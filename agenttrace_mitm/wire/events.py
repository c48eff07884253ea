"""What every stream decoder gives: one event, and where in the stream it ended."""

from typing import NamedTuple, Protocol


class Event(NamedTuple):
    """One event of a stream.

    `name` is the framing's own (the `event:` field of SSE), empty where the framing has none.
    `end` counts the decoded bytes of the stream up to the byte that completed the event: with
    the arrivals of the body it tells when the event came.
    """

    name: str
    data: bytes
    end: int


class EventDecoder(Protocol):
    """Turns a byte stream into events."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that *chunk* completed."""
        ...

    def close(self) -> list[Event]:
        """What was still pending when the stream ended."""
        ...
