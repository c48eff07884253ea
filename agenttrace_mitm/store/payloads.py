"""Wire bytes at rest: the forms in which a body is stored.

A small body is kept as it is; others are zstd frames.  One that repeats what an earlier one said
is compressed against that (`pack_after`) and cannot be read without it: `chains` knows which it
is.  The first byte says which form follows, so that a later form can be added without
touching what is stored.  Headers and arrivals are JSON in the same forms, headers with the
dictionary of `familiar`; in files from before they are text.
"""

from typing import Any

import msgspec
import zstandard

from .familiar import HEADERS

PLAIN = 0
ZSTD = 1
AFTER = 2  # then a byte: how many bodies lead to this one since its chain began or was cut
FAMILIAR = 3

SMALL = 200
SHORT = 32 * 1024
LEVEL = 3
WINDOW_LOG = 24  # 16 MiB: what `chains` admits of the earlier bodies and of this one

_compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)


def pack(body: bytes | None) -> bytes | None:
    """The stored form of *body*, readable by itself; None stays None."""
    if body is None:
        return None
    if len(body) < SMALL:
        return bytes([PLAIN]) + body
    return bytes([ZSTD]) + _compressor.compress(body)


def pack_after(body: bytes, before: bytes, depth: int) -> bytes:
    """The stored form of *body* as the difference to *before*, the *depth*-th of its chain."""
    # The checksum: read after anything else, the frame is refused and says nothing else.
    both = len(body) + len(before)
    if both <= SHORT:  # where a low level finds the same in less time
        frame = zstandard.ZstdCompressor(
            level=1, dict_data=_raw(before), write_checksum=True, write_dict_id=False
        )
    else:
        fitting = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=len(body),
            dict_size=len(before),
            window_log=min(WINDOW_LOG, both.bit_length()),
            write_content_size=True,
            write_checksum=True,
            write_dict_id=False,
        )
        frame = zstandard.ZstdCompressor(dict_data=_raw(before), compression_params=fitting)
    return bytes([AFTER, depth]) + frame.compress(body)


def unpack(stored: bytes | None, before: bytes = b"") -> bytes | None:
    """The body that was packed, *before* being the one that it was packed after.

    Raises `ValueError` on a form that this version does not know, on a damaged frame, and where
    another body would be needed.
    """
    if stored is None:
        return None
    match stored[:1]:
        case b"\x00":
            return stored[1:]
        case b"\x01":
            return _decompressed(zstandard.ZstdDecompressor(), stored[1:])
        case b"\x02":
            if not before:
                raise ValueError("this body is stored as the difference to another one")
            return _decompressed(zstandard.ZstdDecompressor(dict_data=_raw(before)), stored[2:])
        case b"\x03":
            return _decompressed(zstandard.ZstdDecompressor(dict_data=_headers), stored[1:])
    raise ValueError(f"unknown payload form {stored[:1]!r}")


def pack_headers(pairs: Any) -> bytes | None:
    """The stored form of *pairs* of header names and values; None of none."""
    return bytes([FAMILIAR]) + _familiar.compress(_encode(pairs)) if pairs else None


def pack_arrivals(arrivals: Any) -> bytes | None:
    """The stored form of pairs of microseconds and bytes, each counted from the pair before."""
    if not arrivals:
        return None
    told: list[int] = []
    last_us = last_end = 0
    for us, end in arrivals:
        told += (us - last_us, end - last_end)
        last_us, last_end = us, end
    return pack(_encode(told))


def headers_of(stored: bytes | str | None) -> list[list[str]]:
    """What was packed as headers.  Raises `ValueError` when it is damaged."""
    found: Any = _value_of(stored)
    return [[str(name), str(value)] for name, value in found]


def arrivals_of(stored: bytes | str | None) -> list[tuple[int, int]]:
    """What was packed as arrivals.  Raises `ValueError` when it is damaged."""
    found: Any = _value_of(stored)
    if isinstance(stored, str):
        return [(us, end) for us, end in found]
    arrivals, us, end = [], 0, 0
    for later, more in zip(found[::2], found[1::2], strict=True):
        us, end = us + later, end + more
        arrivals.append((us, end))
    return arrivals


def _value_of(stored: bytes | str | None) -> Any:
    if stored is None:
        return []
    try:
        return msgspec.json.decode(stored if isinstance(stored, str) else unpack(stored) or b"")
    except (TypeError, msgspec.DecodeError) as error:
        raise ValueError(f"damaged: {error}") from error


def depth_of(stored: bytes | None) -> int:
    """How many bodies have to be read before this one; its first two bytes are enough."""
    return stored[1] if stored and stored[0] == AFTER else 0


def _raw(body: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(body, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


_headers = _raw(HEADERS)
_headers.precompute_compress(level=LEVEL)
_familiar = zstandard.ZstdCompressor(level=LEVEL, dict_data=_headers, write_dict_id=False)
_encode = msgspec.json.Encoder().encode


def _decompressed(frames: zstandard.ZstdDecompressor, data: bytes) -> bytes:
    try:
        return frames.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged: {error}") from error
