"""Sums over calls, by time and by whatever a page groups by: what Costs, Agents and Latency share.

Sums come from the rollups, running calls from `llm_calls`.  Calls are the kinds `llm` and
`auxiliary`; spend is what was metered or of unknown billing; days are UTC.  A missing price stays
missing: None, never 0.
"""

import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import computed_field

from agenttrace_mitm.model.json import JsonObject
from agenttrace_mitm.store import histograms, rollups

from . import figures
from .asking import DAY_US, HOUR_US, Asked, Value, clauses

EXACT_CALLS = 1_000  # beyond, percentiles come from histograms: reading more would take longest

type Samples = list[tuple[float, int]]
type Times = Samples | histograms.Histogram
type Names = tuple[str, ...]
type Cell = tuple[int, Names]

ROLLED: Mapping[str, str] = MappingProxyType(
    {"provider": "provider", "model": "model", "agent": "agent_id", "project": "project"}
)
"""What calls can be grouped by, as the rollups say it."""
_OF_MODELS = frozenset({"provider", "model"})
_OF_CALLS: Mapping[str, str] = MappingProxyType(
    {
        "provider": "provider",
        "model": "coalesce(response_model, model, '')",
        "agent": "coalesce(agent_id, '')",
        "project": "coalesce(project, '')",
    }
)


class Figures(Value):
    """Sums over some calls."""

    calls: int = 0
    running: int = 0
    failed: int = 0
    unpriced: int = 0
    cost_nano_usd: int | None = None
    tokens_in: int | None = None
    cache_read_tokens: int | None = None
    tokens_out: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def cost_usd(self) -> float | None:
        """The cost in dollars."""
        return None if self.cost_nano_usd is None else self.cost_nano_usd / figures.NANO

    @computed_field  # type: ignore[prop-decorator]
    @property
    def error_rate(self) -> float | None:
        """The share of finished calls that failed or were cut short; None when none finished."""
        return self.failed / self.finished if self.finished else None

    @property
    def finished(self) -> int:
        """Calls that came to an end."""
        return self.calls - self.running


class Step(Figures):
    """One day or hour."""

    at: str


class Part(NamedTuple):
    """What `Figures` adds up, of one cell: a tuple, for there are thousands."""

    calls: int = 0
    running: int = 0
    failed: int = 0
    unpriced: int = 0
    cost_nano_usd: int | None = None
    tokens_in: int | None = None
    cache_read_tokens: int | None = None
    tokens_out: int | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of each hour or day and name, and how long the calls behind them took."""

    parts: Mapping[Cell, Part]
    times: Mapping[Cell, Times]
    exact: bool
    """Whether the times are those of the calls; else they are off by 2.5 % at most."""

    def all(self) -> Figures:
        """Over everything."""
        return Figures(**summed(list(self.parts.values()), list(self.times.values())))

    def by_name(self) -> dict[Names, JsonObject]:
        """The fields of `Figures` for each name."""
        return self._by(lambda cell: cell[1])

    def by_place(self) -> dict[int, JsonObject]:
        """The fields of `Figures` for each hour or day in which anything was called."""
        return self._by(lambda cell: cell[0])

    def steps(self, asked: Asked) -> tuple[Step, ...]:
        """Each hour or day that was asked for, with calls or without."""
        known, nothing = self.by_place(), summed([], [])
        return tuple(Step(at=at, **known.get(place, nothing)) for place, at in places(asked))

    def _by[Key: Hashable](self, key: Callable[[Cell], Key]) -> dict[Key, JsonObject]:
        parts: dict[Key, list[Part]] = defaultdict(list)
        times: dict[Key, list[Times]] = defaultdict(list)
        for cell, part in self.parts.items():
            parts[key(cell)].append(part)
        for cell, took in self.times.items():
            times[key(cell)].append(took)
        return {one: summed(some, times[one]) for one, some in parts.items()}


def load(db: sqlite3.Connection, asked: Asked, by: Names) -> Sums:
    """What was asked for, by hour or day and by the names *by* (of `ROLLED`)."""
    parts, rough = _rolled_up(db, asked, by)
    _add_running(db, asked, by, parts)
    exact = sum(part.calls for part in parts.values()) <= EXACT_CALLS
    if not parts:  # no index has two filters: to find no call that fits both takes longest
        return Sums(parts, {}, exact)
    return Sums(parts, _exact_times(db, asked, by) if exact else rough, exact)


# ------------------------------------------------------------------ SQL

_CALLS = """
    where started_us >= :since and started_us < :until and kind in ('llm', 'auxiliary')
"""
_ROLLED_UP = """
    from rollup_{table}
    where {step} >= :first and {step} <= :last and kind in ('llm', 'auxiliary')
"""
_SUMS = """
    select {step}, {names}, sum(calls), 0, sum(failed), sum(unpriced),
           sum(case when billing in ('metered', '') then cost_nano_usd end),
           sum(tokens_in), sum(cache_read_tokens), sum(tokens_out),
           agenttrace_histograms(latencies)
    {calls}
    group by {step}, {names}
"""
_RUNNING = """
    select {step}, {names}, count(*), count(*), 0, 0, null, null, null, null
    from llm_calls indexed by llm_calls_running
    {calls} and outcome = 'in_flight'
    group by {step}, {names}
