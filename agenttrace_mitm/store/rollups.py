"""Sums per hour and day, and histograms of latency: what pages read where there are many calls.

The writer adds each call in the transaction that writes it, once it has ended; a running call is
in no rollup.  Columns that nobody reported stay NULL, which is not 0; a missing name is ''.
Latencies fall into buckets 5 % wide (`ln(ms) / ln(1.05)`), so a percentile read from them is off
by 2.5 % at most, and buckets of any hours, models and agents can be added up.
"""

import math
import sqlite3
from collections.abc import Iterable
from typing import Literal

from ..model import LlmCall

HOUR_US = 3_600_000_000
DAY_HOURS = 24
WIDTH = math.log(1.05)

NAMES = ("provider", "model", "agent_id", "project", "kind", "billing")
COUNTS = ("calls", "failed", "cancelled", "unpriced")
SUMS = (
    "cost_nano_usd", "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens",
)  # fmt: skip
TIMED = NAMES[:-1]

type Step = Literal["hour", "day"]

_OF_A_CALL = """
    select started_us / 3600000000 as hour, provider,
           coalesce(nullif(response_model, ''), model, '') as model,
           coalesce(agent_id, '') as agent_id, coalesce(project, '') as project, kind,
           coalesce(billing, '') as billing, latency_ms,
           1 as calls,
           outcome in ('error', 'interrupted') as failed,
           outcome = 'cancelled' as cancelled,
           cost_nano_usd is null and outcome <> 'error' and duplicate_of is null as unpriced,
           cost_nano_usd, tokens_in, tokens_out, cache_read_tokens, cache_write_tokens,
           reasoning_tokens
    from llm_calls
    where outcome <> 'in_flight'
"""


def create(db: sqlite3.Connection) -> None:
    """The four tables, empty."""
    names = ", ".join(f"{name} text not null" for name in NAMES)
    timed = ", ".join(f"{name} text not null" for name in TIMED)
    counts = ", ".join(f"{name} integer not null" for name in COUNTS)
    sums = ", ".join(f"{name} integer" for name in SUMS)
    for step in ("hour", "day"):
        db.execute(
            f"create table rollup_{step} ({step} integer not null, {names}, {counts}, {sums},"
            f" primary key ({step}, {', '.join(NAMES)})) without rowid"
        )
        db.execute(
            f"create table rollup_{step}_latency ({step} integer not null, {timed},"
            f" bucket integer not null, calls integer not null,"
            f" primary key ({step}, {', '.join(TIMED)}, bucket)) without rowid"
        )


def bucket_of(latency_ms: float) -> int:
    """The bucket a latency falls into."""
    return int(math.log(max(latency_ms, 1.0)) / WIDTH)


def latency_of(bucket: int) -> float:
    """The latency in milliseconds that stands for a bucket: its middle."""
    return math.exp((bucket + 0.5) * WIDTH)


def outcome_before(db: sqlite3.Connection, call_id: str) -> str | None:
    """How the call stood before it is written now; None when it was not there."""
    row = db.execute("select outcome from llm_calls where id = ?", (call_id,)).fetchone()
    return row[0] if row else None


