"""What the Costs page shows: spend, tokens, calls, latency and errors over time.

Spend is stacked by model, or by whatever else the address names; what calls and spend are is said
in `sums`.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from .. import figures, sums
from ..asking import Asked, Choices, Value, asked_of, choice_of, choices, with_notes
from ..sums import Cell, Figures, Part, Step
from . import stack
from .stack import NAMED, Stack

OTHER = "other models"
NO_MODEL = "(no model)"


class ModelFigures(Figures):
    """One model of one provider."""

    provider: str
    model: str


class Spent(Value):
    """A piece of a stacked bar."""

    at: str
    model: str
    cost_usd: float


class CostsAsked(Asked):
    """What to stack spend by, besides what every page is asked."""

    by: str = "model"

    def address(self, **changed: str) -> str:
        """The query string that asks for this, with some of it changed."""
        own = {} if self.by == "model" else {"by": self.by}
        return super().address(**(own | changed))

    def address_of_day(self, date: str, **changed: str) -> str:
        """The query string that asks for the same of one day, by its hours."""
        return self.address(**({"range": "", "from": date, "to": date} | changed))


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
    stack: Stack
    latency_is_exact: bool
    choices: Choices
    anything_recorded: bool


def costs_asked(arguments: Mapping[str, str], today: int) -> CostsAsked:
    """What a query string asks for."""
    asked = asked_of(arguments, today, own=("by",))
    common = asked.model_dump(exclude={"first_date", "last_date"})
    by, nothing = choice_of(arguments, "by", ("model", *stack.COLUMNS), "model")
    return CostsAsked(**with_notes(common, nothing), by=by)


def load(db: sqlite3.Connection, asked: Asked) -> Costs:
    """Everything the page shows."""
    found = sums.load(db, asked, ("provider", "model"))
    models = _models(found)
    named = _named(models)
    spent = _spent(found.parts, named, dict(sums.places(asked)))
    return Costs(
        asked=asked,
        step=asked.step,
        totals=found.all(),
        steps=found.steps(asked),
        models=models,
        named_models=named,
        spent=spent,
        stack=_stack(db, asked, found, named, spent),
        latency_is_exact=found.exact,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def _stack(
    db: sqlite3.Connection,
    asked: Asked,
    found: sums.Sums,
    named: tuple[str, ...],
    spent: tuple[Spent, ...],
) -> Stack:
    by = asked.by if isinstance(asked, CostsAsked) else "model"
    if by != "model":
        totals = {place: said["cost_nano_usd"] or 0 for place, said in found.by_place().items()}
        return stack.load(db, asked, by, totals)
    pieces = (stack.Piece(at=one.at, name=one.model, cost_usd=one.cost_usd) for one in spent)
    return Stack(by=by, names=named, pieces=tuple(pieces))


def _models(found: sums.Sums) -> tuple[ModelFigures, ...]:
    models = [
        ModelFigures(provider=provider, model=model or NO_MODEL, **said)
        for (provider, model), said in found.by_name().items()
    ]
    return tuple(sorted(models, key=lambda one: (-(one.cost_nano_usd or 0), -one.calls, one.model)))


def _named(models: Iterable[ModelFigures]) -> tuple[str, ...]:
    """The models that get a colour of their own, most expensive first."""
    spenders = dict.fromkeys(one.model for one in models if one.cost_nano_usd)
    names = list(spenders)
    # One more model is shown rather than hidden behind "other".
    return tuple(names if len(names) <= NAMED + 1 else [*names[:NAMED], OTHER])


def _spent(
    parts: Mapping[Cell, Part], named: tuple[str, ...], places: Mapping[int, str]
) -> tuple[Spent, ...]:
    bars: dict[tuple[int, str], int] = defaultdict(int)
    for (place, (_, said)), part in parts.items():
        if part.cost_nano_usd:
            model = said or NO_MODEL
            bars[place, model if model in named else OTHER] += part.cost_nano_usd
    order = {name: rank for rank, name in enumerate(named)}
    return tuple(
        Spent(at=places[place], model=model, cost_usd=nano / figures.NANO)
        for (place, model), nano in sorted(
            bars.items(), key=lambda bar: (bar[0][0], order[bar[0][1]])
        )
    )
