"""What the Costs page shows, from `llm_calls`: spend, tokens, calls, latency and errors over time.

Calls are the kinds `llm` and `auxiliary`; spend is what was metered or of unknown billing; days
are UTC.  A missing price stays missing: None, never 0.
"""

import datetime
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

from agenttrace_mitm.model.json import JsonObject

from .. import figures

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
PRESETS = {"today": 1, "7d": 7, "30d": 30, "90d": 90}
DEFAULT_RANGE = "30d"
LONGEST_DAYS = 732
EXACT_DAYS = 30
NAMED_MODELS = 7  # in the stacked chart; the others are one
OTHER = "other models"
NO_MODEL = "(no model)"
MOST_CHOICES = 200

type Samples = list[tuple[float, int]]


class Value(BaseModel):
    """A part of the answer: frozen, and ours, so strict."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(Value):
    """Which calls the page is about; days are numbers since the epoch, both included."""

    range: str
    first_day: int
    last_day: int
    provider: str = ""
    agent: str = ""
    note: str = ""

    @property
    def days(self) -> int:
        """How many days that is."""
        return self.last_day - self.first_day + 1

    @property
    def step(self) -> Literal["hour", "day"]:
        """One day is shown by the hour."""
        return "hour" if self.days == 1 else "day"

    @property
    def since_us(self) -> int:
        """The first microsecond."""
        return self.first_day * DAY_US

    @property
    def until_us(self) -> int:
        """The first microsecond after."""
        return (self.last_day + 1) * DAY_US

    @property
    def filtered(self) -> bool:
        """Whether it is not about everybody."""
        return bool(self.provider or self.agent)

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def first_date(self) -> str:
        """The first day as a date."""
        return figures.date_of(self.first_day)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def last_date(self) -> str:
        """The last day as a date."""
        return figures.date_of(self.last_day)


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
    providers: tuple[str, ...]
    agents: tuple[str, ...]
    anything_recorded: bool


def asked_of(arguments: Mapping[str, str], today: int) -> Asked:
    """What a query string asks for; what makes no sense is noted and left out."""
    provider, agent = arguments.get("provider", "").strip(), arguments.get("agent", "").strip()
    said = [arguments.get(name, "").strip() for name in ("from", "to")]
    preset = arguments.get("range", DEFAULT_RANGE)
    note = ""
    if any(said):
        try:
            given = sorted(_day_number(date) if date else today for date in said)
        except ValueError:
            note = "Dates are written like 2026-11-20."
        else:
            first, last = (min(day, today) for day in given)
            if last - first >= LONGEST_DAYS:
                first, note = last - LONGEST_DAYS + 1, f"Only the last {LONGEST_DAYS} days."
            return Asked(
                range="custom", first_day=first, last_day=last,
                provider=provider, agent=agent, note=note,
            )  # fmt: skip
    days = PRESETS.get(preset)
    if days is None:
        preset, days = DEFAULT_RANGE, PRESETS[DEFAULT_RANGE]
    return Asked(
        range=preset, first_day=today - days + 1, last_day=today,
        provider=provider, agent=agent, note=note,
    )  # fmt: skip


def load(db: sqlite3.Connection, asked: Asked) -> Costs:
    """Everything the page shows, in two passes over the calls of that time."""
    sums = _sums(db, asked)
    exact = asked.days <= EXACT_DAYS
    samples = _latencies(db, asked, exact=exact)
    models = _models(sums, samples)
    named = _named(models)
    places = {place: _label(place, asked.step) for place in _places(asked)}
    sums_at, samples_at = _by_place(sums), _by_place(samples)
    return Costs(
        asked=asked,
        step=asked.step,
        totals=Figures(**_summed(sums.values(), samples.values())),
        steps=tuple(
            Step(at=at, **_summed(sums_at[place], samples_at[place]))
            for place, at in places.items()
        ),
        models=models,
        named_models=named,
        spent=_spent(sums, named, places),
        latency_is_exact=exact,
        providers=_choices(db, "provider"),
        agents=_choices(db, "agent_id"),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


# ------------------------------------------------------------------ SQL

CALLS = """
    from llm_calls
    where started_us >= :since and started_us < :until
      and kind in ('llm', 'auxiliary')
"""

SUMS = """
    select {step} as step, provider, coalesce(response_model, model) as model,
           count(*) as calls,
           sum(outcome = 'in_flight') as running,
           sum(outcome in ('error', 'interrupted')) as failed,
           sum(cost_nano_usd is null and outcome not in ('error', 'in_flight')
               and duplicate_of is null) as unpriced,
           sum(case when billing = 'metered' or billing is null then cost_nano_usd end) as cost,
           sum(tokens_in) as tokens_in,
           sum(cache_read_tokens) as cache_read_tokens,
           sum(tokens_out) as tokens_out
    {calls}
    group by 1, 2, 3
