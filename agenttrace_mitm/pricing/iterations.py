"""Steps of one Anthropic call that are billed beside its totals, or at another model's price.

Comes in: the usage object as the provider wrote it.  Goes out: the extra usages to charge, and
what has to be taken out of the totals first.  `compaction` is never inside the totals; a step of
another model may be, which only the sums tell.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from ..model import Json, JsonObject, Usage

COMPACTION = "compaction"
UNCLEAR = "iterations_unclear"


class Step(msgspec.Struct, frozen=True):
    """One step to be charged for itself; an empty *model* is the call's own."""

    kind: str
    model: str
    usage: Usage


class Steps(msgspec.Struct, frozen=True):
    """The call's own usage, the steps charged for themselves, and what is doubtful about them."""

    own: Usage
    apart: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


def steps_of(usage: Usage, model: str) -> Steps:
    """*usage* of a call to *model* taken apart by its `iterations`; most calls have none."""
    raw = usage.raw.get("iterations") if isinstance(usage.raw, dict) else None
    if not isinstance(raw, list):
        return Steps(usage)
    found = list(_steps(raw))
    compactions = [step for step in found if step.kind == COMPACTION]
    inner = [step for step in found if step.kind != COMPACTION]
    foreign = [step for step in inner if step.model and step.model != model]
    own = [step for step in inner if step not in foreign]
    if not foreign:
        return Steps(usage, tuple(compactions))
    apart = (*compactions, *foreign)
    if _totals(inner) == _totals([Step("", "", usage)]):
        return Steps(_sum(usage, own), apart)
    if _totals(own) == _totals([Step("", "", usage)]):
        return Steps(usage, apart)
    return Steps(usage, tuple(compactions), (UNCLEAR,))


def _steps(raw: list[Json]) -> Iterator[Step]:
    for entry in raw:
        if isinstance(entry, dict):
            kind, model = entry.get("type"), entry.get("model")
            yield Step(
                kind if isinstance(kind, str) else "",
                model if isinstance(model, str) else "",
                _usage(entry),
            )


def _usage(entry: JsonObject) -> Usage:
    read = _count(entry.get("cache_read_input_tokens"))
    written = _count(entry.get("cache_creation_input_tokens"))
    ttl = entry.get("cache_creation")
    split = ttl if isinstance(ttl, dict) else {}
    return Usage(
        _count(entry.get("input_tokens")) + read + written,
        _count(entry.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        detail={
            "cache_write_5m": _count(split.get("ephemeral_5m_input_tokens")),
            "cache_write_1h": _count(split.get("ephemeral_1h_input_tokens")),
        },
    )


def _sum(usage: Usage, steps: Iterable[Step]) -> Usage:
    """The counts of *steps* in place of those of *usage*, whose other meters stay."""
    parts = [step.usage for step in steps]
    detail = dict(usage.detail)
    for name in ("cache_write_5m", "cache_write_1h"):
        detail[name] = sum(part.detail[name] for part in parts)
    return replace(
        usage,
        input_tokens=sum(part.input_tokens or 0 for part in parts),
        output_tokens=sum(part.output_tokens or 0 for part in parts),
        cache_read_tokens=sum(part.cache_read_tokens or 0 for part in parts),
        cache_write_tokens=sum(part.cache_write_tokens or 0 for part in parts),
        reasoning_tokens=None,
        detail=detail,
    )


def _totals(steps: Iterable[Step]) -> tuple[int, int]:
    counted = [(step.usage.input_tokens or 0, step.usage.output_tokens or 0) for step in steps]
    return sum(read for read, _ in counted), sum(written for _, written in counted)


def _count(value: Json) -> int:
    counted = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**12
    return value if counted else 0
