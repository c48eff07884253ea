"""The Costs page: what was spent, on what, and how it went, over time.

The view loads, then renders; `costs.json` answers what was loaded.
"""

from collections.abc import Callable
from typing import Any

from datasette.utils.asgi import Response

from .. import charts, figures
from ..asking import LABELS, Asked, arguments_of, asked_of
from ..page import PREFIX, NoAnswer, Page, as_json, query_address, reading, render, site_of, today
from ..site import Datasette
from ..sum_cells import cells
from ..sums import Step
from . import as_sql, caches, savings, stack
from .queries import NO_MODEL, Costs, CostsAsked, costs_asked, load


async def view(datasette: Datasette, request: Any) -> Response:
    """The page."""
    site = site_of(datasette)
    asked = costs_asked(arguments_of(request), today())
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "wider": "?range=90d",
        "figures": figures,
        "cells": cells,
        "database": site.database,
        "links": _links(datasette, asked),
        "calls_at": datasette.urls.path(f"{PREFIX}/calls"),
        "no_model": NO_MODEL,
        "stacks": ("model", *stack.COLUMNS),
        "data_address": "costs.json" + asked.address(),
    }
    try:
        costs = await _load(datasette, asked)
    except NoAnswer as reason:
        context |= {"costs": None, "problem": str(reason)}
        return await render(datasette, request, "agenttrace_costs.html", context, status=503)
    context |= {"costs": costs, "charts": drawings(costs), "drawn": _drawn(costs)}
    return await render(datasette, request, "agenttrace_costs.html", context)


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows, as JSON."""
    return await as_json(_load(datasette, costs_asked(arguments_of(request), today())))


async def _load(datasette: Datasette, asked: Asked) -> Costs:
    return await reading(datasette, lambda db: load(db, asked))


def _links(datasette: Datasette, asked: CostsAsked) -> dict[str, Any]:
    """Where the figures lead: the rows behind them."""
    urls = datasette.urls
    calls = urls.path(f"{PREFIX}/calls")
    return {
        "calls": calls + asked.address(by=""),
        "savings": urls.path(f"{PREFIX}/costs/savings") + asked.address(by=""),
        "failed": calls + asked.address(by="", outcome="failed"),
        "slowest": _sql(datasette, as_sql.slowest(asked)),
        "unpriced": _sql(datasette, as_sql.unpriced(asked)),
        "sql": sql_addresses(datasette, asked, asked.by),
    }


def sql_addresses(datasette: Datasette, asked: Asked, *more: str) -> dict[str, str]:
    """The sums of Costs as SQL: by model, by day or hour, and by what else is named."""
    by = dict.fromkeys(("model", asked.step, *more))
    return {one: _sql(datasette, as_sql.costs(asked, one)) for one in by}


def _sql(datasette: Datasette, query: as_sql.Query) -> str:
    sql, given = query
    return query_address(datasette, site_of(datasette).database, sql, **given)


# ------------------------------------------------------------------ charts without JavaScript


def drawings(costs: Costs) -> dict[str, charts.Chart]:
    """The page's charts by name, to be drawn without JavaScript."""
    labels = [step.at for step in costs.steps]

    def series(name: str, colour: str, value: Callable[[Step], float | None]) -> charts.Series:
        return charts.Series(name, colour, [value(step) for step in costs.steps])

    return {
        "cost": charts.stacked(labels, _spending(costs), _dollars),
        "tokens": charts.stacked(
            labels,
            [
                series("in, from cache", "c4", lambda step: step.cache_read_tokens),
                series("in, fresh", "c0", _fresh),
                series("out", "c1", lambda step: step.tokens_out),
            ],
            figures.compact,
        ),
        "calls": charts.stacked(
            labels,
            [
                series("went well", "c0", lambda step: step.calls - step.failed),
                series("failed", "bad", lambda step: step.failed),
            ],
            figures.compact,
        ),
        "latency": charts.lines(
            labels,
            [
                series("median", "c0", lambda step: step.p50_ms),
                series("95th percentile", "c1", lambda step: step.p95_ms),
            ],
            figures.duration,
        ),
        "errors": charts.lines(
            labels, [series("failed", "bad", lambda step: step.error_rate)], _share
        ),
    }


def _spending(costs: Costs) -> list[charts.Series]:
    spent = {(one.at, one.name): one.cost_usd for one in costs.stack.pieces}
    return [
        charts.Series(
            costs.stack.label(name),
            colour,
            [spent.get((step.at, name)) for step in costs.steps],
        )
        for name, colour in zip(costs.stack.names, _colours(costs), strict=True)
    ]


