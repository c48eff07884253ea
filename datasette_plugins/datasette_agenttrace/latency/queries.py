"""What the Latency page shows: how long models take, how fast they write, how providers fare.

Percentiles of whole calls are those of `sums`.  What no rollup holds (first content, tokens a
second) is that of the newest calls of the time; incidents are made of the newest refusals.
"""

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from pydantic import computed_field

from .. import sums
from ..asking import Asked, Choices, Value, choices, clauses
from ..sums import Figures, Samples, Step, percentiles, quantile
from .limits import Limit, limits

NEWEST_CALLS = 2_000
NEWEST_REFUSALS = 5_000
SHOWN_INCIDENTS = 30
NAMED = 6
QUIET_US = 15 * 60_000_000
NO_MODEL = "(no model)"
SHARES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}

Trouble = Literal["rate limited", "overloaded", "server error"]


class Model(Value):
    """A model of a provider: whole calls of the time, and the pace of the newest of them."""

    provider: str
    model: str
    calls: int
    failed: int
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    first_p50_ms: float | None = None
    first_p95_ms: float | None = None
    tokens_per_second: float | None = None
    """The median of answers: tokens written over the time from the first content to the end."""
    paced: int = 0
    """Of how many calls the pace is."""


class Course(Value):
    """The 95th percentile of a model by hour or day; None where it was not called."""

    model: str
    p95_ms: tuple[float | None, ...]


class Incident(Value):
    """Refusals of one kind by one provider with no more than a quarter of an hour between them."""

    provider: str
    trouble: Trouble
    first_us: int
    last_us: int
    calls: int
    models: tuple[str, ...]
    last_call_id: str

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def lasted_ms(self) -> float:
        """From the first to the last refusal."""
        return (self.last_us - self.first_us) / 1000


class Latency(Value):
    """The page."""

    asked: Asked
    step: Literal["hour", "day"]
    totals: Figures
    steps: tuple[Step, ...]
    models: tuple[Model, ...]
    courses: tuple[Course, ...]
    latency_is_exact: bool
    paced_all: bool
    incidents: tuple[Incident, ...]
    refused: dict[Trouble, tuple[int, ...]]
    """How many calls were refused, by hour or day."""
    refusals_are_all: bool
    limits: tuple[Limit, ...]
    choices: Choices
    anything_recorded: bool


