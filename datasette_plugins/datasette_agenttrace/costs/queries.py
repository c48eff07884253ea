"""What the Costs page shows: spend, tokens, calls, latency and errors over time.

Sums come from the rollups, running calls from `llm_calls`.  Calls are the kinds `llm` and
`auxiliary`; spend is what was metered or of unknown billing; days are UTC.  A missing price stays
missing: None, never 0.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import computed_field

from agenttrace_mitm.model.json import JsonObject
from agenttrace_mitm.store import histograms

from .. import figures
from ..asking import DAY_US, HOUR_US, Asked, Choices, Value, choices, clauses

EXACT_CALLS = 10_000  # beyond, percentiles come from histograms
NAMED_MODELS = 7  # in the stacked chart; the others are one
OTHER = "other models"
NO_MODEL = "(no model)"

type Samples = list[tuple[float, int]]
type Key = tuple[int, str, str]


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

    @computed_field  # type: ignore[prop-decorator]
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


class ModelFigures(Figures):
    """One model of one provider."""

    provider: str
    model: str


class Spent(Value):
    """A piece of a stacked bar."""

    at: str
    model: str
    cost_usd: float


class Costs(Value):
    """The page."""

    asked: Asked
    step: Literal["hour", "day"]
    zone: Literal["UTC"] = "UTC"
    totals: Figures
    steps: tuple[Step, ...]
    models: tuple[ModelFigures, ...]
    named_models: tuple[str, ...]
    spent: tuple[Spent, ...]
    latency_is_exact: bool
    choices: Choices
    anything_recorded: bool


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long calls took, by hour or day and by model."""

    at: dict[int, Samples] = field(default_factory=lambda: defaultdict(list))
    of: dict[tuple[str, str], Samples] = field(default_factory=lambda: defaultdict(list))

    def all(self) -> Samples:
        """Of every call."""
        return [sample for samples in self.at.values() for sample in samples]


def load(db: sqlite3.Connection, asked: Asked) -> Costs:
    """Everything the page shows."""
    sums = _sums(db, asked)
    exact = sum(part.calls for part in sums.values()) <= EXACT_CALLS
    times = _exact_latencies(db, asked) if exact else _rough_latencies(db, asked)
    models = _models(sums, times)
    named = _named(models)
    places = {place: _label(place, asked.step) for place in _places(asked)}
    sums_at = _by_place(sums)
    return Costs(
        asked=asked,
        step=asked.step,
        totals=_figures(sums.values(), times.all()),
        steps=tuple(
            Step(at=at, **_summed(sums_at[place], times.at[place])) for place, at in places.items()
        ),
        models=models,
        named_models=named,
        spent=_spent(sums, named, places),
        latency_is_exact=exact,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


# ------------------------------------------------------------------ SQL

ROLLED_UP = """
    from rollup_{step}
    where {step} >= :first and {step} <= :last and kind in ('llm', 'auxiliary')
"""

SUMS = """
    select {step}, provider, model, sum(calls), 0, sum(failed), sum(unpriced),
           sum(case when billing in ('metered', '') then cost_nano_usd end),
           sum(tokens_in), sum(cache_read_tokens), sum(tokens_out)
    {calls}
    group by 1, 2, 3
"""

CALLS = """
    where started_us >= :since and started_us < :until and kind in ('llm', 'auxiliary')
"""

RUNNING = """
    select {step}, provider, coalesce(response_model, model, ''), count(*), count(*), 0, 0,
           null, null, null, null
    from llm_calls indexed by llm_calls_running
    {calls} and outcome = 'in_flight'
    group by 1, 2, 3
"""

EXACT_LATENCIES = """
    select {step}, provider, coalesce(response_model, model, ''), latency_ms
    from llm_calls {calls} and latency_ms is not null
"""

LATENCIES = "select {step}, provider, model, latencies {calls}"


def from_rollups(template: str, asked: Asked) -> str:
    """A statement on the rollups of what was asked: *template* with {step} and {calls}."""
    calls = ROLLED_UP.format(step=asked.step)
    columns = {"provider": "provider", "model": "model", "agent": "agent_id"}
    calls += "".join(f" and {columns[name]} = :{name}" for name in asked.filters)
    return template.format(step=asked.step, calls=calls)


def _from_calls(template: str, asked: Asked) -> str:
    return template.format(step=asked.step, calls=CALLS + clauses(asked))


def parameters(asked: Asked) -> dict[str, int | str]:
    """The parameters of statements on rollups and on calls."""
    size = HOUR_US if asked.step == "hour" else DAY_US
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        "first": asked.since_us // size,
        "last": (asked.until_us - 1) // size,
        **asked.filters,
    }


