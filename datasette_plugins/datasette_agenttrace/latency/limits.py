"""How much is left of providers' limits, as their newest answers said it in headers."""

import json
import sqlite3
from collections.abc import Iterable, Iterator

from agenttrace_mitm.model.json import Json, JsonObject

from ..asking import Asked, Value

LOOKED_AT = 200
MICRO = 1_000_000


class Limit(Value):
    """A limit: what share of it was left when a provider last said so."""

    provider: str
    model: str
    meter: str
    left: float
    """Share of the limit, 0 to 1."""
    remaining: float | None
    limit: float | None
    resets_us: int | None
    told_us: int
    over: bool
    """Whether it has been reset since it was told."""
    call_id: str


# A provider's newest calls only: one that says nothing is not looked through for ever.
_TOLD = """
    with newest as materialized (
        select id, coalesce(response_model, model, '') as model,
               coalesce(ended_us, started_us) as told_us, rate_limit
        from llm_calls
        where provider = :provider and started_us < :until
        order by started_us desc limit :most
    )
    select model, max(told_us), rate_limit, id from newest
    where rate_limit is not null and (:model = '' or model = :model)
    group by model
"""


def limits(
    db: sqlite3.Connection, asked: Asked, providers: Iterable[str], now_us: int
) -> tuple[Limit, ...]:
    """Every limit that was told, scarcest first."""
    found: list[Limit] = []
    for provider in providers:
        if asked.provider in ("", provider):
            given = {
                "provider": provider, "model": asked.model, "until": asked.until_us,
                "most": LOOKED_AT,
            }  # fmt: skip
            for model, told_us, said, call_id in db.execute(_TOLD, given):
                of = {"provider": provider, "model": model, "told_us": told_us, "call_id": call_id}
                found += _limits(json.loads(said), of, now_us)
    return tuple(sorted(found, key=lambda one: (one.over, one.left, one.provider, one.meter)))


def _limits(said: Json, of: JsonObject, now_us: int) -> Iterator[Limit]:
    for name, meter in _meters(said):
        share = _left(meter)
        if share is None:
            continue
        resets_us = _resets_us(meter, of["told_us"])
        yield Limit(
            meter=name.replace("_", " "), left=min(max(share, 0.0), 1.0),
            remaining=_number(meter.get("remaining")), limit=_number(meter.get("limit")),
            resets_us=resets_us, over=resets_us is not None and resets_us <= now_us, **of,
        )  # fmt: skip


def _meters(said: Json) -> Iterator[tuple[str, JsonObject]]:
    """Meters by name; those of windows (`unified`, `codex`) lie one deeper."""
    for name, meter in said.items() if isinstance(said, dict) else ():
        if isinstance(meter, dict):
            yield name, meter
            for window, inner in meter.items():
                if isinstance(inner, dict):
                    yield f"{name} {window}", inner


def _left(meter: JsonObject) -> float | None:
    """What share is left; None where the meter does not say."""
    limit, remaining = _number(meter.get("limit")), _number(meter.get("remaining"))
    if limit and remaining is not None:
        return remaining / limit
    used, percent = _number(meter.get("utilization")), _number(meter.get("used_percent"))
    if used is not None:
        return 1 - used
    return None if percent is None else 1 - percent / 100


def _resets_us(meter: JsonObject, told_us: int) -> int | None:
    at, after = _number(meter.get("reset_at")), _number(meter.get("reset_s"))
    if at is not None:
        return int(at * MICRO)
    after = _number(meter.get("reset_after_seconds")) if after is None else after
    return None if after is None else told_us + int(after * MICRO)


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
