"""A JSON array that arrives in pieces: one event for each element, as soon as it is complete.

Gemini answers `streamGenerateContent` without `alt=sse` this way.  A lone object (an error body)
counts as one element.  Only nesting is tracked; whether an element is JSON is for its reader.
"""

import re

from .events import Event

_OUTSIDE_STRING = re.compile(rb'["{}\[\]]')
_INSIDE_STRING = re.compile(rb'["\\]')


class JsonArrayDecoder:
    """Objects of a top-level array from bytes, however the network happened to cut them."""

    def __init__(self) -> None:
        self._element = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._read = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The elements that *chunk* completed."""
        events: list[Event] = []
        start = 0  # of the part of the open element that lies in this chunk
        position = 0
        while True:
            if self._in_string:
                position, closed = self._skip_string(chunk, position)
                if not closed:
                    break
                continue
            mark = _OUTSIDE_STRING.search(chunk, position)
            if mark is None:
                break
            position = mark.end()
            match mark.group():
                case b'"':
                    self._in_string = self._depth > 0
                case b"{" | b"[" as opening:
                    # The array's own bracket opens no element.
                    if self._depth or opening == b"{":
                        if not self._depth:
                            start = position - 1
                        self._depth += 1
                case _:
                    if self._depth:
                        self._depth -= 1
                        if not self._depth:
                            self._element += chunk[start:position]
                            end = self._read + position
                            events.append(Event("", bytes(self._element), end))
                            self._element.clear()
        if self._depth:
            self._element += chunk[start:]
        self._read += len(chunk)
        return events

    def close(self) -> list[Event]:
        """The element that was cut, such as it is."""
        rest = bytes(self._element)
        self._element.clear()
        return [Event("", rest, self._read)] if rest else []

    def _skip_string(self, chunk: bytes, position: int) -> tuple[int, bool]:
        """Where the open string ends in *chunk*, and whether it does."""
        while True:
            if self._escaped:
                if position >= len(chunk):
                    return position, False
                position += 1
                self._escaped = False
            mark = _INSIDE_STRING.search(chunk, position)
            if mark is None:
                return len(chunk), False
            position = mark.end()
            if mark.group() == b"\\":
                self._escaped = True
            else:
                self._in_string = False
                return position, True
