"""Sampling and control parameters of a request: what it asked for, never what it said."""

from collections.abc import Iterable

from ..model import Json, JsonObject

_LONGEST_TEXT = 200


def chosen(body: JsonObject, names: Iterable[str]) -> dict[str, Json]:
    """Those of *names* that *body* sets, where the value is short enough to be a parameter."""
    return {
        name: value for name in names if (value := body.get(name)) is not None and _is_short(value)
    }


def _is_short(value: Json) -> bool:
    match value:
        case str():
            return len(value) <= _LONGEST_TEXT
        case bool() | int() | float():
            return True
        case list():
            return len(value) <= 16 and all(_is_short(item) for item in value)
        case dict():
            return len(value) <= 16 and all(_is_short(item) for item in value.values())
        case _:
            return False
