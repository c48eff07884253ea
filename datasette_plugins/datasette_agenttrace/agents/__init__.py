"""The Agents page: how each agent fares and who calls whom; with an agent chosen, all about it."""

from typing import Any

from datasette.utils.asgi import Response

from agenttrace_mitm import clock

from .. import charts, figures
from ..asking import LABELS, Asked, arguments_of, asked_of, clauses
from ..costs import drawings
from ..dated import CALLS, DAYS, dates
from ..page import PREFIX, NoAnswer, Page, as_json, query_address, reading, render, site_of, today
from ..site import Datasette
from ..sum_cells import cells
from ..sums import ROLLED
from . import one, queries
from .drawing import drawing
from .one import OneAgent
from .queries import Agents

SQL = f"""\
with found as (
    select agent_id, calls, failed, tokens_in, tokens_out,
           case when billing in ('metered', '') then cost_nano_usd end as cost_nano_usd
    from rollup_day
    where {DAYS}
      and kind in ('llm', 'auxiliary'){{rolled}}
    union all
    -- Rollups are of calls that have ended.
    select coalesce(agent_id, ''), 1, 0, null, null, null
    from llm_calls
    where outcome = 'in_flight' and kind in ('llm', 'auxiliary')
      and {CALLS}{{running}}
)
select agent_id, sum(calls) as calls, sum(failed) as failed,
       sum(cost_nano_usd) * 1e-9 as cost_usd, sum(tokens_in) as tokens_in,
       sum(tokens_out) as tokens_out
from found
group by agent_id
order by cost_usd desc, calls desc, agent_id"""


async def view(datasette: Datasette, request: Any) -> Response:
    """The list, or the agent that the address names."""
    site = site_of(datasette)
    asked = asked_of(arguments_of(request), today())
    template = "agenttrace_agent.html" if asked.agent else "agenttrace_agents.html"
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "cells": cells,
        "database": site.database,
        "data_address": "agents.json" + asked.address(),
        "sql_address": _sql_address(datasette, site.database, asked),
        "everybody": asked.address(agent=""),
        "calls_at": datasette.urls.path(f"{PREFIX}/calls"),
    }
    try:
        found = await _load(datasette, asked)
    except NoAnswer as reason:
        context |= {"found": None, "problem": str(reason)}
        return await render(datasette, request, template, context, status=503)
    context |= {"found": found, "graph": drawing(found.network)}
    if isinstance(found, OneAgent):
        context["charts"] = drawings(found.costs)
    else:
        context["sparks"] = [charts.spark(agent.trend, _calls) for agent in found.agents]
    return await render(datasette, request, template, context)


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows, as JSON."""
    return await as_json(_load(datasette, asked_of(arguments_of(request), today())))


async def _load(datasette: Datasette, asked: Asked) -> Agents | OneAgent:
    load = one.load if asked.agent else queries.load
    return await reading(datasette, lambda db: load(db, asked, clock.now_us()))


def _sql_address(datasette: Datasette, database: str, asked: Asked) -> str:
    sql = SQL.format(
        rolled="".join(f"\n      and {ROLLED[name]} = :{name}" for name in asked.filters),
        running=clauses(asked).replace(" and ", "\n      and "),
    )
    return query_address(datasette, database, sql, **dates(asked), **asked.filters)


def _calls(value: float) -> str:
    return f"{value:,.0f} call" + ("" if value == 1 else "s")


PAGE = Page("agents", "Agents", view, data)
