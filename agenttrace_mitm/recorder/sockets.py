"""The turns of one WebSocket as exchanges of their own, as soon as each has ended.

A turn's id follows from the socket's and from the message that opened it: when capture sends
everything again, the same turns come out with the same ids, and the second record changes
nothing.
"""

from msgspec.structs import replace

from ..clock import derived_id
from ..model import Arrival, Body, Ending, Exchange, SocketMessage
from ..providers import Turn, Turns
from ..wire.jsonio import encode


class Socket:
    """A socket under way; *opened* is the exchange that asked for it."""

    def __init__(self, opened: Exchange, turns: Turns | None) -> None:
        self._opened = opened
        self._turns = turns
        self.is_unknown = turns is None
        """Whether nobody knows its protocol, and it is recorded by its size alone."""
        self.settled = 0
        """Messages below this number are of no more use once the turns told so far are safe."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self.received = 0
        self._next = 0

    def add(self, message: SocketMessage) -> list[Exchange]:
        """The turns that *message* ended."""
        if message.number < self._next:
            return []  # of a repeat
        self._next = message.number + 1
        if message.from_client:
            self.sent_bytes += len(message.data)
        else:
            self.received_bytes += len(message.data)
            self.received += 1
        if self._turns is None:
            return []
        ended = [self._exchange(turn, "complete") for turn in self._turns.feed(message)]
        self.settled = self._turns.settled
        return ended

    def close(self, ending: Ending) -> list[Exchange]:
        """The turns that were under way when the socket ended."""
        if self._turns is None:
            return []
        # Servers finish what they say: a regular close in the middle of a turn is the client's.
        cut: Ending = "client_left" if ending == "complete" else ending
        return [self._exchange(turn, cut) for turn in self._turns.close()]

    def _exchange(self, turn: Turn, ending: Ending) -> Exchange:
        first = turn.events[0][0] if turn.events else None
        ended = "complete" if turn.complete else ending
        return replace(
            self._opened,
            id=derived_id(turn.started_us, f"{self._opened.id}/{turn.number}"),
            started_us=turn.started_us,
            ended_us=turn.ended_us,
            request=Body.of(encode(turn.request).encode(), turn.started_us),
            response=_lines(turn, complete=ended == "complete"),
            first_byte_us=first,
            ending=ended,
            turn=turn.kind,
        )


def _lines(turn: Turn, *, complete: bool) -> Body:
    """The server's events, a line each, and when each came."""
    data = bytearray()
    arrivals = []
    for at_us, event in turn.events:
        data += encode(event).encode() + b"\n"
        arrivals.append(Arrival(at_us, len(data)))
    return Body(bytes(data), len(data), tuple(arrivals), complete)