def _sums(db: sqlite3.Connection, asked: Asked) -> dict[Key, Figures]:
    parts: dict[Key, list[Figures]] = defaultdict(list)
    for statement in (from_rollups(SUMS, asked), _from_calls(RUNNING, asked)):
        for step, provider, model, *values in db.execute(statement, parameters(asked)):
            part = dict(zip(COLUMNS, values, strict=True))
            parts[step, provider, model or NO_MODEL].append(Figures.model_construct(**part))
    return {key: some[0] if len(some) == 1 else _figures(some, []) for key, some in parts.items()}


def _exact_latencies(db: sqlite3.Connection, asked: Asked) -> Latencies:
    found = Latencies()
    rows = db.execute(_from_calls(EXACT_LATENCIES, asked), parameters(asked))
    for step, provider, model, ms in rows:
        found.at[step].append((ms, 1))
        found.of[provider, model or NO_MODEL].append((ms, 1))
    return found


def _rough_latencies(db: sqlite3.Connection, asked: Asked) -> Latencies:
    """From the histograms: off by 2.5 % at most."""
    at: dict[int, histograms.Histogram] = defaultdict(int)
    of: dict[tuple[str, str], histograms.Histogram] = defaultdict(int)
    rows = db.execute(from_rollups(LATENCIES, asked), parameters(asked))
    for step, provider, model, stored in rows:
        histogram = histograms.unpack(stored)
        at[step] += histogram
        of[provider, model or NO_MODEL] += histogram
    found = Latencies()
    found.at.update({step: _samples(histogram) for step, histogram in at.items()})
    found.of.update({model: _samples(histogram) for model, histogram in of.items()})
    return found


def _samples(histogram: histograms.Histogram) -> Samples:
    return [(histograms.latency_of(b), count) for b, count in histograms.counts(histogram)]


# ------------------------------------------------------------------ adding up


def quantile(samples: Samples, share: float) -> float | None:
    """The smallest value that at least *share* of the calls do not exceed (nearest rank)."""
    total = sum(count for _, count in samples)
    seen = 0
    for value, count in sorted(samples):
        seen += count
        if seen >= share * total:
            return value
    return None


COLUMNS = (
    "calls", "running", "failed", "unpriced", "cost_nano_usd", "tokens_in", "cache_read_tokens",
    "tokens_out",
)  # fmt: skip


def _figures(parts: Iterable[Figures], samples: Samples) -> Figures:
    return Figures(**_summed(list(parts), samples))


def _summed(parts: list[Figures], samples: Samples) -> JsonObject:
    """The fields of `Figures` over *parts*; what no part knows is not known."""
    added: JsonObject = {}
    for column in COLUMNS:
        known = [value for part in parts if (value := getattr(part, column)) is not None]
        # Nothing was called: nothing was spent, and that is known.
        added[column] = sum(known) if known or not parts else None
    samples = sorted(samples)
    return added | {"p50_ms": quantile(samples, 0.5), "p95_ms": quantile(samples, 0.95)}


def _by_place[Part](parts: Mapping[Key, Part]) -> dict[int, list[Part]]:
    found: dict[int, list[Part]] = defaultdict(list)
    for (place, _, _), part in parts.items():
        found[place].append(part)
    return found


def _models(sums: Mapping[Key, Figures], times: Latencies) -> tuple[ModelFigures, ...]:
    parts: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    for (_, provider, model), part in sums.items():
        parts[provider, model].append(part)
    found = [
        ModelFigures(provider=provider, model=model, **_summed(some, times.of[provider, model]))
        for (provider, model), some in parts.items()
    ]
    return tuple(sorted(found, key=lambda one: (-(one.cost_nano_usd or 0), -one.calls, one.model)))


def _named(models: Iterable[ModelFigures]) -> tuple[str, ...]:
    """The models that get a colour of their own, most expensive first."""
    spenders = dict.fromkeys(one.model for one in models if one.cost_nano_usd)
    names = list(spenders)
    # One more model is shown rather than hidden behind "other".
    return tuple(names if len(names) <= NAMED_MODELS + 1 else [*names[:NAMED_MODELS], OTHER])


def _spent(
    sums: Mapping[Key, Figures], named: tuple[str, ...], places: Mapping[int, str]
) -> tuple[Spent, ...]:
    bars: dict[tuple[int, str], int] = defaultdict(int)
    for (place, _, model), part in sums.items():
        if part.cost_nano_usd:
            bars[place, model if model in named else OTHER] += part.cost_nano_usd
    order = {name: rank for rank, name in enumerate(named)}
    return tuple(
        Spent(at=places[place], model=model, cost_usd=nano / figures.NANO)
        for (place, model), nano in sorted(
            bars.items(), key=lambda bar: (bar[0][0], order[bar[0][1]])
        )
    )


def _places(asked: Asked) -> range:
    """The hours or days asked for, with calls or without."""
    size = HOUR_US if asked.step == "hour" else DAY_US
    return range(asked.since_us // size, asked.until_us // size)


def _label(place: int, step: Literal["hour", "day"]) -> str:
    if step == "day":
        return figures.date_of(place)
    day, hour = divmod(place, 24)
    return f"{figures.date_of(day)}T{hour:02d}:00Z"
