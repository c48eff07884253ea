"""The end of a body that is longer than what is kept of it: often it says what the whole took.

Comes in: each piece of the body behind what is kept; of one with a content encoding all pieces, as
only who has read them from the first can read the last.  Goes out: the last bytes, decoded.
"""

from collections import deque
from typing import Protocol

from ..wire.decoders import StackDecoder, content_decoder
from ..wire.gaps import can_be_closed

TAIL_BYTES = 256 * 1024
"""How much is kept; a piece more at most."""


class Fields(Protocol):
    """Header fields: mitmproxy's, or a dictionary with names in lower case."""

    def get(self, name: str, default: str, /) -> str:
        """The value of *name*, or *default*."""
        ...


class Tail:
    """The last bytes of a body, and where in it they begin."""

    __slots__ = ("_decoder", "_pieces", "_read", "size", "unquoted")

    def __init__(self, decoder: StackDecoder | None) -> None:
        self._decoder = decoder
        self._pieces: deque[bytes] = deque()
        self._read = 0
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
            self._read += len(self._decoder.feed(data))

    def add(self, data: bytes) -> None:
        """A piece that is not."""
        self._hold(self._decoder.feed(data) if self._decoder else data)

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
    decoder = content_decoder(encoding) if encoding else None
    if encoding and decoder is None:
        return None
    return Tail(decoder)
