"""Server-sent events, as the WHATWG standard frames them and as providers bend it.

Line ends may be LF, CRLF or CR.  Comments, `id:` and `retry:` are dropped.  Lines that are no
field at all are kept in `stray`: Gemini reports an error inside a stream as bare JSON lines.
"""

from .events import Event

_BOM = b"\xef\xbb\xbf"
_STRAY_LIMIT = 65_536
_IGNORED = (b"", b"id", b"retry")


class SseDecoder:
    """Server-sent events from bytes, however the network happened to cut them."""

    def __init__(self) -> None:
        self.stray = bytearray()
        self._line = bytearray()
        self._name = ""
        self._data: list[bytes] = []
        self._after_cr = False
        self._read = 0
        self._at_start = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that *chunk* completed."""
        if not chunk:
            return []
        pieces = chunk.splitlines(keepends=True)
        # A CRLF may straddle two chunks; its CR has already ended the line.
        if self._after_cr and pieces[0] == b"\n":
            del pieces[0]
            self._read += 1
        self._after_cr = chunk.endswith(b"\r")

        events: list[Event] = []
        for piece in pieces:
            self._read += len(piece)
            text = piece.rstrip(b"\r\n")
            if len(text) == len(piece):
                self._line += text
                continue
            if self._line:
                text = bytes(self._line) + text
                self._line.clear()
            if text:
                self._field(text)
            elif self._data:
                # The CR of a CRLF ends the line: when its LF comes changes nothing.
                events.append(self._dispatch(self._read - piece.endswith(b"\r\n")))
            else:
                self._name = ""
        return events

    def close(self) -> list[Event]:
        """The event that was pending: a stream may end without its last blank line."""
        if self._line:
            self._field(bytes(self._line))
            self._line.clear()
        return [self._dispatch(self._read)] if self._data else []

    def _field(self, line: bytes) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field not in _IGNORED and len(self.stray) + len(line) < _STRAY_LIMIT:
            self.stray += line + b"\n"

    def _dispatch(self, end: int) -> Event:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return Event(name, data[0] if len(data) == 1 else b"\n".join(data), end)
