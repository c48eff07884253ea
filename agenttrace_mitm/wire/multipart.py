"""Multipart forms: the fields of one, files described instead of carried.

Comes in: a whole body (or what there is of it) and its content type.  Goes out: an object of the
fields, as a JSON request would have named them.  A part that was cut is read as far as it came.
"""

import hashlib
import re
from collections.abc import Iterator

from ..model import Json, JsonObject

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
# .NET leaves the quotes out, and puts the content type, which may have a name too, first.
_PARAMETER = r'content-disposition:[^\r\n]*?[;\s]{}=(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s;"]+))'
_NAME = re.compile(_PARAMETER.format("name"), re.IGNORECASE)
_FILENAME = re.compile(_PARAMETER.format("filename"), re.IGNORECASE)


def files_in(data: bytes, content_type: str) -> Iterator[tuple[int, int, str]]:
    """Where each whole file of the form *data* begins and ends, and its type as sent."""
    found = _BOUNDARY.search(content_type)
    if not found or "multipart/form-data" not in content_type:
        return
    boundary = b"--" + (found[1] or found[2]).encode("utf-8", "replace")
    at = data.find(boundary)
    while at >= 0 and not data.startswith(b"--", at + len(boundary)):
        head = at + len(boundary)
        start = data.find(b"\r\n\r\n", head) + 4
        end = data.find(b"\r\n" + boundary, max(start - 2, head))
        if start < 4 or end < 0:
            return  # cut within
        words = data[head:start].decode("utf-8", "replace")
        if start <= end and _FILENAME.search(words):
            yield start, end, _content_type(words)
        at = end + 2


def form_of(data: bytes, content_type: str) -> JsonObject:
    """The fields of the form *data*; a name that repeats, or ends in `[]`, holds a list."""
    found = _BOUNDARY.search(content_type)
    if not found:
        return {}
    boundary = b"--" + (found[1] or found[2]).encode("utf-8", "replace")
    fields: JsonObject = {}
    for piece in _without_begun(data, b"\r\n" + boundary).split(boundary)[1:]:
        if piece.startswith(b"--"):
            break
        name, value = _part(piece)
        if name:
            _add(fields, name, value)
    return fields


def _without_begun(data: bytes, boundary: bytes) -> bytes:
    """*data* without a boundary that only begins: a cut inside it is no content."""
    for length in range(len(boundary) - 1, 0, -1):
        if data.endswith(boundary[:length]):
            return data[:-length]
    return data


def _part(piece: bytes) -> tuple[str, Json]:
    head, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not found:
        return "", None
    words = head.decode("utf-8", "replace")
    name = _value(_NAME.search(words)) or ""
    content = content.removesuffix(b"\r\n")
    filename = _value(_FILENAME.search(words))
    if filename is None:
        return name, content.decode("utf-8", "replace")
    return name, {
        "filename": filename,
        "content_type": _content_type(words),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _value(found: re.Match[str] | None) -> str | None:
    """The value of a parameter; None where there is none."""
    if found is None:
        return None
    return found["bare"] if found["quoted"] is None else found["quoted"]


def _content_type(head: str) -> str:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            return value.strip()
    return ""


def _add(fields: JsonObject, name: str, value: Json) -> None:
    key = name.removesuffix("[]")
    if key in fields:
        earlier = fields[key]
        fields[key] = [*(earlier if isinstance(earlier, list) else [earlier]), value]
    else:
        fields[key] = [value] if name.endswith("[]") else value
