"""gRPC's framing, and protocol buffers without their schema.

A message is a flag byte, its length in four bytes, and a protobuf.  `fields` walks a protobuf by
field number; what a number means is the reader's knowledge.  Damaged bytes end the walk.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .events import Event

_LARGEST_MESSAGE = 64 * 1024 * 1024
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class GrpcDecoder:
    """Messages from length-prefixed frames, however the network happened to cut them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._read = 0
        self._lost = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The messages that *chunk* completed."""
        self._buffer += chunk
        events: list[Event] = []
        while not self._lost and len(self._buffer) >= 5:
            flag, length = self._buffer[0], int.from_bytes(self._buffer[1:5], "big")
            self._lost = flag > 1 or length > _LARGEST_MESSAGE
            if self._lost or len(self._buffer) < 5 + length:
                break
            data = bytes(self._buffer[5 : 5 + length])
            del self._buffer[: 5 + length]
            self._read += 5 + length
            events.append(Event("", _inflated(data) if flag else data, self._read))
        return events

    def close(self) -> list[Event]:
        """Nothing: half a message is none."""
        return []


def _inflated(data: bytes) -> bytes:
    """A compressed message, bounded; empty where it is not gzip."""
    try:
        return zlib.decompressobj(wbits=47).decompress(data, _LARGEST_MESSAGE)
    except zlib.error:
        return b""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a protobuf: a number for scalars, bytes for everything else."""

    number: int
    value: int | bytes


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message in wire order, up to the first that cannot be read."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            if at > len(data):
                return
            yield Field(number, value)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            return
        if number == 0 or at + size > len(data):
            return
        yield Field(number, data[at : at + size])
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends; beyond the end of *data* where it is cut."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    return 0, len(data) + 1
