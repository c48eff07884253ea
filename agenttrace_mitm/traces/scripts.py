"""Calls that a model wrote into a script instead of making them one by one.

Codex's code mode has one tool, `exec`, whose input is JavaScript; the shell commands and patches
are calls of `tools.<name>(...)` inside it.  Arguments are read where they are literals; one that
is computed is kept as its source and marked.  Nothing is run.
"""

import re
from collections.abc import Iterator

from ..model import Json, JsonObject

SCRIPT_TOOLS = frozenset({"exec"})

_CALL = re.compile(r"\btools\s*\.\s*([A-Za-z_$][\w$]*)\s*\(")
_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None, "undefined": None}
_LONGEST_SOURCE = 2_000
_DEEPEST = 20


class _NotLiteral(Exception):
    """Here stands something that would have to be run to be known."""


def calls_inside(tool: str, script: str) -> list[JsonObject]:
    """The calls that *script*, the input of *tool*, makes: `name` with `arguments` or `source`.

    Empty for tools that take no script.
    """
    return list(_calls(script)) if tool in SCRIPT_TOOLS else []


def _calls(script: str) -> Iterator[JsonObject]:
    for found in _CALL.finditer(script):
        try:
            value, end = _literal(script, _skip(script, found.end()), 0)
            if script[_skip(script, end) : _skip(script, end) + 1] not in (")", ","):
                raise _NotLiteral
            yield {"name": found[1], "arguments": value}
        except (_NotLiteral, IndexError):
            source = script[found.end() : found.end() + _LONGEST_SOURCE].partition("\n")[0]
            yield {"name": found[1], "source": source}


def _literal(text: str, at: int, depth: int) -> tuple[Json, int]:
    """The literal at *at*, and where it ends.  Raises `_NotLiteral`, `IndexError` at the end."""
    if depth > _DEEPEST:
        raise _NotLiteral
    match text[at]:
        case '"' | "'" | "`":
            return _string(text, at)
        case "{":
            return _object(text, at + 1, depth)
        case "[":
            return _list(text, at + 1, depth)
    if found := _NUMBER.match(text, at):
        number = found[0]
        return (float(number) if set(number) & set(".eE") else int(number)), found.end()
    if (found := _NAME.match(text, at)) and found[0] in _WORDS:
        return _WORDS[found[0]], found.end()
    raise _NotLiteral


def _string(text: str, at: int) -> tuple[str, int]:
    quote, at, out = text[at], at + 1, []
    while text[at] != quote:
        if quote == "`" and text.startswith("${", at):
            raise _NotLiteral
        if text[at] != "\\":
            out.append(text[at])
            at += 1
            continue
        piece, at = _escaped(text, at + 1)
        out.append(piece)
    # JavaScript escapes in UTF-16: two halves make a letter, a lone half is none.
    units = "".join(out).encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace"), at + 1


def _escaped(text: str, at: int) -> tuple[str, int]:
    for marker, digits in (("x", 2), ("u", 4)):
        code = text[at + 1 : at + 1 + digits]
        if text[at] == marker and len(code) == digits and set(code.lower()) <= set(_HEX):
            return chr(int(code, 16)), at + 1 + digits
    return _ESCAPES.get(text[at], text[at]), at + 1


_HEX = "0123456789abcdef"


def _object(text: str, at: int, depth: int) -> tuple[JsonObject, int]:
    value: JsonObject = {}
    while text[at := _skip(text, at)] != "}":
        if text[at] in "\"'":
            key, at = _string(text, at)
        elif found := _NAME.match(text, at):
            key, at = found[0], found.end()
        else:
            raise _NotLiteral
        if text[at := _skip(text, at)] != ":":
            raise _NotLiteral
        value[key], at = _literal(text, _skip(text, at + 1), depth + 1)
        at = _after_item(text, at, "}")
    return value, at + 1


def _list(text: str, at: int, depth: int) -> tuple[list[Json], int]:
    values: list[Json] = []
    while text[at := _skip(text, at)] != "]":
        value, at = _literal(text, at, depth + 1)
        values.append(value)
        at = _after_item(text, at, "]")
    return values, at + 1


def _after_item(text: str, at: int, end: str) -> int:
    at = _skip(text, at)
    if text[at] == ",":
        return at + 1
    if text[at] != end:
        raise _NotLiteral
    return at


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at
