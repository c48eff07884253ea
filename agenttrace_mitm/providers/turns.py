"""WebSocket messages cut into response turns, the calls of a socket.

Comes in: the messages of one socket, in order.  Goes out: a `Turn` when its response ends, not
when the socket closes; each becomes an exchange that an ordinary adapter reads.  Each protocol
has a reader of its own; what is done at a socket that nobody can read stays one exchange.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from ..model import JsonObject, SocketMessage, TurnKind
from ..wire.jsonio import NotJson, decode, object_of
from .adapter import Route
from .sound import without_sound


class Turn(msgspec.Struct, frozen=True):
    """One response on a socket: what it was asked, and the server's events about it.

    `number` is that of the message that opened it, by which a turn is told apart for good.
    `request` holds what the turn read, earlier turns included; sound is left out of both.
    """

    number: int
    started_us: int
    ended_us: int
    request: JsonObject
    events: tuple[tuple[int, JsonObject], ...]
    complete: bool = True
    kind: TurnKind = "response"


class Draft(msgspec.Struct):
    """A turn under way."""

    number: int
    started_us: int
    request: JsonObject
    events: list[tuple[int, JsonObject]] = msgspec.field(default_factory=list)

    def add(self, message: SocketMessage, event: JsonObject) -> None:
        """Take in an event about this turn."""
        self.events.append((message.at_us, event))

    def turn(
        self,
        *,
        complete: bool = True,
        request: JsonObject | None = None,
        kind: TurnKind = "response",
    ) -> Turn:
        """The turn as far as it came."""
        ended_us = self.events[-1][0] if self.events else self.started_us
        asked = self.request if request is None else request
        events = tuple(self.events)
        return Turn(self.number, self.started_us, ended_us, asked, events, complete, kind)


class TurnReader(Protocol):
    """Cuts one socket's messages into turns."""

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """The turns that the client's *event* ended."""
        ...

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """The turns that the server's *event* ended."""
        ...

    def open_number(self) -> int | None:
        """The first message that a turn under way still needs; None when none is."""
        ...

    def close(self) -> list[Turn]:
        """The turns that were under way when the socket closed."""
        ...


class Turns:
    """The turns of one socket, whatever protocol it speaks.

    Messages that came before, of a repeat, are passed over.  `settled` is the number below which
    no message is needed any more.
    """

    def __init__(self, reader: TurnReader) -> None:
        self._reader = reader
        self._next = 0

    @property
    def settled(self) -> int:
        """Messages below this number belong to turns that have ended."""
        needed = self._reader.open_number()
        return self._next if needed is None else min(needed, self._next)

    def feed(self, message: SocketMessage) -> list[Turn]:
        """The turns that *message* ended."""
        if message.number < self._next:
            return []
        self._next = message.number + 1
        event = _event(message.data)
        if event is None:
            return []
        if message.from_client:
            return self._reader.sent(message, event)
        return self._reader.received(message, event)

    def close(self) -> list[Turn]:
        """The turns that were under way when the socket closed."""
        return self._reader.close()


def _event(data: bytes) -> JsonObject | None:
    """The object in a message without its sound; None when it is something else."""
    try:
        value = without_sound(object_of(decode(data)))
    except NotJson:
        return None
    return object_of(value) or None


type ReaderOf = Callable[[Route], TurnReader | None]


def open_number_of(drafts: "list[Draft]") -> int | None:
    """The first message that one of *drafts* needs."""
    return min((draft.number for draft in drafts), default=None)
