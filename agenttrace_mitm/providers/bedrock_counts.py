"""Bedrock's own count of tokens: beside the last event of a stream, or in a response's headers.

Both leave out of the input what the cache took part in.
"""

from msgspec.structs import replace

from ..model import Headers, JsonObject, Reply, Usage
from ..wire.jsonio import Reader
from .usage import total_of, usage

METRICS = "amazon-bedrock-invocationMetrics"
_IN_HEADERS = "x-amzn-bedrock-"
_TOO_LONG = 20  # digits that are no count
_COUNTED = ("input", "output", "cache-read-input", "cache-write-input")


def is_counted(spent: Usage) -> bool:
    """True where the model itself says what it read and wrote."""
    return spent.input_tokens is not None and spent.output_tokens is not None


def metered(metrics: JsonObject) -> Usage:
    """What `amazon-bedrock-invocationMetrics` count."""
    notes: list[str] = []
    counts = Reader(metrics, notes, METRICS)
    names = ("inputTokenCount", "outputTokenCount")
    cached = ("cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    return _usage(metrics, [counts.count(name) for name in (*names, *cached)], notes)


def with_counts(reply: Reply, headers: Headers) -> Reply:
    """*reply* with the counts in the response's *headers*, where they tell more than its body.

    Streams have none of these headers: what was generated is not known when they are sent.
    """
    if reply.failure or is_counted(reply.usage):
        return reply
    raw: JsonObject = {}
    for name in _COUNTED:
        said = headers.get(f"{_IN_HEADERS}{name}-token-count").strip()
        if said.isascii() and said.isdecimal() and len(said) < _TOO_LONG:
            raw[f"{name}-token-count"] = int(said)
    counts = Reader(raw, [])
    told = [counts.count(f"{name}-token-count") for name in _COUNTED]
    known = reply.usage
    more = (known.input_tokens is None and told[0] is not None) or told[1] is not None
    if not more:
        return reply
    return replace(reply, usage=replace(_usage(raw, told, []), detail=known.detail))


def _usage(raw: JsonObject, told: list[int | None], notes: list[str]) -> Usage:
    read, written, from_cache, into_cache = told
    return usage(
        raw,
        notes,
        input_tokens=None if read is None else total_of(read, from_cache, into_cache),
        output_tokens=written,
        cache_read_tokens=from_cache,
        cache_write_tokens=into_cache,
    )