def _colours(costs: Costs) -> list[str]:
    """Those of the stack's names, from the bottom."""
    names = [name for name in costs.stack.names if not _is_rest(costs, name)]
    found = charts.colours(names, getattr(costs.choices, costs.stack.by, ()))
    return found + ["other"] * (len(costs.stack.names) - len(names))


def _is_rest(costs: Costs, name: str) -> bool:
    return name == f"other {costs.stack.by}s"


def _fresh(step: Step) -> int | None:
    """Tokens read that no cache had; together with the cached ones they are all that was read."""
    if step.tokens_in is None:
        return None
    return max(step.tokens_in - (step.cache_read_tokens or 0), 0)


def _dollars(value: float) -> str:
    return figures.usd(round(value * figures.NANO))


def _share(value: float) -> str:
    return f"{100 * value:.3g}%"


def _drawn(costs: Costs) -> dict[str, Any]:
    """What the script draws from."""
    steps = [
        {
            "at": step.at,
            "cached": step.cache_read_tokens,
            "fresh": _fresh(step),
            "out": step.tokens_out,
            "well": step.calls - step.failed,
            "failed": step.failed,
            "p50": step.p50_ms,
            "p95": step.p95_ms,
            "rate": step.error_rate,
        }
        for step in costs.steps
    ]
    return {
        "step": costs.step,
        "steps": steps,
        "models": [costs.stack.label(name) for name in costs.stack.names],
        "colours": _colours(costs),
        "spent": [
            {"at": one.at, "model": costs.stack.label(one.name), "cost_usd": one.cost_usd}
            for one in costs.stack.pieces
        ],
    }


# ------------------------------------------------------------------ where spend could be less


async def view_savings(datasette: Datasette, request: Any) -> Response:
    """What caches saved and failed attempts cost, and what if."""
    urls = datasette.urls
    asked = savings.savings_asked(arguments_of(request), today())
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [
            (label, preset, asked.address(range=preset)) for preset, label in LABELS.items()
        ],
        "figures": figures,
        "costs_at": urls.path(f"{PREFIX}/costs"),
        "data_address": "savings.json" + asked.address(),
        "links": {
            "sql": _sql(datasette, as_sql.metered(asked)),
            "failed_attempts": _sql(datasette, as_sql.failed_attempts(asked)),
            "cut_short": _sql(datasette, as_sql.cut_short(asked)),
            "caches": urls.path(f"{PREFIX}/costs/caches") + asked.address(instead=""),
        },
    }
    try:
        found = await reading(datasette, lambda db: savings.load(db, asked))
    except NoAnswer as reason:
        context |= {"found": None, "problem": str(reason)}
        return await render(datasette, request, "agenttrace_savings.html", context, status=503)
    context |= {"found": found, "suggestions": savings.suggestions(found)}
    return await render(datasette, request, "agenttrace_savings.html", context)


async def data_savings(datasette: Datasette, request: Any) -> Response:
    """The same as JSON."""
    asked = savings.savings_asked(arguments_of(request), today())
    try:
        found = await reading(datasette, lambda db: savings.load(db, asked))
    except NoAnswer as reason:
        return Response.json({"ok": False, "error": str(reason)}, status=503)
    return Response.json(found.model_dump(mode="json"))


# ------------------------------------------------------------------ who broke a cache


async def view_caches(datasette: Datasette, request: Any) -> Response:
    """Calls that missed what was cached, and who changed it."""
    urls = datasette.urls
    asked = asked_of(arguments_of(request), today())
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "costs_at": urls.path(f"{PREFIX}/costs"),
        "calls_at": urls.path(f"{PREFIX}/calls"),
        "data_address": "caches.json" + asked.address(),
        "sql_address": _sql(datasette, as_sql.broken_caches(asked)),
    }
    try:
        found = await reading(datasette, lambda db: caches.load(db, asked))
    except NoAnswer as reason:
        context |= {"found": None, "problem": str(reason)}
        return await render(datasette, request, "agenttrace_caches.html", context, status=503)
    return await render(datasette, request, "agenttrace_caches.html", context | {"found": found})


async def data_caches(datasette: Datasette, request: Any) -> Response:
    """The same as JSON."""
    asked = asked_of(arguments_of(request), today())
    return await as_json(reading(datasette, lambda db: caches.load(db, asked)))


PAGE = Page(
    "costs",
    "Costs",
    view,
    data,
    more=(
        (rf"{PREFIX}/costs/savings", view_savings),
        (rf"{PREFIX}/costs/savings\.json", data_savings),
        (rf"{PREFIX}/costs/caches", view_caches),
        (rf"{PREFIX}/costs/caches\.json", data_caches),
    ),
)
