"""The Traces page, and the page of one trace: what was asked, step by step over time.

Both load, then render; `traces.json` and `traces/ID.json` answer what was loaded.
"""

import sqlite3
from functools import partial
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import Response

from .. import figures
from ..asking import arguments_of
from ..lists import show_list
from ..page import PREFIX, Page, as_json, one_of, query_address, reading, render, site_of, today
from ..share import WHOLE_SHARED, shared, sliced, tier_of
from ..site import Datasette
from . import one, queries
from .queries import STATUS_LABELS, traces_asked

ID = r"(?P<id>[^/.]{1,100})"
ONE_SQL = """\
select id as call_id, started_at, agent_id, coalesce(response_model, model) as model, outcome,
       attempt, latency_ms, tokens_in, cache_read_tokens, tokens_out, cost_usd, tool_names
from llm_calls
where trace_id = :trace_id and kind in ('llm', 'auxiliary')
order by started_us
"""


async def view(datasette: Datasette, request: Any) -> Response:
    """The list."""
    asked = traces_asked(arguments_of(request), today())
    return await show_list(
        datasette,
        request,
        "traces",
        asked,
        queries.load,
        statuses=STATUS_LABELS,
        sql_address=partial(query_address, datasette, site_of(datasette).database),
    )


async def data(datasette: Datasette, request: Any) -> Response:
    """The list as JSON."""
    asked = traces_asked(arguments_of(request), today())
    return await as_json(reading(datasette, lambda db: queries.load(db, asked)))


async def view_one(datasette: Datasette, request: Any) -> Response:
    """A trace."""
    found = await _one(datasette, request)
    database = site_of(datasette).database
    context = {
        "found": found,
        "figures": figures,
        "page_spans": one.PAGE_SPANS,
        "sql_address": query_address(datasette, database, ONE_SQL, trace_id=found.trace_id),
    }
    return await render(datasette, request, "agenttrace_trace.html", context)


async def data_one(datasette: Datasette, request: Any) -> Response:
    """A trace as JSON."""
    return await as_json(_one(datasette, request))


async def share(datasette: Datasette, request: Any) -> Response:
    """A trace as a file."""
    trace_id, tier = unquote(request.url_vars["id"]), tier_of(request)
    found = await one_of(
        datasette, lambda db: one.load(db, trace_id, cap=tier, most=WHOLE_SHARED), "trace"
    )
    context = {"found": found, "tier": tier}
    name = f"trace-{trace_id}"
    return await shared(datasette, request, "agenttrace_share_trace.html", name, context)


async def slice_(datasette: Datasette, request: Any) -> Response:
    """A trace as a database."""
    return await sliced(datasette, request, "trace", unquote(request.url_vars["id"]))


async def _one(datasette: Datasette, request: Any) -> one.OneTrace:
    trace_id, given = unquote(request.url_vars["id"]), arguments_of(request)
    place = given.get("from", "")
    first = int(place) if place.isdecimal() and len(place) < 7 else given.get("step", "")

    def load(db: sqlite3.Connection) -> one.OneTrace | None:
        return one.load(db, trace_id, first)

    return await one_of(datasette, load, "trace")


PATH = f"{PREFIX}/traces/{ID}"
PAGE = Page(
    "traces",
    "Traces",
    view,
    data,
    more=(
        (PATH, view_one),
        (rf"{PATH}\.json", data_one),
        (f"{PATH}/share", share),
        (rf"{PATH}/share\.db", slice_),
    ),
)
