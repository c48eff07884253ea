"""A JSON array that arrives in pieces: one event for each element, as soon as it is complete.

Gemini answers `streamGenerateContent` without `alt=sse` this way.  A lone object (an error body)
counts as one element.  Only nesting is tracked; whether an element is JSON is for its reader.
"""

import re

from .events import Event

# A whole string in one match, or one bracket.
_MARK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_STRING_MARK = re.compile(rb'["\\]')


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
        position = self._leave_string(chunk, 0) if self._in_string else 0
        depth = self._depth
        for mark in _MARK.finditer(chunk, position):
            match mark.group()[:1]:
                case b'"':
                    if mark.end() - mark.start() == 1:  # a string that this chunk does not end
                        self._leave_string(chunk, mark.end())
                        break
                case b"{" | b"[" as opening:
                    # The array's own bracket opens no element.
                    if depth or opening == b"{":
                        start = start if depth else mark.start()
                        depth += 1
                case _:
                    if depth:
                        depth -= 1
                        if not depth:
                            self._element += chunk[start : mark.end()]
                            end = self._read + mark.end()
                            events.append(Event("", bytes(self._element), end))
                            self._element.clear()
        if depth:
            self._element += chunk[start:]
        self._depth = depth
        self._read += len(chunk)
        return events

    def close(self) -> list[Event]:
        """The element that was cut, such as it is."""
        rest = bytes(self._element)
        self._element.clear()
        return [Event("", rest, self._read)] if rest else []

    def _leave_string(self, chunk: bytes, position: int) -> int:
        """Where the open string ends in *chunk*; its length when it does not."""
        self._in_string = True
        while position < len(chunk):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            mark = _STRING_MARK.search(chunk, position)
            if mark is None:
                return len(chunk)
            position = mark.end()
            if mark.group() == b'"':
                self._in_string = False
                return position
            self._escaped = True
        return position
