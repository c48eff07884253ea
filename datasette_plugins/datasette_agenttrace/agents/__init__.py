"""The Agents page: how each agent fares and who calls whom; with an agent chosen, all about it."""

from typing import Any

from datasette.utils.asgi import Response

from agenttrace_mitm import clock

from .. import charts, figures
from ..asking import LABELS, Asked, arguments_of, asked_of, clauses
from ..costs import drawings
from ..dated import CALLS, DAYS, dates
from ..page import (
    PREFIX,
    NoAnswer,
    Page,
    as_json,
    from_path,
    in_path,
    one_of,
    query_address,
    reading,
    render,
    site_of,
    today,
)
from ..site import Datasette
from ..sum_cells import cells
from ..sums import ROLLED
from . import one, prompts, queries, version
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

VERSIONS_SQL = """\
select prompt_id, first_seen_us, agent_id, system_chars, tools_chars, n_tools,
       prompt_id = :prompt_id as is_this, system, tools
from prompts
where agent_id = (select agent_id from prompts where prompt_id = :prompt_id)
order by first_seen_us desc
"""


async def view(datasette: Datasette, request: Any) -> Response:
    """The list, or the agent that the address names."""
    site = site_of(datasette)
    asked = asked_of(arguments_of(request), today())
    template = "agenttrace_agent.html" if asked.agent else "agenttrace_agents.html"
    context: dict[str, Any] = {
        "asked": asked,
        # Of the agent, which is the page's title, no more.
        "words": asked.model_copy(update={"agent": ""}).words,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "cells": cells,
        "database": site.database,
        "data_address": "agents.json" + asked.address(),
        "sql_address": _sql_address(datasette, site.database, asked),
        "everybody": asked.address(agent=""),
        "calls_at": datasette.urls.path(f"{PREFIX}/calls"),
        "prompts_at": datasette.urls.path(f"{PREFIX}/agents/prompts"),
        "newest": prompts.NEWEST,
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


async def view_version(datasette: Datasette, request: Any) -> Response:
    """A version of an agent's prompt."""
    found = await _version(datasette, request)
    database = site_of(datasette).database
    context = {
        "found": found,
        "figures": figures,
        "row_address": datasette.urls.row(database, "prompts", in_path(found.prompt_id)),
        "sql_address": query_address(datasette, database, VERSIONS_SQL, prompt_id=found.prompt_id),
    }
    return await render(datasette, request, "agenttrace_prompt.html", context)


async def data_version(datasette: Datasette, request: Any) -> Response:
    """A version as JSON."""
    return await as_json(_version(datasette, request))


async def _version(datasette: Datasette, request: Any) -> version.OneVersion:
    prompt_id = from_path(request.url_vars["id"])
    return await one_of(datasette, lambda db: version.load(db, prompt_id), "prompt version")


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


VERSION = rf"{PREFIX}/agents/prompts/(?P<id>[^/]+?)"
PAGE = Page(
    "agents",
    "Agents",
    view,
    data,
    more=((rf"{VERSION}\.json", data_version), (VERSION, view_version)),
)
