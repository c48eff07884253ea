"""JSON from strangers: decoded fast, read leniently.

`decode()` takes what peers really send (lone surrogates, bytes that are not UTF-8, NaN) and
raises `NotJson` only for what no reader could take.  `Reader` answers questions about a decoded
value with the empty value, and a short stable note, where the shape is not the expected one.
"""

import json
import math
from collections.abc import Iterator

import msgspec

from ..model import Json, JsonObject

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
# Far beyond any call, and far enough below 64 bits that SQL can add such counts up.
_LARGEST_COUNT = 10**12


class NotJson(ValueError):
    """The bytes are not JSON, or nested too deeply to be read."""


def decode(data: bytes) -> Json:
    """The value that *data* spells; lenient about encoding, strict about structure."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _decode_slowly(data)


def encode(value: Json) -> str:
    """Compact JSON text of a decoded *value*; empty where it is nested too deeply to be written."""
    try:
        return _encode(value).decode()
    except OverflowError:  # numbers beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return ""


def _decode_slowly(data: bytes) -> Json:
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        value = json.loads(text, strict=False, parse_constant=str, parse_float=_finite)
        return _without_surrogates(value) if "\\u" in text else value
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None


def _finite(digits: str) -> float | str:
    # NaN, the infinities and 1e999 keep their spelling: SQLite's JSON knows no such numbers.
    number = float(digits)
    return number if math.isfinite(number) else digits


def _without_surrogates(value: Json) -> Json:
    """*value* with each lone surrogate replaced: half a character cannot be written as UTF-8."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {
                _without_surrogates(key): _without_surrogates(item) for key, item in value.items()
            }
        case _:
            return value


def text_of(value: Json) -> str:
    """*value* if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def list_of(value: Json) -> list[Json]:
    """*value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def object_of(value: Json) -> JsonObject:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


class Reader:
    """Questions about a decoded JSON value that always have an answer.

    A path of keys leads to the value asked for.  Absent and null answer with the empty value;
    something else than what was asked for also leaves a note such as `model: not a string`.
    Readers of inner objects share the notes of the outer one, and name fields from its root.
    """

    __slots__ = ("_where", "notes", "value")

    def __init__(self, value: Json, notes: list[str] | None = None, where: str = "") -> None:
        self.notes = [] if notes is None else notes
        self._where = where
        self.value: JsonObject = value if isinstance(value, dict) else {}
        if value is not None and not isinstance(value, dict):
            self._note("", "not an object")

    def get(self, *path: str) -> Json:
        """The value at *path*, whatever it is; None when absent."""
        value: Json = self.value
        for key in path:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def text(self, *path: str) -> str:
        """The string at *path*, or the empty string."""
        value = self.get(*path)
        if isinstance(value, str):
            return value
        if value is not None:
            self._note(".".join(path), "not a string")
        return ""

    def count(self, *path: str) -> int | None:
        """The non-negative whole number at *path*; None when absent: unknown is not zero."""
        value = self.get(*path)
        # Cohere and some gateways write counts as floats.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT:
            return value
        if value is not None:
            self._note(".".join(path), "not a count")
        return None

    def number(self, *path: str) -> int | float | None:
        """The finite number at *path*, or None."""
        value = self.get(*path)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) <= _LARGEST_COUNT
        ):
            return value
        if value is not None:
            self._note(".".join(path), "not a number")
        return None

    def flag(self, *path: str) -> bool:
        """True when *path* holds true."""
        value = self.get(*path)
        if isinstance(value, bool):
            return value
        if value is not None:
            self._note(".".join(path), "not a boolean")
        return False

    def list(self, *path: str) -> "list[Json]":
        """The list at *path*, or an empty one."""
        value = self.get(*path)
        if isinstance(value, list):
            return value
        if value is not None:
            self._note(".".join(path), "not a list")
        return []

    def object(self, *path: str) -> "Reader":
        """A reader of the object at *path*, of an empty one when there is none."""
        return Reader(self.get(*path), self.notes, ".".join(filter(None, (self._where, *path))))

    def objects(self, *path: str) -> "Iterator[Reader]":
        """A reader for each object of the list at *path*; other elements leave a note."""
        where = ".".join(filter(None, (self._where, *path)))
        for item in self.list(*path):
            if isinstance(item, dict):
                yield Reader(item, self.notes, where)
            else:
                self._note(".".join(path), "an element is not an object")

    def _note(self, field: str, problem: str) -> None:
        name = ".".join(filter(None, (self._where, field))) or "body"
        note = f"{name}: {problem}"
        if note not in self.notes:
            self.notes.append(note)
