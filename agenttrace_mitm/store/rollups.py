"""Sums per hour and day, and histograms of latency: what pages read where there are many calls.

The writer adds its calls in the transaction that writes them, once they have ended; a running call
is in no rollup.  Columns that nobody reported stay NULL, which is not 0; a missing name is ''.
`latencies` is a histogram (see `histograms`): those of any hours, models and agents can be added
up, and a percentile read from them is off by 2.5 % at most.  `rollup_session` tells days apart by
session and prompt as well, and has no histograms: a session has few calls; `rollup_spend` has
what of it a page needs that looks through all sessions (see `spent`).  `rollup_model` has
days without agents and projects: a tenth of the rows where there are many agents, for pages that
are about everybody.
"""

import operator
import sqlite3
from collections.abc import Iterable, Iterator

from ..model import LlmCall
from . import histograms, spent
from .counting import FAILED, UNPRICED
from .transactions import joining

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DAY_HOURS = 24

NAMES = ("provider", "model", "agent_id", "project", "kind", "billing")
SESSION_NAMES = ("session_id", "prompt_id", *NAMES)
MODEL_NAMES = ("provider", "model", "asked_model", "kind", "billing")
COUNTS = ("calls", "failed", "cancelled", "unpriced")
SUMS = (
    "cost_nano_usd", "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens",
)  # fmt: skip