def load(db: sqlite3.Connection, asked: Asked, now_us: int) -> Latency:
    """Everything the page shows."""
    found = sums.load(db, asked, ("provider", "model"))
    paces, paced_all = _paces(db, asked)
    refused = _refused(db, asked)
    models = _models(found, paces)
    known = choices(db)
    return Latency(
        asked=asked,
        step=asked.step,
        totals=found.all(),
        steps=found.steps(asked),
        models=models,
        courses=_courses(found, asked, models),
        latency_is_exact=found.exact,
        paced_all=paced_all,
        incidents=_newest_incidents(db, asked),
        refused=refused,
        refusals_are_all=sum(sum(counts) for counts in refused.values()) < NEWEST_REFUSALS,
        limits=_shared(limits(db, asked, known.provider, now_us), asked, models),
        choices=known,
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def _shared(told: tuple[Limit, ...], asked: Asked, models: Iterable[Model]) -> tuple[Limit, ...]:
    """The limits *told* that an agent shares: an account's, for the *models* that it called."""
    if not asked.agent:
        return told
    called = {(one.provider, one.model) for one in models}
    return tuple(one for one in told if (one.provider, one.model or NO_MODEL) in called)


# ------------------------------------------------------------------ models

type Names = tuple[str, ...]


class _Pace:
    """What the newest calls of a model say."""

    def __init__(self) -> None:
        self.first: Samples = []
        self.rates: Samples = []


_PACES = """
    select provider, coalesce(response_model, model, ''), ttft_ms, latency_ms, tokens_out
    from llm_calls
    where started_us >= :since and started_us < :until and kind in ('llm', 'auxiliary')
      and outcome = 'ok' {filters}
    order by started_us desc limit :most
"""


def _paces(db: sqlite3.Connection, asked: Asked) -> tuple[dict[Names, _Pace], bool]:
    found: dict[Names, _Pace] = defaultdict(_Pace)
    given = sums.parameters(asked) | {"most": NEWEST_CALLS}
    rows = db.execute(_PACES.format(filters=clauses(asked)), given).fetchall()
    for provider, model, first_ms, whole_ms, tokens in rows:
        pace = found[provider, model]
        if first_ms is not None:
            pace.first.append((first_ms, 1))
        writing_ms = (whole_ms or 0) - (first_ms or 0)
        if tokens and writing_ms > 0:
            pace.rates.append((1000 * tokens / writing_ms, 1))
    return found, len(rows) < NEWEST_CALLS


def _models(found: sums.Sums, paces: dict[Names, _Pace]) -> tuple[Model, ...]:
    times: dict[Names, list[sums.Times]] = defaultdict(list)
    for (_, names), took in found.times.items():
        times[names].append(took)
    models = []
    for names, said in found.by_name().items():
        pace = paces.get(names) or _Pace()
        whole = percentiles(times[names], *SHARES.values())
        models.append(
            Model(
                provider=names[0], model=names[1] or NO_MODEL, calls=said["calls"],
                failed=said["failed"],
                **dict(zip(SHARES, whole, strict=True)),
                first_p50_ms=quantile(pace.first, 0.5), first_p95_ms=quantile(pace.first, 0.95),
                tokens_per_second=quantile(pace.rates, 0.5), paced=len(pace.rates),
            )
        )  # fmt: skip
    return tuple(sorted(models, key=lambda one: (-one.calls, one.provider, one.model)))


def _courses(found: sums.Sums, asked: Asked, models: tuple[Model, ...]) -> tuple[Course, ...]:
    """The course of the models that are called most."""
    places = [place for place, _ in sums.places(asked)]
    courses = []
    for model in models[:NAMED]:
        names = model.provider, "" if model.model == NO_MODEL else model.model
        took = (found.times.get((place, names)) for place in places)
        p95 = tuple(None if one is None else percentiles([one], 0.95)[0] for one in took)
        courses.append(Course(model=model.model, p95_ms=p95))
    return tuple(courses)


# ------------------------------------------------------------------ refusals

type Refusal = tuple[int, str, str, Trouble, str]

_TROUBLE = """
    case when status_code = 429 then 'rate limited'
         when status_code in (529, 503) or error_type like '%overloaded%' then 'overloaded'
         else 'server error' end
"""
# `outcome in` in the words of the index, which holds all that is asked for.
_NEWEST = """
    from llm_calls indexed by llm_calls_refused
    where started_us >= :since and started_us < :until
      and outcome in ('error', 'interrupted') and outcome = 'error'
      and (status_code = 429 or status_code >= 500 or error_type like '%overloaded%')
      and kind in ('llm', 'auxiliary') {filters}
    order by started_us desc limit :most
"""
_REFUSALS = f"""
    select started_us, provider, coalesce(response_model, model, ''), {_TROUBLE}, id {_NEWEST}
"""
_REFUSED = f"""
    select trouble, place, count(*) from (
        select {{step}} as place, {_TROUBLE} as trouble {_NEWEST}
    ) group by trouble, place
"""


def _newest_incidents(db: sqlite3.Connection, asked: Asked) -> tuple[Incident, ...]:
    given = sums.parameters(asked) | {"most": NEWEST_REFUSALS}
    with contextlib.closing(db.execute(_REFUSALS.format(filters=clauses(asked)), given)) as rows:
        return _incidents(rows)


def _incidents(refusals: Iterable[Refusal]) -> tuple[Incident, ...]:
    """The newest, newest first; *refusals* too, of which no more are read than these have."""
    found: list[list[Refusal]] = []
    going_on: dict[tuple[str, str], list[Refusal]] = {}
    for one in refusals:
        key = one[1], one[3]
        if key not in going_on or going_on[key][-1][0] - one[0] > QUIET_US:
            going_on[key] = []
            if len(found) < SHOWN_INCIDENTS:
                found.append(going_on[key])
            elif min(some[-1][0] for some in found) - one[0] > QUIET_US:
                break
        going_on[key].append(one)
    return tuple(_incident(some) for some in found)


def _incident(some: list[Refusal]) -> Incident:
    last_us, provider, _, trouble, call_id = some[0]
    models = tuple(sorted({one[2] for one in some if one[2]}))
    return Incident(
        provider=provider, trouble=trouble, first_us=some[-1][0], last_us=last_us,
        calls=len(some), models=models, last_call_id=call_id,
    )  # fmt: skip


def _refused(db: sqlite3.Connection, asked: Asked) -> dict[Trouble, tuple[int, ...]]:
    """How many of the newest refusals were in each hour or day."""
    given = sums.parameters(asked) | {"most": NEWEST_REFUSALS}
    first, places = asked.since_us // sums.place_us(asked), len(sums.places(asked))
    sql = _REFUSED.format(step=asked.step, filters=clauses(asked))
    found: dict[Trouble, list[int]] = {}
    for trouble, place, calls in db.execute(sql, given):
        found.setdefault(trouble, [0] * places)[place - first] = calls
    return {trouble: tuple(counts) for trouble, counts in found.items()}
