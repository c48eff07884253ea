"""The Sessions page, and the replay of one session.

Both load, then render; `sessions.json` and `sessions/ID.json` answer what was loaded.
"""

import sqlite3
from functools import partial
from typing import Any

from datasette.utils.asgi import Response

from .. import figures
from ..asking import arguments_of
from ..highlight import FILE_CHARS, Highlighter
from ..lists import show_list
from ..page import (
    PREFIX,
    Page,
    as_json,
    from_path,
    one_of,
    query_address,
    reading,
    render,
    site_of,
    today,
)
from ..share import WHOLE_SHARED, shared, sliced, tier_of
from ..site import Datasette
from . import queries, replay
from .queries import sessions_asked

ID = r"(?P<id>[^/]+?)"
ONE_SQL = """\
select id as call_id, started_at, trace_id, agent_id, kind,
       coalesce(response_model, model) as model, outcome, history, latency_ms, tokens_in,
       cache_read_tokens, tokens_out, cost_usd, tool_names
from llm_calls
where session_id = :session_id and kind in ('llm', 'auxiliary')
order by started_us
"""


async def view(datasette: Datasette, request: Any) -> Response:
    """The list."""
    asked = sessions_asked(arguments_of(request), today())
    return await show_list(
        datasette,
        request,
        "sessions",
        asked,
        queries.load,
        statuses=queries.STATUS_LABELS,
        orders={"": "Newest", "dearest": "Dearest"},
        sql_address=partial(query_address, datasette, site_of(datasette).database),
    )


async def data(datasette: Datasette, request: Any) -> Response:
    """The list as JSON."""
    asked = sessions_asked(arguments_of(request), today())
    return await as_json(reading(datasette, lambda db: queries.load(db, asked)))


async def view_one(datasette: Datasette, request: Any) -> Response:
    """A session."""
    found = await _one(datasette, request)
    database = site_of(datasette).database
    context = {
        "found": found,
        "figures": figures,
        "highlighted": Highlighter(),
        "sql_address": query_address(datasette, database, ONE_SQL, session_id=found.session_id),
    }
    return await render(datasette, request, "agenttrace_session.html", context)


async def data_one(datasette: Datasette, request: Any) -> Response:
    """A session as JSON."""
    return await as_json(_one(datasette, request))


async def share(datasette: Datasette, request: Any) -> Response:
    """A session as a file."""
    session_id, tier = from_path(request.url_vars["id"]), tier_of(request)
    found = await one_of(
        datasette, lambda db: replay.load(db, session_id, cap=tier, most=WHOLE_SHARED), "session"
    )
    context = {"found": found, "tier": tier, "highlighted": Highlighter(FILE_CHARS)}
    name = f"session-{session_id}"
    return await shared(datasette, request, "agenttrace_share_session.html", name, context)


async def slice_(datasette: Datasette, request: Any) -> Response:
    """A session as a database."""
    return await sliced(datasette, request, "session", from_path(request.url_vars["id"]))


async def _one(datasette: Datasette, request: Any) -> replay.Replay:
    session_id, page = from_path(request.url_vars["id"]), arguments_of(request).get("page", "")

    def load(db: sqlite3.Connection) -> replay.Replay | None:
        number = int(page) if page.isdecimal() and len(page) < 7 else 1
        return replay.load(db, session_id, number)

    return await one_of(datasette, load, "session")


PATH = f"{PREFIX}/sessions/{ID}"
PAGE = Page(
    "sessions",
    "Sessions",
    view,
    data,
    more=(
        (rf"{PATH}\.json", data_one),
        (PATH, view_one),
        (f"{PATH}/share", share),
        (rf"{PATH}/share\.db", slice_),
    ),
)
