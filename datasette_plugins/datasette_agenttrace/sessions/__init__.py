"""The Sessions page, and the replay of one session.

Both load, then render; `sessions.json` and `sessions/ID.json` answer what was loaded.
"""

import sqlite3
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import NotFound, Response

from .. import figures
from ..asking import LABELS, arguments_of
from ..page import PREFIX, Page, TooSlow, query_address, reading, render, site_of, today
from ..share import WHOLE_SHARED, shared, tier_of
from ..site import Datasette
from . import queries, replay
from .queries import Sessions, SessionsAsked, sessions_asked

ID = r"(?P<id>[^/]{1,300}?)"
LIST_SQL = """\
select s.session_id, s.started_us, coalesce(s.agent_id, s.client, s.process) as agent,
       (s.ended_us - s.started_us) * 0.001 as duration_ms, count(c.id) as calls,
       sum(c.outcome in ('error', 'interrupted')) as failed, sum(c.n_tool_calls) as tool_calls,
       sum(c.tokens_in) as tokens_in, sum(c.tokens_out) as tokens_out,
       sum(c.cost_nano_usd) as cost_nano_usd
from sessions s
left join llm_calls c on c.session_id = s.session_id and c.kind in ('llm', 'auxiliary')
where s.started_us >= :since_us and s.started_us < :until_us
group by s.session_id order by s.started_us desc limit 100
"""
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
    site = site_of(datasette)
    asked = sessions_asked(arguments_of(request), today())
    time = {"since_us": asked.since_us, "until_us": asked.until_us}
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "data_address": "sessions.json" + asked.address(),
        "sql_address": query_address(datasette, site.database, LIST_SQL, **time),
    }
    try:
        sessions = await _list(datasette, asked)
    except TooSlow as slow:
        context |= {"sessions": None, "problem": str(slow)}
        return await render(datasette, request, "agenttrace_sessions.html", context, status=503)
    older = asked.address(before=sessions.older) if sessions.older else None
    context |= {"sessions": sessions, "older": older}
    return await render(datasette, request, "agenttrace_sessions.html", context)


async def data(datasette: Datasette, request: Any) -> Response:
    """The list as JSON."""
    try:
        sessions = await _list(datasette, sessions_asked(arguments_of(request), today()))
    except TooSlow as slow:
        return Response.json({"ok": False, "error": str(slow)}, status=503)
    return Response.json(sessions.model_dump(mode="json"))


async def view_one(datasette: Datasette, request: Any) -> Response:
    """A session."""
    found = await _one(datasette, request)
    database = site_of(datasette).database
    context = {
        "found": found,
        "figures": figures,
        "sql_address": query_address(datasette, database, ONE_SQL, session_id=found.session_id),
    }
    return await render(datasette, request, "agenttrace_session.html", context)


async def data_one(datasette: Datasette, request: Any) -> Response:
    """A session as JSON."""
    found = await _one(datasette, request)
    return Response.json(found.model_dump(mode="json"))


async def share(datasette: Datasette, request: Any) -> Response:
    """A session as a file."""
    session_id, tier = unquote(request.url_vars["id"]), tier_of(request)
    found = await reading(
        datasette, lambda db: replay.load(db, session_id, cap=tier, most=WHOLE_SHARED)
    )
    if found is None:
        raise NotFound("There is no session with this id")
    context = {"found": found, "tier": tier}
    name = f"session-{session_id}"
    return await shared(datasette, request, "agenttrace_share_session.html", name, context)


async def _list(datasette: Datasette, asked: SessionsAsked) -> Sessions:
    return await reading(datasette, lambda db: queries.load(db, asked))


async def _one(datasette: Datasette, request: Any) -> replay.Replay:
    session_id, page = unquote(request.url_vars["id"]), arguments_of(request).get("page", "")

    def load(db: sqlite3.Connection) -> replay.Replay | None:
        number = int(page) if page.isdecimal() and len(page) < 7 else 1
        return replay.load(db, session_id, number)

    found = await reading(datasette, load)
    if found is None:
        raise NotFound("There is no session with this id")
    return found


PATH = f"{PREFIX}/sessions/{ID}"
PAGE = Page(
    "sessions",
    "Sessions",
    view,
    data,
    more=((rf"{PATH}\.json", data_one), (PATH, view_one), (f"{PATH}/share", share)),
)
