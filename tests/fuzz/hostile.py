"""Hypothesis strategies: good wire with something wrong in it, at any depth.

A value is replaced by one of another type, a number by one no integer column holds, a text by
half a character; containers become other containers.  What comes out is JSON of a kind, since
NaN, lone surrogates and numbers of any length are what some peers call JSON.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from agenttrace_mitm.wire.jsonarray import JsonArrayDecoder
from agenttrace_mitm.wire.ndjson import NdjsonDecoder
from agenttrace_mitm.wire.sse import SseDecoder
from tests.support.dialects import Twin

type Path = tuple[Any, ...]


DEEP = "deep enough to be refused"
_DEEP_JSON = b'{"usage":[' * 900 + b"]}" * 900

_DEEP_MARK = json.dumps(DEEP).encode()


def _nested(depth: int) -> Any:
    value: Any = None
    for n in range(depth):
        value = {"usage": value} if n % 2 else [value]
    return value


ATOMS = (
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**40,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    "x",
    "\x00",
    "a\x00b",
    "\ud83d",
    "\udc00\ud800",
    "\U0010ffff",
    "NaN",
    "12",
    "stop",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": None},
    {"\ud83d": "\ud83d"},
    {"\x00": 1},
    {"type": 3},
    {"type": "text", "text": None},
    _nested(40),
    DEEP,
    _nested(150),
)

atoms = st.sampled_from(ATOMS)
junk = st.recursive(
    atoms | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Where in *value* something stands that could be something else."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*at, index)
            yield from paths(inner, (*at, index))


def _changed(value: Any, how: str, other: Any) -> Any:
    match how:
        case "list":
            return [value]
        case "unlist":
            return value[0] if isinstance(value, list) and value else {"0": value}
        case "values":
            return list(value.values()) if isinstance(value, dict) else {"a": value}
        case "text":
            return json.dumps(value)
        case "twice":
            return [value, copy.deepcopy(value)] if not isinstance(value, str) else value + value
        case _:
            return other


@st.composite
def mutated(draw: st.DrawFn, good: Any, most: int = 4) -> Any:
    """*good* with one to *most* of its parts replaced."""
    value = copy.deepcopy(good)
    hows = st.sampled_from(
        ("other", "other", "other", "list", "unlist", "values", "text", "twice", "key")
    )
    for _ in range(draw(st.integers(1, most))):
        places = list(paths(value))
        if not places:
            break
        *outer, last = draw(st.sampled_from(places))
        holder = value
        for key in outer:
            holder = holder[key]
        how = draw(hows)
        if how == "key" and isinstance(holder, dict):
            holder[draw(st.sampled_from(("type", "index", "text", "usage", "\x00", "\ud83d")))] = (
                holder.pop(last)
            )
        else:
            holder[last] = _changed(holder[last], how, copy.deepcopy(draw(atoms | junk)))
    return value


def written(value: Any) -> bytes:
    """JSON as a careless peer writes it: NaN, lone surrogates, long numbers, deep nesting."""
    return json.dumps(value).encode().replace(_DEEP_MARK, _DEEP_JSON)


@st.composite
def spoiled(draw: st.DrawFn, data: bytes) -> bytes:
    """*data*, perhaps cut, or with bytes in it that are not UTF-8."""
    how = draw(st.sampled_from(("whole", "whole", "cut", "broken")))
    at = draw(st.integers(0, len(data)))
    if how == "cut":
        return data[:at]
    if how == "broken":
        return data[:at] + draw(st.sampled_from((b"\xff", b"\x00", b"\xed\xa0\x80"))) + data[at:]
    return data


def events_of(twin: Twin) -> list[tuple[str, Any]]:
    """The events of the twin's stream: the framing's name for each, and its value."""
    decoder: Any = _DECODERS[_framing(twin)]()
    found = decoder.feed(b"".join(twin.stream)) + decoder.close()
    return [(e.name, _value(e.data)) for e in found]


def framed(twin: Twin, events: list[tuple[str, Any]]) -> bytes:
    """*events* framed as the twin's stream is."""
    texts = [written(value) if value != "[DONE]" else b"[DONE]" for _, value in events]
    match _framing(twin):
        case "ndjson":
            return b"\n".join(texts) + b"\n"
        case "json-array":
            return b"[" + b",\n".join(texts) + b"]"
        case _:
            return b"".join(
                (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + text + b"\n\n"
                for (name, _), text in zip(events, texts, strict=True)
            )


_DECODERS = {"sse": SseDecoder, "ndjson": NdjsonDecoder, "json-array": JsonArrayDecoder}


def _framing(twin: Twin) -> str:
    if twin.stream_type == "text/event-stream":
        return "sse"
    return "json-array" if twin.stream_type == "application/json" else "ndjson"


def _value(data: bytes) -> Any:
    return "[DONE]" if data == b"[DONE]" else json.loads(data)
