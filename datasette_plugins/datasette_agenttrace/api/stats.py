"""`/api/stats`: sums of a time, over everything or one agent, and how they went over time.

Every figure is a plain sum over `llm_calls`, of calls of the kinds `llm` and `auxiliary`; spend is
what was metered, or is not known to be otherwise.
"""

import sqlite3
from typing import Any, Literal

from pydantic import Field

from agenttrace_mitm import clock

from ..asking import rows_of
from .endpoint import Answer, Call, Endpoint, Refused, Said
from .events import moment
from .times import first_us, last_us

RANGES = {"1h": 3_600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400, "90d": 90 * 86_400}
STEPS = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
MOST_STEPS = 5_000


class StatsAsked(Said):
    """Which time, and whose calls."""

    range: Literal["1h", "24h", "7d", "30d", "90d", "custom"] = Field(
        "24h", description="custom: from and to"
    )
    from_: str = Field("", alias="from", description="day or moment, ISO 8601; included")
    to: str = Field("", description="day or moment, ISO 8601; a day is included whole")
    agent_id: str = ""
    provider: str = ""
    model: str = Field("", description="as answered, else as asked")


class SeriesAsked(StatsAsked):
    """And in which steps."""

    bucket: Literal["minute", "hour", "day"] = "hour"


class ModelSum(Answer):
    """What one model took."""

    provider: str
    model: str | None
    calls: int
    cost_usd: float | None
    tokens_in: int | None
    tokens_out: int | None


class Stats(Answer):
    """Sums.  What nobody reported is null, which is not 0; `error_rate` is a share of 1."""

    from_: str = Field(alias="from")
    to: str
    calls: int
    failed: int
    error_rate: float | None
    tokens_in: int | None
    tokens_out: int | None
    cache_read_tokens: int | None
    cost_usd: float | None
    unpriced: int
    p50_latency_ms: float | None
    p99_latency_ms: float | None
    by_model: list[ModelSum]


class Step(Answer):
    """A step of time."""

    at: str
    calls: int
    failed: int
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None


class Series(Answer):
    """Steps in which there were calls, oldest first."""

    bucket: str
    series: list[Step]


_SUMS = """
    count(*) as calls,
    coalesce(sum(outcome in ('error', 'interrupted')), 0) as failed,
    sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(case when coalesce(billing, '') in ('metered', '') then cost_nano_usd end) / 1e9
        as cost_usd,
    coalesce(sum(cost_nano_usd is null and outcome <> 'error' and duplicate_of is null), 0)
        as unpriced
"""


def _from(asked: StatsAsked) -> tuple[str, dict[str, Any]]:
    """The calls that were asked for."""
    now_us = clock.now_us()
    if asked.range == "custom" or asked.from_ or asked.to:
        since_us = first_us(asked.from_)
        until_us = last_us(asked.to) if asked.to else now_us + 1
    else:
        since_us, until_us = now_us - RANGES[asked.range] * 1_000_000, now_us + 1
    given = {
        "since_us": since_us, "until_us": until_us, "agent_id": asked.agent_id,
        "provider": asked.provider, "model": asked.model,
    }  # fmt: skip
    sql = """
        from llm_calls
        where started_us >= :since_us and started_us < :until_us and outcome <> 'in_flight'
          and kind in ('llm', 'auxiliary')
    """
    if asked.agent_id:
        sql += " and agent_id = :agent_id"
    if asked.provider:
        sql += " and provider = :provider"
    if asked.model:
        sql += " and coalesce(response_model, model) = :model"
    return sql, given


async def _summary(call: Call) -> Stats:
    return await _stats(call, call.query)


async def _of_agent(call: Call) -> Stats:
    return await _stats(call, call.query.model_copy(update={"agent_id": call.path["agent"]}))


async def _stats(call: Call, asked: StatsAsked) -> Stats:
    source, given = _from(asked)

    def load(db: sqlite3.Connection) -> tuple[dict[str, Any], list[dict[str, Any]], list[float]]:
        total = rows_of(db.execute(f"select {_SUMS} {source}", given))[0]
        models = rows_of(
            db.execute(
                f"select provider, coalesce(response_model, model) as model, {_SUMS} {source}"
                " group by 1, 2 order by cost_usd desc, calls desc limit 100",
                given,
            )
        )
        sql = f"select latency_ms {source} and latency_ms is not null order by 1"
        return total, models, [latency for (latency,) in db.execute(sql, given)]

    total, models, latencies = await call.reading(load)
    calls = total["calls"]
    found = total | {
        "from": moment(given["since_us"]),
        "to": moment(given["until_us"] - 1),
        "error_rate": total["failed"] / calls if calls else None,
        "p50_latency_ms": _quantile(latencies, 0.5),
        "p99_latency_ms": _quantile(latencies, 0.99),
        "by_model": [{name: row[name] for name in ModelSum.model_fields} for row in models],
    }
    return Stats.model_validate(found)


def _quantile(ordered: list[float], share: float) -> float | None:
    """The value that *share* of them do not exceed."""
    return ordered[max(-(-int(share * 100) * len(ordered) // 100) - 1, 0)] if ordered else None


async def _series(call: Call) -> Series:
    asked: SeriesAsked = call.query
    source, given = _from(asked)
    step = STEPS[asked.bucket]
    if (given["until_us"] - given["since_us"]) // step > MOST_STEPS and given["since_us"]:
        raise Refused(400, f"bucket: that is more than {MOST_STEPS:,} steps", "Choose longer ones")

    def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
        sql = f"""
            select started_us / {step} as step, {_SUMS} {source}
            group by 1 order by 1 limit {MOST_STEPS}
        """
        return rows_of(db.execute(sql, given))

    rows = await call.reading(load)
    names = [name for name in Step.model_fields if name != "at"]
    steps = [
        Step(at=moment(row["step"] * step), **{name: row[name] for name in names}) for row in rows
    ]
    return Series(bucket=asked.bucket, series=steps)


ENDPOINTS = (
    Endpoint(
        "GET", "/api/stats/summary", "read", "Sums over all calls.", Stats, _summary,
        query=StatsAsked,
    ),
    Endpoint(
        "GET", "/api/stats/timeseries", "read", "Sums by minute, hour or day.", Series, _series,
        query=SeriesAsked,
    ),
    Endpoint(
        "GET", "/api/stats/{agent}", "read", "Sums over the calls of an agent.", Stats, _of_agent,
        query=StatsAsked,
    ),
)  # fmt: skip
