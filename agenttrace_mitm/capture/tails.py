"""The end of a body that is longer than what is kept of it: often it says what the whole took.

Comes in: each piece of the body behind what is kept; of one with a content encoding all pieces, as
only who has read them from the first can read the last.  Goes out: the last bytes, decoded.

A few bytes may spell a gigabyte, and here a client waits for each piece: what is decoded is bounded
by what came and in all, and a body that is larger has no end.
"""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ..wire.decoders import StackDecoder, content_decoder
from ..wire.gaps import can_be_closed

TAIL_BYTES = 256 * 1024
"""How much is kept; a piece more at most."""

MOST_DECODED = 64 * 1024 * 1024
"""Bytes that are decoded of one body."""
_MOST_AT_FIRST = 1024 * 1024
_MOST_FOR_ONE = 200
"""Decoded bytes for one on the wire: JSON and events stay far below, bombs have a thousand."""
_STEP = 16 * 1024


class Fields(Protocol):
    """Header fields: mitmproxy's, or a dictionary with names in lower case."""

    def get(self, name: str, default: str, /) -> str:
        """The value of *name*, or *default*."""
        ...


class Tail:
    """The last bytes of a body, and where in it they begin."""

    __slots__ = ("_allowed", "_decoder", "_pieces", "_read", "size", "unquoted")

    def __init__(self, decoder: StackDecoder | None) -> None:
        self._decoder = decoder
        self._pieces: deque[bytes] = deque()
        self._read = 0
        self._allowed = _MOST_AT_FIRST
        self.size = 0
        """Bytes that are held."""
        self.unquoted = 0
        """Bytes right before them without a quotation mark, as far back as `add` was told."""

    @property
    def is_decoded(self) -> bool:
        """Whether the body has a content encoding, which these bytes have no more."""
        return self._decoder is not None

    def skip(self, data: bytes) -> None:
        """A piece of the body that is kept elsewhere."""
        if self._decoder:
            for piece in self._decoded(self._decoder, data):
                self._read += len(piece)

    def add(self, data: bytes) -> None:
        """A piece that is not."""
        if self._decoder is None:
            self._hold(data)
            return
        for piece in self._decoded(self._decoder, data):
            self._hold(piece)
        if self._decoder.problem:
            self.drop()

    def _decoded(self, decoder: StackDecoder, data: bytes) -> Iterator[bytes]:
        """*data* decoded, a step at a time; nothing more once there was a problem."""
        for start in range(0, len(data), _STEP):
            if decoder.problem:
                return
            step = data[start : start + _STEP]
            more = min(len(step) * _MOST_FOR_ONE, MOST_DECODED - self._allowed)
            decoder.allow(more)
            self._allowed += more
            yield decoder.feed(step)

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._read += len(data)
        self._pieces.append(data)
        self.size += len(data)
        while self.size - len(self._pieces[0]) >= TAIL_BYTES:
            gone = self._pieces.popleft()
            self.size -= len(gone)
            quote = gone.rfind(b'"')
            self.unquoted = self.unquoted + len(gone) if quote < 0 else len(gone) - quote - 1

    def take(self, size: int) -> tuple[int, bytes]:
        """Where the last bytes begin, and they, which are held no more.

        *size* is the body's on the wire.  Empty where its end was not reached, or not decodable.
        """
        if self._decoder:
            self._hold(self._decoder.close())
        offset = (self._read if self._decoder else size) - self.size
        last = b"" if self._decoder and self._decoder.problem else b"".join(self._pieces)
        self.drop()
        return offset, last

    def drop(self) -> None:
        """Hold nothing any more."""
        self._pieces.clear()
        self.size = 0


def tail_of(headers: Fields | None) -> Tail | None:
    """A tail for the body that *headers* describe; None where an end alone would say nothing."""
    if headers is None or not can_be_closed(headers.get("content-type", "")):
        return None
    encoding = headers.get("content-encoding", "")
    decoder = content_decoder(encoding, _MOST_AT_FIRST) if encoding else None
    if encoding and decoder is None:
        return None
    return Tail(decoder)
