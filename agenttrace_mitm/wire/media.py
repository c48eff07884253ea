"""Media in bodies: what their first bytes tell, and bodies without them.

Clients send an image again with every turn.  `set_aside` takes base64 media out of a body and
leaves `$media:sha256:<hex>` where each stood; only base64 that would be written the same way again
is taken out.  Files of forms stand there as they are: `replaced` leaves `$media-raw:sha256:<hex>`.
`put_back` is the inverse of both, byte for byte.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Callable, Iterable

import msgspec

SHORTEST = 96
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CLASSES = bytes(ord("a") if byte in _BASE64 else ord(" ") for byte in range(256))
_LONG = b"a" * SHORTEST
_BYTES = "application/octet-stream"
_MARK = b"$media:sha256:"
_RAW_MARK = b"$media-raw:sha256:"
_REFERENCE = re.compile(rb"\$media(-raw)?:sha256:([0-9a-f]{64})")


class Medium(msgspec.Struct, frozen=True):
    """A medium and what its header says of it; unknown figures are None."""

    mime_type: str
    data: bytes
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


def set_aside(body: bytes) -> tuple[bytes, tuple[Medium, ...]]:
    """*body* with references in place of its media, and each medium once."""
    classes = body.translate(_CLASSES)
    start = classes.find(_LONG)
    if start < 0:
        return body, ()
    pieces: list[bytes] = []
    found: dict[str, Medium] = {}
    at = 0
    while start >= 0:
        end = classes.find(b" ", start)
        end = len(body) if end < 0 else end
        padded = end + len(body[end : end + 2]) - len(body[end : end + 2].lstrip(b"="))
        if medium := _medium(body[start:padded]):
            found[medium.sha256] = medium
            pieces += [body[at:start], _MARK, medium.sha256.encode()]
            at = padded
        start = classes.find(_LONG, end)
    if not found:
        return body, ()
    return b"".join([*pieces, body[at:]]), tuple(found.values())


def replaced(
    body: bytes, files: Iterable[tuple[int, int, str]]
) -> tuple[bytes, tuple[Medium, ...]]:
    """*body* with references in place of *files* (start, end, type as sent), and each once."""
    pieces: list[bytes] = []
    found: dict[str, Medium] = {}
    at = 0
    for start, end, said in files:
        data = body[start:end]
        if len(data) < SHORTEST:
            continue
        medium = described(data) or Medium(said or _BYTES, data, hashlib.sha256(data).hexdigest())
        found[medium.sha256] = medium
        pieces += [body[at:start], _RAW_MARK, medium.sha256.encode()]
        at = end
    return b"".join([*pieces, body[at:]]), tuple(found.values())


def put_back(body: bytes, data_of: Callable[[str], bytes | None]) -> bytes:
    """*body* with its media again; a reference to what *data_of* does not have stays."""

    def written(found: re.Match[bytes]) -> bytes:
        data = data_of(found[2].decode())
        if data is None:
            return found[0]
        return data if found[1] else base64.b64encode(data)

    return _REFERENCE.sub(written, body) if b"$media" in body else body


def has_references(body: bytes) -> bool:
    """True when media are missing in *body*."""
    return b"$media" in body and _REFERENCE.search(body) is not None


def _medium(text: bytes) -> Medium | None:
    """The medium that *text* spells; None when it is something else, or not spelled our way."""
    try:
        head = base64.b64decode(text[: SHORTEST // 2])
        if not _type_of(head):
            return None
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return described(data) if base64.b64encode(data) == text else None


def described(data: bytes) -> Medium | None:
    """What the header of *data* says; None when it is no medium that we know."""
    mime_type = _type_of(data[:32])
    if not mime_type:
        return None
    width, height = _size_of(mime_type, data)
    duration_ms = _wav_ms(data) if mime_type == "audio/wav" else None
    return Medium(mime_type, data, hashlib.sha256(data).hexdigest(), width, height, duration_ms)


_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)


def _type_of(head: bytes) -> str:
    for start, mime_type in _STARTS:
        if head.startswith(start):
            return mime_type
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:11] == b"M4A" else "video/mp4"
    return ""


def _size_of(mime_type: str, data: bytes) -> tuple[int | None, int | None]:
    """Width and height in pixels."""
    try:
        match mime_type:
            case "image/png":
                return struct.unpack_from(">II", data, 16)
            case "image/gif":
                return struct.unpack_from("<HH", data, 6)
            case "image/webp":
                return _webp_size(data)
            case "image/jpeg":
                return _jpeg_size(data)
    except (struct.error, IndexError):
        pass  # cut off within its header
    return None, None


def _webp_size(data: bytes) -> tuple[int | None, int | None]:
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
            return width + 1, height + 1
    return None, None


# Frame headers of JPEG; C4, C8 and CC in their midst are something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg_size(data: bytes) -> tuple[int | None, int | None]:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None, None


def _wav_ms(data: bytes) -> int | None:
    """Milliseconds of a WAV: its data chunk by its byte rate."""
    at, rate = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt " and at + 20 <= len(data):
            rate = struct.unpack_from("<I", data, at + 16)[0]
        elif name == b"data":
            # A streamed WAV says 2^32 - 1: then what is there counts.
            return min(size, len(data) - at - 8) * 1000 // rate if rate else None
        at += 8 + size + size % 2
    return None
