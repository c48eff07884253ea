"""Protocol buffers turned into JSON, by tables of the fields that are read.

A table says what a field number stands for; all other fields are passed over.
"""

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..model import Json, JsonObject
from ..wire.grpc import fields

_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class As:
    """What a field number stands for: its JSON name and how its value is read.

    A *kind* is a word for a scalar, the words of an enumeration by number, or an inner table.
    """

    name: str
    kind: "str | tuple[str, ...] | Mapping[int, As]" = "text"
    many: bool = False


def message(data: bytes, names: Mapping[int, As], depth: int = 0) -> JsonObject:
    """The fields of *data* that have a name in *names*."""
    found: JsonObject = {}
    for one in fields(data):
        known = names.get(one.number)
        if known is None or depth > _DEEPEST:
            continue
        value = _value(one.value, known.kind, depth)
        if value is None:
            continue
        if known.many:
            found.setdefault(known.name, []).append(value)
        else:
            found[known.name] = value
    return found


def _value(value: int | bytes, kind: str | tuple[str, ...] | Mapping[int, As], depth: int) -> Json:
    """A field's value as JSON; None where it is not of the kind that it should be."""
    if isinstance(value, int):
        return _scalar(value, kind)
    match kind:
        case "text":
            return value.decode("utf-8", "replace")
        case "base64":
            return base64.b64encode(value).decode()
        case "struct":
            return _struct(value, depth + 1)
        case str() | tuple():
            return None
        case _:
            return message(value, kind, depth + 1)


def _scalar(value: int, kind: str | tuple[str, ...] | Mapping[int, As]) -> Json:
    match kind:
        case "number":
            return value
        case "flag":
            return bool(value)
        case tuple():
            return kind[value] if value < len(kind) else str(value)
        case _:
            return None


def _struct(data: bytes, depth: int) -> JsonObject:
    """A `google.protobuf.Struct`."""
    found: JsonObject = {}
    for entry in fields(data):
        if isinstance(entry.value, bytes) and depth <= _DEEPEST:
            pair = {one.number: one.value for one in fields(entry.value)}
            key, value = pair.get(1), pair.get(2)
            if isinstance(key, bytes):
                text = key.decode("utf-8", "replace")
                found[text] = _any(value, depth + 1) if isinstance(value, bytes) else None
    return found


def _any(data: bytes, depth: int) -> Json:
    """A `google.protobuf.Value`."""
    for one in fields(data):
        match one.number, one.value:
            case 2, bytes(raw) if len(raw) == 8:
                [number] = struct.unpack("<d", raw)
                return int(number) if number.is_integer() else number
            case 3, bytes(raw):
                return raw.decode("utf-8", "replace")
            case 4, int(flag):
                return bool(flag)
            case 5, bytes(raw):
                return _struct(raw, depth + 1)
            case 6, bytes(raw) if depth <= _DEEPEST:
                return [_any(v.value, depth + 1) for v in fields(raw) if isinstance(v.value, bytes)]
            case _:
                pass
    return None