"""
_EXACT = "select {step}, {names}, latency_ms from llm_calls {calls} and latency_ms is not null"


def from_rollups(template: str, asked: Asked, by: Names = ()) -> str:
    """A statement on the rollups of what was asked: *template* with {step}, {names}, {calls}."""
    calls = _ROLLED_UP.format(step=asked.step, table=rollup_of(asked, by))
    calls += of_rollups(asked)
    names = ", ".join(ROLLED[name] for name in by)
    return template.format(step=asked.step, names=names, calls=calls)


def of_rollups(asked: Asked) -> str:
    """The filters as conditions on a rollup."""
    return "".join(f" and {ROLLED[name]} = :{name}" for name in asked.filters)


def rollup_of(asked: Asked, by: Names = ()) -> str:
    """The smallest rollup that tells apart what is asked: the one of models has fewest rows."""
    return "hour" if asked.step == "hour" else _of_days({*asked.filters, *by})


def rollup_of_days(asked: Asked) -> str:
    """The smallest table by day that knows the filters, whatever the time."""
    return f"rollup_{_of_days(set(asked.filters))}"


def _of_days(told_apart: Set[str]) -> str:
    return "model" if told_apart <= _OF_MODELS else "day"


def from_calls(template: str, asked: Asked, by: Names = ()) -> str:
    """The same on the calls themselves."""
    names = ", ".join(_OF_CALLS[name] for name in by)
    return template.format(step=asked.step, names=names, calls=_CALLS + clauses(asked))


def parameters(asked: Asked) -> dict[str, int | str]:
    """The parameters of statements on rollups and on calls."""
    size = place_us(asked)
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        "first": asked.since_us // size,
        "last": (asked.until_us - 1) // size,
        **asked.filters,
    }


def _rolled_up(
    db: sqlite3.Connection, asked: Asked, by: Names
) -> tuple[dict[Cell, Part], dict[Cell, Times]]:
    """The ended calls: what they add up to, and the histograms of how long they took."""
    rollups.can_add_histograms(db)
    parts: dict[Cell, Part] = {}
    times: dict[Cell, Times] = {}
    for place, *row, took in db.execute(from_rollups(_SUMS, asked, by), parameters(asked)):
        cell = place, tuple(row[: len(by)])
        parts[cell] = Part._make(row[len(by) :])
        if took is not None:
            times[cell] = histograms.unpack(took)
    return parts, times


def _add_running(db: sqlite3.Connection, asked: Asked, by: Names, parts: dict[Cell, Part]) -> None:
    for place, *row in db.execute(from_calls(_RUNNING, asked, by), parameters(asked)):
        cell, part = (place, tuple(row[: len(by)])), Part._make(row[len(by) :])
        before = parts.get(cell)
        parts[cell] = Part(**_added([before, part])) if before else part


def _exact_times(db: sqlite3.Connection, asked: Asked, by: Names) -> Mapping[Cell, Times]:
    found: dict[Cell, Samples] = defaultdict(list)
    for place, *names, ms in db.execute(from_calls(_EXACT, asked, by), parameters(asked)):
        found[place, tuple(names)].append((ms, 1))
    return found


# ------------------------------------------------------------------ adding up


def quantile(samples: Samples, share: float) -> float | None:
    """The smallest value that at least *share* of the calls do not exceed (nearest rank)."""
    return quantiles(samples, share)[0]


def quantiles(samples: Samples, *shares: float) -> tuple[float | None, ...]:
    """The quantile of each of *shares*; None of no samples."""
    ordered = sorted(samples)
    reached = list(accumulate(count for _, count in ordered))
    if not reached:
        return (None,) * len(shares)
    return tuple(ordered[bisect_left(reached, share * reached[-1])][0] for share in shares)


def percentiles(times: Sequence[Times], *shares: float) -> tuple[float | None, ...]:
    """The quantile of each of *shares* over all *times* together; None of no calls."""
    whole: histograms.Histogram = 0
    for one in times:
        if not isinstance(one, int):
            return quantiles(samples_of(times), *shares)
        whole += one
    return histograms.quantiles(whole, *shares)


def summed(parts: Sequence[Part], times: Sequence[Times]) -> JsonObject:
    """The fields of `Figures` over *parts*, which took *times*."""
    p50, p95 = percentiles(times, 0.5, 0.95)
    return _added(parts) | {"p50_ms": p50, "p95_ms": p95}


def _added(parts: Sequence[Part]) -> JsonObject:
    """The sums of *parts*; what no part knows is not known."""
    if not parts:  # nothing was called: nothing was spent, and that is known
        return dict.fromkeys(Part._fields, 0)
    added: JsonObject = {}
    for name, values in zip(Part._fields, zip(*parts, strict=True), strict=True):
        known = [value for value in values if value is not None]
        added[name] = sum(known) if known else None
    return added


def place_us(asked: Asked) -> int:
    """How long the hours or days asked for are."""
    return HOUR_US if asked.step == "hour" else DAY_US


def places(asked: Asked) -> list[tuple[int, str]]:
    """The hours or days asked for, each with its label."""
    size = place_us(asked)
    found = range(asked.since_us // size, asked.until_us // size)
    return [(place, _label(place, asked.step)) for place in found]


def _label(place: int, step: Literal["hour", "day"]) -> str:
    if step == "day":
        return figures.date_of(place)
    day, hour = divmod(place, 24)
    return f"{figures.date_of(day)}T{hour:02d}:00Z"


def samples_of(times: Iterable[Times]) -> Samples:
    """All *times* together."""
    whole: histograms.Histogram = 0
    found: Samples = []
    for one in times:
        if isinstance(one, int):
            whole += one
        else:
            found += one
    return found + [(_latency_of(bucket), count) for bucket, count in histograms.counts(whole)]


_latency_of = cache(histograms.latency_of)
