"""Wire bytes at rest: one zstd frame a body, small ones as they are.

`pack` and `unpack` are inverse.  The first byte says which form follows, so that a later form can
be added without touching what is stored.
"""

import zstandard

PLAIN = b"\x00"
ZSTD = b"\x01"
SMALL = 200

_compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)


def pack(body: bytes | None) -> bytes | None:
    """The stored form of *body*; None stays None."""
    if body is None:
        return None
    if len(body) < SMALL:
        return PLAIN + body
    return ZSTD + _compressor.compress(body)


def unpack(stored: bytes | None) -> bytes | None:
    """The body that was packed.  Raises `ValueError` on a form this version does not know."""
    if stored is None:
        return None
    match stored[:1]:
        case b"\x00":
            return stored[1:]
        case b"\x01":
            return zstandard.ZstdDecompressor().decompress(stored[1:])
    raise ValueError(f"unknown payload form {stored[:1]!r}")