def add(db: sqlite3.Connection, call: LlmCall, before: str | None) -> None:
    """Count *call*, just written, once however often it comes; *before* is `outcome_before`."""
    match before:
        case None | "in_flight":
            if call.outcome != "in_flight":
                _add(db, call)
        case "interrupted":
            recount(db, [call.started_us // HOUR_US])
        case _:
            pass  # the row stayed as it was


def recount(db: sqlite3.Connection, hours: Iterable[int]) -> None:
    """Count the calls of *hours* again, inside the caller's transaction."""
    hours = set(hours)
    for hour in hours:
        given = {"first": hour, "last": hour}
        _forget(db, "hour", given)
        _count_hours(db, given)
    for day in {hour // DAY_HOURS for hour in hours}:
        given = {"first": day, "last": day}
        _forget(db, "day", given)
        _count_days(db, given)


def rebuild(db: sqlite3.Connection) -> None:
    """Count every call again, in one transaction; for calls that were changed by hand."""
    outer = db.in_transaction
    if not outer:
        db.execute("begin immediate")
    try:
        everything = {"first": -(2**62) // HOUR_US, "last": 2**62 // HOUR_US}
        for step in ("hour", "day"):
            _forget(db, step, everything)
        _count_hours(db, everything)
        _count_days(db, everything)
        if not outer:
            db.execute("commit")
    except BaseException:
        if not outer and db.in_transaction:
            db.rollback()
        raise


def _upsert(step: Step) -> str:
    columns = (step, *NAMES, *COUNTS, *SUMS)
    more = [f"{name} = {name} + excluded.{name}" for name in COUNTS]
    more += [f"{n} = coalesce({n} + excluded.{n}, {n}, excluded.{n})" for n in SUMS]
    return (
        f"insert into rollup_{step} ({', '.join(columns)})"
        f" values ({', '.join('?' * len(columns))})"
        f" on conflict do update set {', '.join(more)}"
    )


def _upsert_latency(step: Step) -> str:
    columns = (step, *TIMED, "bucket")
    return (
        f"insert into rollup_{step}_latency ({', '.join(columns)}, calls)"
        f" values ({', '.join('?' * len(columns))}, 1)"
        f" on conflict do update set calls = calls + 1"
    )


_ADD_HOUR, _ADD_DAY = _upsert("hour"), _upsert("day")
_ADD_HOUR_LATENCY, _ADD_DAY_LATENCY = _upsert_latency("hour"), _upsert_latency("day")


def _add(db: sqlite3.Connection, call: LlmCall) -> None:
    hour = call.started_us // HOUR_US
    day = hour // DAY_HOURS
    names = (
        call.provider, call.response_model or call.model or "", call.agent_id or "",
        call.project or "", call.kind, call.billing or "",
    )  # fmt: skip
    unpriced = call.cost_nano_usd is None and call.outcome != "error" and not call.duplicate_of
    failed = call.outcome in ("error", "interrupted")
    figures = (1, failed, call.outcome == "cancelled", unpriced)
    row = (*names, *figures, *(getattr(call, name) for name in SUMS))
    db.execute(_ADD_HOUR, (hour, *row))
    db.execute(_ADD_DAY, (day, *row))
    if call.latency_ms is not None:
        timed = (*names[:-1], bucket_of(call.latency_ms))
        db.execute(_ADD_HOUR_LATENCY, (hour, *timed))
        db.execute(_ADD_DAY_LATENCY, (day, *timed))


def _forget(db: sqlite3.Connection, step: Step, given: dict[str, int]) -> None:
    for table in (f"rollup_{step}", f"rollup_{step}_latency"):
        db.execute(f"delete from {table} where {step} between :first and :last", given)


def _count_hours(db: sqlite3.Connection, given: dict[str, int]) -> None:
    bounds = " and started_us >= :first * 3600000000 and started_us < (:last + 1) * 3600000000"
    names = ", ".join(NAMES)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    db.execute(
        f"insert into rollup_hour (hour, {names}, {', '.join(COUNTS + SUMS)})"
        f" select hour, {names}, {sums} from ({_OF_A_CALL} {bounds}) group by hour, {names}",
        given,
    )
    timed = ", ".join(TIMED)
    # Not every SQLite has ln(); and this way both ways of counting agree to the last bit.
    db.create_function("agenttrace_bucket", 1, bucket_of, deterministic=True)
    db.execute(
        f"insert into rollup_hour_latency (hour, {timed}, bucket, calls)"
        f" select hour, {timed}, agenttrace_bucket(latency_ms) as bucket, count(*)"
        f" from ({_OF_A_CALL} {bounds}) where latency_ms is not null"
        f" group by hour, {timed}, bucket",
        given,
    )


def _count_days(db: sqlite3.Connection, given: dict[str, int]) -> None:
    """Days are made of hours, which are counted already."""
    bounds = "where hour >= :first * 24 and hour < (:last + 1) * 24"
    names = ", ".join(NAMES)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    db.execute(
        f"insert into rollup_day (day, {names}, {', '.join(COUNTS + SUMS)})"
        f" select hour / 24 as day, {names}, {sums} from rollup_hour {bounds}"
        f" group by hour / 24, {names}",
        given,
    )
    timed = ", ".join(TIMED)
    db.execute(
        f"insert into rollup_day_latency (day, {timed}, bucket, calls)"
        f" select hour / 24 as day, {timed}, bucket, sum(calls) from rollup_hour_latency {bounds}"
        f" group by hour / 24, {timed}, bucket",
        given,
    )