OF_A_CALL = f"""
    select started_us, started_us / 3600000000 as hour, provider,
           coalesce(nullif(response_model, ''), model, '') as model,
           coalesce(model, '') as asked_model,
           coalesce(agent_id, '') as agent_id, coalesce(project, '') as project, kind,
           coalesce(session_id, '') as session_id, coalesce(prompt_id, '') as prompt_id,
           coalesce(billing, '') as billing, latency_ms,
           1 as calls,
           {FAILED} as failed,
           outcome = 'cancelled' as cancelled,
           {UNPRICED} as unpriced,
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


def create_of_models(db: sqlite3.Connection) -> None:
    """The table of models alone, with the calls that are there."""
    names = ", ".join(f"{name} text not null" for name in MODEL_NAMES)
    counts = ", ".join(f"{name} integer not null" for name in COUNTS)
    sums = ", ".join(f"{name} integer" for name in SUMS)
    db.execute(
        f"create table rollup_model (day integer not null, {names}, {counts}, {sums},"
        f" latencies blob, primary key (day, {', '.join(MODEL_NAMES)})) without rowid"
    )
    since = _kept_since(db) // DAY_HOURS
    _count_models(db, {"first": since, "last": _LAST_HOUR})
    # Of calls that have gone by age nobody knows what was asked.
    gone = f"select *, model as asked_model from rollup_day where day < {since}"
    can_add_histograms(db)
    db.execute(_counting("model", MODEL_NAMES, "agenttrace_histograms(latencies)", gone))


def outcome_before(db: sqlite3.Connection, call_id: str) -> str | None:
    """How the call stood before it is written now; None when it was not there."""
    row = db.execute("select outcome from llm_calls where id = ?", (call_id,)).fetchone()
    return row[0] if row else None


class Counts:
    """What the calls of one transaction add to the rollups: summed here, written once at its end.

    Most calls of a transaction share an hour, a model and an agent, hence a row.
    """

    def __init__(self) -> None:
        self._sums: dict[_Key, _Sums] = {}
        self._again: set[int] = set()

    def add(self, call: LlmCall, before: str | None) -> None:
        """Count *call*, just written, once however often it comes; *before* is `outcome_before`."""
        match before:
            case None | "in_flight":
                if call.outcome != "in_flight":
                    self._count(call)
            case "interrupted":
                self._again.add(call.started_us // HOUR_US)
            case _:
                pass  # the row stayed as it was

    def _count(self, call: LlmCall) -> None:
        names = (
            call.provider,
            call.response_model or call.model or "",
            call.agent_id or "",
            call.project or "",
            call.kind,
            call.billing or "",
        )
        session = call.session_id or "", call.prompt_id or ""
        key = call.started_us // HOUR_US, session, names, call.model or ""
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = _Sums()
        sums.add(*_figures_of(call))

    def write(self, db: sqlite3.Connection) -> None:
        """Write the sums, inside the caller's transaction, and begin anew."""
        of_hours: _Rows = {}
        of_models: _Rows = {}
        of_sessions: _Rows = {}
        for (hour, session, names, asked), sums in self._sums.items():
            provider, served, _, _, kind, billing = names
            day = hour // DAY_HOURS
            for rows, key in (
                (of_hours, (hour, names)),
                (of_models, (day, (provider, served, asked, kind, billing))),
                (of_sessions, (day, (*session, *names))),
            ):
                rows.setdefault(key, _Sums()).join(sums)
        for (hour, names), sums in of_hours.items():
            sums.write(db, _HOUR, hour, *names)
            sums.write(db, _DAY, hour // DAY_HOURS, *names)
        for (day, names), sums in of_models.items():
            sums.write(db, _MODEL, day, *names)
        for (day, names), sums in of_sessions.items():
            db.execute(_UPSERT_SESSION, (day, *names, *sums.counts, *sums.sums))
        spent.add(db, _spent(of_sessions))
        if self._again:
            recount(db, self._again)
        self._sums, self._again = {}, set()


def _spent(of_sessions: "_Rows") -> Iterator[spent.Part]:
    """What rows of `rollup_session` say of spend."""
    for (day, (session, *_, kind, billing)), sums in of_sessions.items():
        yield day, session, kind, billing, sums.counts[0], sums.sums[0]


class _Sums:
    """What some calls of one row add to it."""

    __slots__ = ("counts", "histogram", "sums")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * len(COUNTS)
        self.sums: list[int | None] = [None] * len(SUMS)
        self.histogram: histograms.Histogram = 0

    def add(
        self, counts: list[int], sums: list[tuple[int, int]], histogram: histograms.Histogram
    ) -> None:
        """Add the figures of one call, as `_figures_of` tells them."""
        self.counts = list(map(operator.add, self.counts, counts))
        for at, value in sums:
            self.sums[at] = (self.sums[at] or 0) + value
        self.histogram += histogram

    def join(self, other: "_Sums") -> None:
        """Add what *other* holds."""
        known = [(at, value) for at, value in enumerate(other.sums) if value is not None]
        self.add(other.counts, known, other.histogram)

    def write(self, db: sqlite3.Connection, statements: "Statements", *key: int | str) -> None:
        """Add these to the row of *key*."""
        before = db.execute(statements.latencies, key).fetchone()
        took = self.histogram + histograms.unpack(before[0] if before else None)
        row = (*key, *self.counts, *self.sums, histograms.pack(took))
        db.execute(statements.upsert, row)


type _Rows = dict[tuple[int, tuple[str, ...]], _Sums]
type _Key = tuple[int, tuple[str, str], tuple[str, ...], str]
"""Hour, session and prompt, the names of an hour's row, the model asked for."""


def _figures_of(call: LlmCall) -> tuple[list[int], list[tuple[int, int]], histograms.Histogram]:
    """What *call* adds to each of its rows: `COUNTS`, those of `SUMS` that it knows, its time."""
    unpriced = call.cost_nano_usd is None and call.outcome != "error" and not call.duplicate_of
    failed = call.outcome in ("error", "interrupted")
    counts = [1, failed, call.outcome == "cancelled", unpriced]
    known = enumerate(map(call.__dict__.get, SUMS))
    sums = [(at, value) for at, value in known if value is not None]
    return counts, sums, 0 if call.latency_ms is None else histograms.of(call.latency_ms)


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
        for table in ("day", "session", "model"):
            _forget(db, table, given)
        _count_days(db, given)
        _count_sessions(db, given)
        _count_models(db, given)
        spent.tell_again(db, day, day)


def can_add_histograms(db: sqlite3.Connection) -> None:
    """Let SQL on *db* add up `latencies` with `agenttrace_histograms`."""
    db.create_aggregate("agenttrace_histograms", 1, _OfHistograms)  # type: ignore[arg-type]  # typeshed: int


def rebuild(db: sqlite3.Connection) -> None:
    """Count every call again, in one transaction; for calls that were changed by hand."""
    with joining(db):
        since = _kept_since(db)
        counting = {"hour": _count_hours, "day": _count_days}
        later = {"session": _count_sessions, "model": _count_models}
        counting |= {name: count for name, count in later.items() if _has(db, name)}
        for table, count in counting.items():
            first = since if table == "hour" else since // DAY_HOURS
            given = {"first": first, "last": _LAST_HOUR}
            _forget(db, table, given)
            count(db, given)
        if _has(db, "spend"):
            spent.tell_again(db, since // DAY_HOURS, _LAST_HOUR)


def _kept_since(db: sqlite3.Connection) -> int:
    """The hour from which on calls are kept (`aging`): the first of a day, or long ago."""
    sql = "select 1 from sqlite_master where type = 'table' and name = 'horizon'"
    known = db.execute(sql).fetchone() and db.execute("select since_us from horizon").fetchone()
    return int(known[0]) // HOUR_US if known else _FIRST_HOUR


def _has(db: sqlite3.Connection, table: str) -> bool:
    """False within the migrations before the table's own."""
    sql = "select 1 from sqlite_master where type = 'table' and name = ?"
    return db.execute(sql, (f"rollup_{table}",)).fetchone() is not None


def _upsert(table: str, columns: tuple[str, ...], more: str = "") -> str:
    added = [f"{name} = {name} + excluded.{name}" for name in COUNTS]
    added += [f"{n} = coalesce({n} + excluded.{n}, {n}, excluded.{n})" for n in SUMS]
    return (
        f"insert into rollup_{table} ({', '.join(columns)})"
        f" values ({', '.join('?' * len(columns))})"
        f" on conflict do update set {', '.join(added)}{more}"
    )


class Statements:
    """How a row with latencies is read and written; *key* names its columns."""

    def __init__(self, table: str, *key: str, has_latencies: bool = True) -> None:
        known = " and ".join(f"{name} = ?" for name in key)
        self.latencies = f"select latencies from rollup_{table} where {known}"
        columns = (*key, *COUNTS, *SUMS, *(["latencies"] if has_latencies else []))
        more = ", latencies = excluded.latencies" if has_latencies else ""
        self.upsert = _upsert(table, columns, more)


_HOUR = Statements("hour", "hour", *NAMES)
_DAY = Statements("day", "day", *NAMES)
_MODEL = Statements("model", "day", *MODEL_NAMES)
_UPSERT_SESSION = _upsert("session", ("day", *SESSION_NAMES, *COUNTS, *SUMS))
_OF_HOURS = " and started_us >= :first * 3600000000 and started_us < (:last + 1) * 3600000000"
_FIRST_HOUR, _LAST_HOUR = -(2**62) // HOUR_US, 2**62 // HOUR_US


def _forget(db: sqlite3.Connection, table: str, given: dict[str, int]) -> None:
    step = "hour" if table == "hour" else "day"
    db.execute(f"delete from rollup_{table} where {step} between :first and :last", given)


def _count_hours(db: sqlite3.Connection, given: dict[str, int]) -> None:
    db.create_aggregate("agenttrace_histogram", 1, _OfCalls)  # type: ignore[arg-type]  # typeshed: int
    sql = _counting("hour", NAMES, "agenttrace_histogram(latency_ms)", OF_A_CALL + _OF_HOURS)
    db.execute(sql, given)


def _count_days(db: sqlite3.Connection, given: dict[str, int]) -> None:
    """Days are made of hours, which are counted already."""
    hours = """
        select hour / 24 as day, * from rollup_hour
        where hour >= :first * 24 and hour < (:last + 1) * 24
    """
    can_add_histograms(db)
    db.execute(_counting("day", NAMES, "agenttrace_histograms(latencies)", hours), given)


def _count_sessions(db: sqlite3.Connection, given: dict[str, int]) -> None:
    names, columns = ", ".join(SESSION_NAMES), ", ".join(COUNTS + SUMS)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    db.execute(
        f"insert into rollup_session (day, {names}, {columns})"
        f" select hour / 24 as day, {names}, {sums} from ({OF_A_CALL}{_OF_HOURS})"
        f" group by hour / 24, {names}",
        _hours_of(given),
    )


def _count_models(db: sqlite3.Connection, given: dict[str, int]) -> None:
    db.create_aggregate("agenttrace_histogram", 1, _OfCalls)  # type: ignore[arg-type]  # typeshed: int
    calls = f"select hour / 24 as day, * from ({OF_A_CALL}{_OF_HOURS})"
    sql = _counting("model", MODEL_NAMES, "agenttrace_histogram(latency_ms)", calls)
    db.execute(sql, _hours_of(given))


def _hours_of(given: dict[str, int]) -> dict[str, int]:
    """Days as hours: days of everything would not fit 64 bits in microseconds."""
    return {
        "first": max(given["first"], -(10**6)) * DAY_HOURS,
        "last": min(given["last"], 10**6) * DAY_HOURS + DAY_HOURS - 1,
    }


def _counting(table: str, names_of: tuple[str, ...], latencies: str, source: str) -> str:
    step = "hour" if table == "hour" else "day"
    names, columns = ", ".join(names_of), ", ".join(COUNTS + SUMS)
    sums = ", ".join(f"sum({name})" for name in COUNTS + SUMS)
    return (
        f"insert into rollup_{table} ({step}, {names}, {columns}, latencies)"
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
