"""AWS event streams (`application/vnd.amazon.eventstream`): framed messages with checksums.

A frame: total length, header length and CRC of these, headers, payload, CRC of all before.
A frame whose checksum is wrong is told in `notes`, and what can be read of it is still given;
a length that cannot be true ends the reading, because no later frame can be found.
"""

import zlib

from .events import Event

_PRELUDE = 12
_LARGEST_FRAME = 32 * 1024 * 1024
# Header value types with a fixed size; 6 and 7 begin with their length.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_COUNTED = (6, 7)
_NAMES = (":event-type", ":exception-type", ":error-code")

BAD_CHECKSUM = "event stream: wrong checksum"
NO_FRAME = "event stream: not a frame"
CUT = "event stream: cut inside a frame"


class EventStreamDecoder:
    """Events from frames, however the network happened to cut them.

    An event's name is its `:event-type`, or the exception's.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._buffer = bytearray()
        self._read = 0
        self._lost = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that *chunk* completed."""
        if self._lost:
            return []
        self._buffer += chunk
        events: list[Event] = []
        while not self._lost and len(self._buffer) >= _PRELUDE:
            length = int.from_bytes(self._buffer[:4], "big")
            headers = int.from_bytes(self._buffer[4:8], "big")
            if not _PRELUDE + 4 + headers <= length <= _LARGEST_FRAME:
                self._lost = True
                self._note(NO_FRAME)
            elif len(self._buffer) < length:
                break
            else:
                frame = bytes(self._buffer[:length])
                del self._buffer[:length]
                self._read += length
                events.append(self._event(frame, headers))
        return events

    def close(self) -> list[Event]:
        """Nothing: half a frame tells nothing but that it was cut."""
        if self._buffer and not self._lost:
            self._note(CUT)
        return []

    def _event(self, frame: bytes, header_length: int) -> Event:
        sums = (zlib.crc32(frame[:8]), zlib.crc32(frame[:-4]))
        told = (int.from_bytes(frame[8:12], "big"), int.from_bytes(frame[-4:], "big"))
        if sums != told:
            self._note(BAD_CHECKSUM)
        found = _headers(frame[_PRELUDE : _PRELUDE + header_length])
        name = next((found[key] for key in _NAMES if key in found), "")
        return Event(name, frame[_PRELUDE + header_length : -4], self._read)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _headers(data: bytes) -> dict[str, str]:
    """The headers that are text, as far as they can be read."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end >= len(data):
            break
        name, kind, at = data[at + 1 : end].decode("utf-8", "replace"), data[end], end + 1
        if kind in _COUNTED:
            size = int.from_bytes(data[at : at + 2], "big")
            at += 2
            if kind == _COUNTED[1]:
                found[name] = data[at : at + size].decode("utf-8", "replace")
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            break
        at += size
    return found
