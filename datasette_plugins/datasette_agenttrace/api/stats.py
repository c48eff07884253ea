"""`/api/stats`: sums of a time, over everything or one agent, and how they went over time.

Every figure is what a plain sum over `llm_calls` says, of calls of the kinds `llm` and `auxiliary`;
spend is what was metered, or is not known to be otherwise.  Percentiles of many calls are those of
the rollups' histograms, off by 2.5 % at most.
"""

import sqlite3
from typing import Any, Literal

from pydantic import Field

from agenttrace_mitm import clock
from agenttrace_mitm.store import histograms, rollups
from agenttrace_mitm.store.counting import MODEL_CALLS

from .. import sums
from ..asking import rows_of
from .agents import must_be_known
from .counted import calls_of, counted
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
    from_: str = Field(
        "", alias="from", description="day or moment, ISO 8601; included; else the first call"
    )
    to: str = Field("", description="day or moment, ISO 8601; a day is included whole")
    agent_id: str = Field("", description="of this agent, whatever it is called")
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
    """Sums.  What nobody reported is null, which is not 0; `error_rate` is a share of 1.

    Latencies of more than 1,000 calls are off by 2.5 % at most.
    """

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
    coalesce(sum(calls), 0) as calls, coalesce(sum(failed), 0) as failed,
    sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(case when billing in ('metered', '') then cost_nano_usd end) / 1e9 as cost_usd,
    coalesce(sum(unpriced), 0) as unpriced
"""


def _time(asked: StatsAsked) -> tuple[int, int]:
    """The first microsecond that was asked for, and the first after."""
    now_us = clock.now_us()
    if asked.range == "custom" or asked.from_ or asked.to:
        return first_us(asked.from_), last_us(asked.to) if asked.to else now_us + 1
    return now_us - RANGES[asked.range] * 1_000_000, now_us + 1


def _filters(asked: StatsAsked) -> dict[str, str]:
    """The filters that are set, by the columns of rollups."""
    names = ("agent_id", "provider", "model")
    return {name: value for name in names if (value := getattr(asked, name))}


async def _summary(call: Call) -> Stats:
    return await _stats(call, call.query)


async def _of_agent(call: Call) -> Stats:
    agent, also = call.path["agent"], call.query.agent_id
    if also and also != agent:
        raise Refused(400, f"agent_id: the path says {agent}", "Leave one of them out")
    await must_be_known(call, agent)
    return await _stats(call, call.query.model_copy(update={"agent_id": agent}))


async def _stats(call: Call, asked: StatsAsked) -> Stats:
    since_us, until_us = _time(asked)
    given = _filters(asked)
    source = f"from ({counted(since_us, until_us, list(given))})"

    def load(db: sqlite3.Connection) -> tuple[dict[str, Any], list[dict[str, Any]], sums.Samples]:
        total = rows_of(db.execute(f"select {_SUMS} {source}", given))[0]
        models = rows_of(
            db.execute(
                f"select provider, nullif(model, '') as model, {_SUMS} {source}"
                " group by 1, 2 order by cost_usd desc, calls desc limit 100",
                given,
            )
        )
        if total["calls"] <= sums.EXACT_CALLS:
            return total, models, _exact(db, since_us, until_us, given)
        return total, models, _rough(db, source, given)

    total, models, samples = await call.reading(load)
    calls = total["calls"]
    p50, p99 = sums.quantiles(samples, 0.5, 0.99)
    found = total | {
        "from": moment(since_us),
        "to": moment(until_us - 1),
        "error_rate": total["failed"] / calls if calls else None,
        "p50_latency_ms": p50,
        "p99_latency_ms": p99,
        "by_model": [{name: row[name] for name in ModelSum.model_fields} for row in models],
    }
    return Stats.model_validate(found)


def _exact(
    db: sqlite3.Connection, since_us: int, until_us: int, given: dict[str, str]
) -> sums.Samples:
    """How long each call took."""
    sql = f"select latency_ms from ({calls_of(since_us, until_us, list(given))})"
    return [(ms, 1) for (ms,) in db.execute(sql, given) if ms is not None]


def _rough(db: sqlite3.Connection, source: str, given: dict[str, str]) -> sums.Samples:
    """How long the calls took, as the rollups tell; those at the edges exactly."""
    rollups.can_add_histograms(db)
    (stored,) = db.execute(f"select agenttrace_histograms(latencies) {source}", given).fetchone()
    edges = db.execute(f"select latency_ms {source} where latency_ms is not null", given)
    return sums.samples_of([histograms.unpack(stored), [(ms, 1) for (ms,) in edges]])


def _first_call(given: dict[str, str]) -> str:
    """When the first of these calls began, or one before it: an index tells one name, no models."""
    filters = [f" and {name} = :{name}" for name in ("agent_id", "provider") if name in given]
    where = MODEL_CALLS + "".join(filters[:1])
    return f"select started_us from llm_calls where {where} order by started_us limit 1"


async def _series(call: Call) -> Series:
    asked: SeriesAsked = call.query
    since_us, until_us = _time(asked)
    given = _filters(asked)
    if not since_us:
        first = await call.reading(lambda db: db.execute(_first_call(given), given).fetchone())
        since_us = first[0] if first else until_us
    step = STEPS[asked.bucket]
    if (until_us - since_us) // step > MOST_STEPS:
        raise Refused(400, f"bucket: that is more than {MOST_STEPS:,} steps", "Choose longer ones")
    if asked.bucket == "minute":
        at, source = f"started_us / {step}", calls_of(since_us, until_us, list(given))
    else:
        at = "hour" if asked.bucket == "hour" else "hour / 24"
        source = counted(since_us, until_us, list(given), asked.bucket)

    def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
        sql = f"""
            select {at} as step, {_SUMS} from ({source})
            group by 1 having calls > 0 order by 1
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
