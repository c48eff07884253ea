"""The Latency page: how long models take, how fast they write, and how providers fare."""

from typing import Any

from datasette.utils.asgi import Response

from agenttrace_mitm import clock

from .. import charts, figures
from ..asking import LABELS, Asked, arguments_of, asked_of, clauses
from ..dated import CALLS, dates
from ..page import PREFIX, NoAnswer, Page, as_json, query_address, reading, render, site_of, today
from ..site import Datasette
from .queries import Latency, Trouble, load

COLOURS: dict[Trouble, str] = {"rate limited": "c1", "overloaded": "c3", "server error": "bad"}
SQL = f"""\
select id, started_at, provider, coalesce(response_model, model) as model, agent_id,
       latency_ms, ttft_ms, tokens_out,
       tokens_out * 1000.0 * (1 / nullif(latency_ms - coalesce(ttft_ms, 0), 0)) as tokens_per_second
from llm_calls
where kind in ('llm', 'auxiliary') and outcome = 'ok'
  and {CALLS}{{conditions}}
order by started_us desc limit 1000"""
CHART = (
    "#g.mark=circle&g.x_column=started_at&g.x_type=temporal"
    "&g.y_column=latency_ms&g.y_type=quantitative&g.color_column=model"
)


async def view(datasette: Datasette, request: Any) -> Response:
    """The page."""
    site = site_of(datasette)
    asked = asked_of(arguments_of(request), today())
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "database": site.database,
        "data_address": "latency.json" + asked.address(),
        "sql_address": _sql_address(datasette, site.database, asked),
        "calls_at": datasette.urls.path(f"{PREFIX}/calls"),
    }
    try:
        found = await _load(datasette, asked)
    except NoAnswer as reason:
        context |= {"found": None, "problem": str(reason)}
        return await render(datasette, request, "agenttrace_latency.html", context, status=503)
    context |= {"found": found, "charts": _charts(found)}
    return await render(datasette, request, "agenttrace_latency.html", context)


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows, as JSON."""
    return await as_json(_load(datasette, asked_of(arguments_of(request), today())))


async def _load(datasette: Datasette, asked: Asked) -> Latency:
    return await reading(datasette, lambda db: load(db, asked, clock.now_us()))


def _sql_address(datasette: Datasette, database: str, asked: Asked) -> str:
    sql = SQL.format(conditions=clauses(asked).replace(" and ", "\n  and "))
    return query_address(datasette, database, sql, **dates(asked), **asked.filters) + CHART


def _charts(found: Latency) -> dict[str, charts.Chart]:
    labels = [step.at for step in found.steps]
    whole = [
        charts.Series("median", "c0", [step.p50_ms for step in found.steps]),
        charts.Series("95th percentile", "c1", [step.p95_ms for step in found.steps]),
    ]
    names = [course.model for course in found.courses]
    models = [
        charts.Series(course.model, colour, course.p95_ms)
        for course, colour in zip(
            found.courses, charts.colours(names, found.choices.model), strict=True
        )
    ]
    refused = [
        charts.Series(trouble, COLOURS[trouble], many) for trouble, many in found.refused.items()
    ]
    return {
        "whole": charts.lines(labels, whole, figures.duration),
        "models": charts.lines(labels, models, figures.duration),
        "refused": charts.stacked(labels, refused, figures.compact),
    }


PAGE = Page("latency", "Latency", view, data)
