"""Newline-delimited JSON: one event a line, blank lines dropped."""

from .events import Event


class NdjsonDecoder:
    """Lines from bytes, however the network happened to cut them."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._read = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The lines that *chunk* completed."""
        *whole, rest = chunk.split(b"\n")
        events: list[Event] = []
        for piece in whole:
            self._read += len(piece) + 1
            line = (bytes(self._line) + piece).strip()
            self._line.clear()
            if line:
                events.append(Event("", line, self._read))
        self._read += len(rest)
        self._line += rest
        return events

    def close(self) -> list[Event]:
        """The last line, where it had no line end."""
        line = bytes(self._line).strip()
        self._line.clear()
        return [Event("", line, self._read)] if line else []
