"""Content encodings undone: gzip, deflate (raw too), br, zstd, and stacks of them.

Bodies come cut and come hostile.  Each decoder gives what was decodable, and says in `problem`
what kept it from giving more: `cut`, `corrupt` or `too large`.
"""

import zlib
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # ships no stubs
import zstandard

DEFAULT_LIMIT = 256 * 1024 * 1024
_MAX_STACK = 4
# A zstd block of four bytes can spell 128 KiB, and zstandard has no bound for what one call may
# give: small steps keep the overshoot below 32 MiB.
_ZSTD_STEP = 1024


class ContentDecoder(Protocol):
    """Undoes one content encoding."""

    problem: str
    left: int
    """How many bytes it may still give."""

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        ...

    def close(self) -> bytes:
        """What was still pending; sets `problem` when the end is missing."""
        ...


class GzipDecoder:
    """RFC 1952, several members in a row allowed; rubbish behind the last one is ignored."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.problem = ""
        self.left = limit
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        out = bytearray()
        while chunk and not self.problem:
            if self._member.eof:
                if not chunk.startswith(b"\x1f"):
                    break
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            piece, self.problem = _inflate(self._member, chunk, self.left)
            self.left -= len(piece)
            out += piece
            chunk = self._member.unused_data
        return bytes(out)

    def close(self) -> bytes:
        """Nothing more; sets `problem` when the end is missing."""
        if self._begun and not self._member.eof:
            self.problem = self.problem or "cut"
        return b""


class DeflateDecoder:
    """RFC 1950, or the raw RFC 1951 that some servers mean by `deflate`."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.problem = ""
        self.left = limit
        self._head = b""
        self._stream: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        if self._stream is None:
            self._head += chunk
            if len(self._head) < 2:
                return b""
            chunk = self._head
            has_header = chunk[0] & 0x0F == 8 and int.from_bytes(chunk[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(wbits=15 if has_header else -15)
        if self.problem or self._stream.eof or not chunk:
            return b""
        piece, self.problem = _inflate(self._stream, chunk, self.left)
        self.left -= len(piece)
        return piece

    def close(self) -> bytes:
        """Nothing more; sets `problem` when the end is missing."""
        if self._head and (self._stream is None or not self._stream.eof):
            self.problem = self.problem or "cut"
        return b""


class BrotliDecoder:
    """RFC 7932."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.problem = ""
        self.left = limit
        self._stream = brotli.Decompressor()
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        if self.problem or not chunk or self._stream.is_finished():
            return b""
        self._begun = True
        out = bytearray()
        try:
            out += self._stream.process(chunk, output_buffer_limit=self.left + 1)
            while len(out) <= self.left and not self._stream.can_accept_more_data():
                out += self._stream.process(b"", output_buffer_limit=self.left + 1 - len(out))
        except brotli.error:
            self.problem = "corrupt"
        if len(out) > self.left:
            del out[self.left :]
            self.problem = "too large"
        self.left -= len(out)
        return bytes(out)

    def close(self) -> bytes:
        """Nothing more; sets `problem` when the end is missing."""
        if self._begun and not self.problem and not self._stream.is_finished():
            self.problem = "cut"
        return b""


class ZstdDecoder:
    """RFC 8878, several frames in a row allowed."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.problem = ""
        self.left = limit
        self._context = zstandard.ZstdDecompressor()
        self._frame = self._context.decompressobj()
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        out = bytearray()
        for start in range(0, len(chunk), _ZSTD_STEP):
            step = chunk[start : start + _ZSTD_STEP]
            while step and not self.problem:
                step = self._step(step, out)
        return bytes(out)

    def close(self) -> bytes:
        """Nothing more; sets `problem` when the end is missing."""
        if self._begun and not self._frame.eof:
            self.problem = self.problem or "cut"
        return b""

    def _step(self, step: bytes, out: bytearray) -> bytes:
        """Decodes into *out*; what belongs to the next frame comes back."""
        if self._frame.eof:
            self._frame = self._context.decompressobj()
        self._begun = True
        try:
            piece = self._frame.decompress(step)
        except zstandard.ZstdError:
            self.problem = "corrupt"
            return b""
        if len(piece) > self.left:
            piece = piece[: self.left]
            self.problem = "too large"
        self.left -= len(piece)
        out += piece
        return self._frame.unused_data if self._frame.eof else b""


class StackDecoder:
    """Several encodings, undone from the last applied to the first."""

    def __init__(self, decoders: list[ContentDecoder]) -> None:
        self._decoders = decoders

    @property
    def problem(self) -> str:
        """The first problem that one of the decoders met."""
        return next((d.problem for d in self._decoders if d.problem), "")

    def allow(self, more: int) -> None:
        """Let each of them give *more* bytes than its limit was until now."""
        for decoder in self._decoders:
            decoder.left += more

    def feed(self, chunk: bytes) -> bytes:
        """What *chunk* made decodable."""
        for decoder in self._decoders:
            chunk = decoder.feed(chunk)
        return chunk

    def close(self) -> bytes:
        """What was still pending; sets `problem` where an end is missing."""
        rest = b""
        for decoder in self._decoders:
            rest = decoder.feed(rest) + decoder.close()
        return rest


_DECODERS: dict[str, type[GzipDecoder | DeflateDecoder | BrotliDecoder | ZstdDecoder]] = {
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "deflate": DeflateDecoder,
    "br": BrotliDecoder,
    "zstd": ZstdDecoder,
}


def content_decoder(encoding: str, limit: int = DEFAULT_LIMIT) -> StackDecoder | None:
    """The decoder for a `content-encoding` value; None when we do not know one of its names."""
    names = [name for name in map(str.strip, encoding.lower().split(",")) if name]
    names = [name for name in names if name not in ("identity", "none", "utf-8")]
    if len(names) > _MAX_STACK or not all(name in _DECODERS for name in names):
        return None
    return StackDecoder([_DECODERS[name](limit) for name in reversed(names)])


def _inflate(stream: "zlib._Decompress", chunk: bytes, left: int) -> tuple[bytes, str]:
    """At most *left* bytes out of *stream*, and the problem met, if any."""
    try:
        out = stream.decompress(chunk, left + 1)
    except zlib.error:
        return b"", "corrupt"
    if len(out) > left:
        return out[:left], "too large"
    return out, ""
