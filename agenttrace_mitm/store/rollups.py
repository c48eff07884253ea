"""Sums per hour and day, and histograms of latency: what pages read where there are many calls.

The writer adds its calls in the transaction that writes them, once they have ended; a running call
is in no rollup.  Columns that nobody reported stay NULL, which is not 0; a missing name is ''.
`latencies` is a histogram (see `histograms`): those of any hours, models and agents can be added
up, and a percentile read from them is off by 2.5 % at most.  `rollup_session` tells days apart by
session and prompt as well, and has no histograms: a session has few calls.
"""

import sqlite3
from collections.abc import Iterable
from typing import Literal

from ..model import LlmCall
from . import histograms

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DAY_HOURS = 24

NAMES = ("provider", "model", "agent_id", "project", "kind", "billing")
SESSION_NAMES = ("session_id", "prompt_id", *NAMES)
COUNTS = ("calls", "failed", "cancelled", "unpriced")
SUMS = (
    "cost_nano_usd", "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens",
)  # fmt: skip

type Step = Literal["hour", "day"]

OF_A_CALL = """
    select started_us / 3600000000 as hour, provider,
           coalesce(nullif(response_model, ''), model, '') as model,
           coalesce(agent_id, '') as agent_id, coalesce(project, '') as project, kind,
           coalesce(session_id, '') as session_id, coalesce(prompt_id, '') as prompt_id,
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
"""Ended calls, each as a rollup of its own; conditions can be added."""


def create(db: sqlite3.Connection) -> None:
    """The two tables, empty."""
    names = ", ".join(f"{name} text not null" for name in NAMES)
    counts = ", ".join(f"{name} integer not null" for name in COUNTS)
    sums = ", ".join(f"{name} integer" for name in SUMS)
    for step in ("hour", "day"):
        db.execute(
            f"create table rollup_{step} ({step} integer not null, {names}, {counts}, {sums},"
            f" latencies blob,"
            f" primary key ({step}, {', '.join(NAMES)})) without rowid"
        )


def create_of_sessions(db: sqlite3.Connection) -> None:
    """The table of sessions and prompts, with the calls that are there."""
    names = ", ".join(f"{name} text not null" for name in SESSION_NAMES)
    counts = ", ".join(f"{name} integer not null" for name in COUNTS)
    sums = ", ".join(f"{name} integer" for name in SUMS)
    db.execute(
        f"create table rollup_session (day integer not null, {names}, {counts}, {sums},"
        f" primary key (day, {', '.join(SESSION_NAMES)})) without rowid"
    )
    _count_sessions(db, {"first": _FIRST_HOUR, "last": _LAST_HOUR})


def outcome_before(db: sqlite3.Connection, call_id: str) -> str | None:
    """How the call stood before it is written now; None when it was not there."""
    row = db.execute("select outcome from llm_calls where id = ?", (call_id,)).fetchone()
    return row[0] if row else None


class Counts:
    """What the calls of one transaction add to the rollups: summed here, written once at its end.

    Most calls of a transaction share an hour, a model and an agent, hence a row.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[int, tuple[str, ...]], _Sums] = {}
        self._of_sessions: dict[tuple[int, tuple[str, ...]], _Sums] = {}
        self._again: set[int] = set()

    def add(self, call: LlmCall, before: str | None) -> None:
        """Count *call*, just written, once however often it comes; *before* is `outcome_before`."""
        match before:
            case None | "in_flight":
                if call.outcome != "in_flight":
                    hour, names = call.started_us // HOUR_US, _names_of(call)
                    self._sums.setdefault((hour, names), _Sums()).add(call)
                    session = call.session_id or "", call.prompt_id or ""
                    key = hour // DAY_HOURS, (*session, *names)
                    self._of_sessions.setdefault(key, _Sums()).add(call)
            case "interrupted":
                self._again.add(call.started_us // HOUR_US)
            case _:
                pass  # the row stayed as it was

    def write(self, db: sqlite3.Connection) -> None:
        """Write the sums, inside the caller's transaction, and begin anew."""
        for (hour, names), sums in self._sums.items():
            sums.write(db, hour, names)
        for (day, names), sums in self._of_sessions.items():
            db.execute(_UPSERT_SESSION, (day, *names, *sums.counts, *sums.sums))
        if self._again:
            recount(db, self._again)
        self._sums, self._of_sessions, self._again = {}, {}, set()


class _Sums:
    """What some calls of one row add to it."""

    __slots__ = ("counts", "histogram", "sums")

    def __init__(self) -> None:
        self.counts = [0] * len(COUNTS)
        self.sums: list[int | None] = [None] * len(SUMS)
        self.histogram: histograms.Histogram = 0

    def add(self, call: LlmCall) -> None:
        unpriced = call.cost_nano_usd is None and call.outcome != "error" and not call.duplicate_of
        failed = call.outcome in ("error", "interrupted")
        for at, more in enumerate((1, failed, call.outcome == "cancelled", unpriced)):
            self.counts[at] += more
        for at, name in enumerate(SUMS):
            if (value := getattr(call, name)) is not None:
                self.sums[at] = (self.sums[at] or 0) + value
        if call.latency_ms is not None:
            self.histogram += histograms.of(call.latency_ms)

    def write(self, db: sqlite3.Connection, hour: int, names: tuple[str, ...]) -> None:
        for place, (latencies, upsert) in zip((hour, hour // DAY_HOURS), _STEPS, strict=True):
            before = db.execute(latencies, (place, *names)).fetchone()
            took = self.histogram + histograms.unpack(before[0] if before else None)
            row = (place, *names, *self.counts, *self.sums, histograms.pack(took))
            db.execute(upsert, row)


def _names_of(call: LlmCall) -> tuple[str, ...]:
    return (
        call.provider, call.response_model or call.model or "", call.agent_id or "",
        call.project or "", call.kind, call.billing or "",
    )  # fmt: skip


def recount(db: sqlite3.Connection, hours: Iterable[int]) -> None:
    """Count the calls of *hours* again, inside the caller's transaction.

    Hours whose calls have gone are left as they are: nobody knows better any more.
    """
    kept = _kept_since(db)
    hours = {hour for hour in hours if hour >= kept}
    for hour in hours:
        given = {"first": hour, "last": hour}
        _forget(db, "hour", given)
        _count_hours(db, given)
    for day in {hour // DAY_HOURS for hour in hours}:
        given = {"first": day, "last": day}
        for table in ("day", "session"):
            _forget(db, table, given)
        _count_days(db, given)
        _count_sessions(db, given)


def can_add_histograms(db: sqlite3.Connection) -> None:
    """Let SQL on *db* add up `latencies` with `agenttrace_histograms`."""
    db.create_aggregate("agenttrace_histograms", 1, _OfHistograms)  # type: ignore[arg-type]  # typeshed: int


def rebuild(db: sqlite3.Connection) -> None:
    """Count every call again, in one transaction; for calls that were changed by hand."""
    outer = db.in_transaction
    if not outer:
        db.execute("begin immediate")
    try:
        since = _kept_since(db)
        hours = {"first": since, "last": _LAST_HOUR}
        days = {"first": since // DAY_HOURS, "last": _LAST_HOUR}
        _forget(db, "hour", hours)
        _count_hours(db, hours)
        for table in ("day", *(("session",) if _has_sessions(db) else ())):
            _forget(db, table, days)
        _count_days(db, days)
        if _has_sessions(db):
            _count_sessions(db, days)
        if not outer:
            db.execute("commit")
    except BaseException:
        if not outer and db.in_transaction:
            db.rollback()
        raise


def _kept_since(db: sqlite3.Connection) -> int:
    """The hour from which on calls are kept (`aging`): the first of a day, or long ago."""
    sql = "select 1 from sqlite_master where type = 'table' and name = 'horizon'"
    known = db.execute(sql).fetchone() and db.execute("select since_us from horizon").fetchone()
    return int(known[0]) // HOUR_US if known else _FIRST_HOUR


def _has_sessions(db: sqlite3.Connection) -> bool:
    """False within the migrations before its own."""
    sql = "select 1 from sqlite_master where type = 'table' and name = 'rollup_session'"
    return db.execute(sql).fetchone() is not None


def _upsert(table: str, columns: tuple[str, ...], more: str = "") -> str:
    added = [f"{name} = {name} + excluded.{name}" for name in COUNTS]
    added += [f"{n} = coalesce({n} + excluded.{n}, {n}, excluded.{n})" for n in SUMS]
    return (
        f"insert into rollup_{table} ({', '.join(columns)})"
        f" values ({', '.join('?' * len(columns))})"
        f" on conflict do update set {', '.join(added)}{more}"
    )


def _upsert_step(step: Step) -> str:
    columns = (step, *NAMES, *COUNTS, *SUMS, "latencies")
    return _upsert(step, columns, ", latencies = excluded.latencies")


def _latencies(step: Step) -> str:
    known = " and ".join(f"{name} = ?" for name in (step, *NAMES))
    return f"select latencies from rollup_{step} where {known}"


_STEPS = tuple((_latencies(step), _upsert_step(step)) for step in ("hour", "day"))
_UPSERT_SESSION = _upsert("session", ("day", *SESSION_NAMES, *COUNTS, *SUMS))
_FIRST_HOUR, _LAST_HOUR = -(2**62) // HOUR_US, 2**62 // HOUR_US


def _forget(db: sqlite3.Connection, table: str, given: dict[str, int]) -> None:
    step = "hour" if table == "hour" else "day"
    db.execute(f"delete from rollup_{table} where {step} between :first and :last", given)


def _count_hours(db: sqlite3.Connection, given: dict[str, int]) -> None:
    bounds = " and started_us >= :first * 3600000000 and started_us < (:last + 1) * 3600000000"
    db.create_aggregate("agenttrace_histogram", 1, _OfCalls)  # type: ignore[arg-type]  # typeshed: int
    db.execute(_counting("hour", "agenttrace_histogram(latency_ms)", OF_A_CALL + bounds), given)


def _count_days(db: sqlite3.Connection, given: dict[str, int]) -> None:
    """Days are made of hours, which are counted already."""
    hours = """
        select hour / 24 as day, * from rollup_hour
        where hour >= :first * 24 and hour < (:last + 1) * 24
    """
    can_add_histograms(db)
    db.execute(_counting("day", "agenttrace_histograms(latencies)", hours), given)


def _count_sessions(db: sqlite3.Connection, given: dict[str, int]) -> None:
    # As hours: days of everything would not fit 64 bits in microseconds.
    hours = {"first": max(given["first"], -(10**6)) * DAY_HOURS, "last": 0}
    hours["last"] = min(given["last"], 10**6) * DAY_HOURS + DAY_HOURS - 1
    bounds = " and started_us >= :first * 3600000000 and started_us < (:last + 1) * 3600000000"
    names, columns = ", ".join(SESSION_NAMES), ", ".join(COUNTS + SUMS)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    db.execute(
        f"insert into rollup_session (day, {names}, {columns})"
        f" select hour / 24 as day, {names}, {sums} from ({OF_A_CALL}{bounds})"
        f" group by hour / 24, {names}",
        hours,
    )


def _counting(step: Step, latencies: str, source: str) -> str:
    names, columns = ", ".join(NAMES), ", ".join(COUNTS + SUMS)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    return (
        f"insert into rollup_{step} ({step}, {names}, {columns}, latencies)"
        f" select {step}, {names}, {sums}, {latencies} from ({source}) group by {step}, {names}"
    )


class _OfCalls:
    """Makes SQLite count latencies the way the writer does, to the last bit."""

    def __init__(self) -> None:
        self.sum: histograms.Histogram = 0

    def step(self, latency_ms: float | None) -> None:
        if latency_ms is not None:
            self.sum += histograms.of(latency_ms)

    def finalize(self) -> bytes | None:
        return histograms.pack(self.sum)


class _OfHistograms:
    def __init__(self) -> None:
        self.sum: histograms.Histogram = 0

    def step(self, stored: bytes | None) -> None:
        self.sum += histograms.unpack(stored)

    def finalize(self) -> bytes | None:
        return histograms.pack(self.sum)