"""

EXACT_LATENCIES = """
    select {step} as step, provider, coalesce(response_model, model) as model, latency_ms, 1
    {calls} and latency_ms is not null
"""

# Buckets 5 % wide, told by their middle: off by 2.5 % at most, and mergeable.
ROUGH_LATENCIES = """
    with calls as (
        select {step} as step, provider, coalesce(response_model, model) as model,
               cast(ln(max(latency_ms, 1)) / ln(1.05) as int) as bucket
        {calls} and latency_ms is not null
    )
    select step, provider, model, exp((bucket + 0.5) * ln(1.05)), count(*)
    from calls group by step, provider, model, bucket
"""

type Key = tuple[int, str, str]


def _statement(template: str, asked: Asked) -> str:
    # Clauses only where asked for, so that each filter can use its index.  Constants of ours.
    calls = CALLS
    if asked.provider:
        calls += " and provider = :provider"
    if asked.agent:
        calls += " and agent_id = :agent"
    return template.format(step=asked.step, calls=calls)


def _parameters(asked: Asked) -> dict[str, int | str]:
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        "provider": asked.provider,
        "agent": asked.agent,
    }


def _sums(db: sqlite3.Connection, asked: Asked) -> dict[Key, Figures]:
    rows = db.execute(_statement(SUMS, asked), _parameters(asked))
    return {
        (step, provider, model or NO_MODEL): Figures(
            calls=calls,
            running=running,
            failed=failed,
            unpriced=unpriced,
            cost_nano_usd=cost,
            tokens_in=tokens_in,
            cache_read_tokens=cached,
            tokens_out=tokens_out,
        )
        for (
            step, provider, model, calls, running, failed, unpriced, cost, tokens_in, cached,
            tokens_out,
        ) in rows
    }  # fmt: skip


def _latencies(db: sqlite3.Connection, asked: Asked, *, exact: bool) -> dict[Key, Samples]:
    template = EXACT_LATENCIES if exact else ROUGH_LATENCIES
    found: dict[Key, Samples] = defaultdict(list)
    for step, provider, model, ms, count in db.execute(
        _statement(template, asked), _parameters(asked)
    ):
        found[step, provider, model or NO_MODEL].append((ms, count))
    return found


def _choices(db: sqlite3.Connection, column: Literal["provider", "agent_id"]) -> tuple[str, ...]:
    """The values of *column*, each found by one step in its index however many calls there are."""
    rows = db.execute(
        f"""
        with recursive choice(value) as (
            select min({column}) from llm_calls
            union all
            select (select min({column}) from llm_calls where {column} > choice.value)
            from choice where choice.value is not null
        )
        select value from choice where value is not null limit {MOST_CHOICES}
        """  # the column is one of two words above
    )
    return tuple(value for (value,) in rows)


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


def _summed(parts: Iterable[Figures], latencies: Iterable[Samples]) -> JsonObject:
    """The fields of `Figures` over *parts*; what no part knows is not known."""
    parts = list(parts)
    columns = (
        "calls", "running", "failed", "unpriced",
        "cost_nano_usd", "tokens_in", "cache_read_tokens", "tokens_out",
    )  # fmt: skip
    added: JsonObject = {}
    for column in columns:
        known = [value for part in parts if (value := getattr(part, column)) is not None]
        # Nothing was called: nothing was spent, and that is known.
        added[column] = sum(known) if known or not parts else None
    samples = sorted(sample for some in latencies for sample in some)
    return added | {"p50_ms": quantile(samples, 0.5), "p95_ms": quantile(samples, 0.95)}


def _by_place[Part](parts: Mapping[Key, Part]) -> dict[int, list[Part]]:
    found: dict[int, list[Part]] = defaultdict(list)
    for (place, _, _), part in parts.items():
        found[place].append(part)
    return found


def _models(
    sums: Mapping[Key, Figures], samples: Mapping[Key, Samples]
) -> tuple[ModelFigures, ...]:
    parts: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    times: dict[tuple[str, str], list[Samples]] = defaultdict(list)
    for (_, *model), part in sums.items():
        parts[model[0], model[1]].append(part)
    for (_, *model), some in samples.items():
        times[model[0], model[1]].append(some)
    found = [
        ModelFigures(provider=provider, model=model, **_summed(some, times[provider, model]))
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


def _day_number(date: str) -> int:
    epoch = datetime.date(1970, 1, 1)
    return (datetime.date.fromisoformat(date) - epoch).days
