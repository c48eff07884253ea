"""The Calls page, and the page of one call.

Both load, then render; `calls.json` and `calls/ID.json` answer what was loaded.  Whole bodies and
messages are served as plain text that no browser runs.
"""

import sqlite3
from typing import Any
from urllib.parse import urlencode

from datasette.utils.asgi import NotFound, Response

from .. import figures
from ..asking import arguments_of
from ..lists import show_list
from ..page import PREFIX, Page, as_json, one_of, query_address, reading, render, site_of, today
from ..share import shared, sliced, tier_of
from ..site import Datasette
from . import changes, ids, media, one, queries
from .asked import OUTCOME_LABELS, calls_asked
from .curl import curl
from .program import program
from .timing import timing

ORDER_LABELS = {"": "Newest", "slowest": "Slowest", "dearest": "Dearest"}
ID = r"(?P<id>[^/.]{1,100})"
CHART = (
    "#g.mark=circle&g.x_column=started_at&g.x_type=temporal"
    "&g.y_column=cost_usd&g.y_type=quantitative&g.color_column=model"
)
ONE_SQL = """\
select id as call_id, started_at, provider, coalesce(response_model, model) as model, kind, outcome,
       status_code, error_type, finish_reason, attempt, latency_ms, ttft_ms, tokens_in,
       cache_read_tokens, cache_write_tokens, tokens_out, reasoning_tokens, cost_usd, cost_detail,
       unpriced_reason, price_source, billing, agent_id, session_id, trace_id, continues_call_id,
       tool_names, notes
from llm_calls
where id = :call_id
"""
PLAIN = {
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}


async def view(datasette: Datasette, request: Any) -> Response:
    """The list."""
    asked, database = calls_asked(arguments_of(request), today()), site_of(datasette).database
    sql, given = queries.as_sql(asked)
    table = queries.as_table(asked)
    return await show_list(
        datasette,
        request,
        "calls",
        asked,
        queries.load,
        outcomes=OUTCOME_LABELS,
        orders=ORDER_LABELS,
        looked_at=queries.looked_at(asked),
        newest_requests=f"{ids.NEWEST:,}",
        sql_address=query_address(datasette, database, sql, **given) + CHART,
        table_address=table and f"{datasette.urls.table(database, 'llm_calls')}?{urlencode(table)}",
    )


async def data(datasette: Datasette, request: Any) -> Response:
    """The list as JSON."""
    asked = calls_asked(arguments_of(request), today())
    return await as_json(reading(datasette, lambda db: queries.load(db, asked)))


async def view_one(datasette: Datasette, request: Any) -> Response:
    """A call."""
    found = await _one(datasette, request)
    call, database = found.call, site_of(datasette).database
    context = {
        "found": found,
        "call": call,
        "figures": figures,
        "outcomes": OUTCOME_LABELS,
        "params": one.params_of(call),
        "whole": "history" in request.args,
        "timing": timing(call, found.wire.arrivals if found.wire else ()),
        "curl": curl(call, found.wire) if found.wire else None,
        "program": program(call, found.wire) if found.wire else None,
        "table_row": datasette.urls.row(database, "llm_calls", call.id),
        "sql_address": query_address(datasette, database, ONE_SQL, call_id=call.id),
        "recent": one.RECENT,
    }
    return await render(datasette, request, "agenttrace_call.html", context)


async def data_one(datasette: Datasette, request: Any) -> Response:
    """A call as JSON."""
    return await as_json(_one(datasette, request))


async def view_changes(datasette: Datasette, request: Any) -> Response:
    """What a call asked for that the one before had not."""
    found, database = await _changes(datasette, request), site_of(datasette).database
    context = {
        "found": found,
        "other": _since(request),
        "figures": figures,
        "outcomes": OUTCOME_LABELS,
        "sql_address": query_address(datasette, database, changes.MESSAGES_SQL, **found.ids),
    }
    return await render(datasette, request, "agenttrace_changes.html", context)


async def data_changes(datasette: Datasette, request: Any) -> Response:
    """The same as JSON."""
    return await as_json(_changes(datasette, request))


async def share(datasette: Datasette, request: Any) -> Response:
    """A call as a file."""
    call_id, tier = request.url_vars["id"], tier_of(request)

    def load(db: sqlite3.Connection) -> tuple[one.OneCall, dict[str, str]] | None:
        found = one.load(db, call_id, whole=True, cap=tier)
        return (found, media.inline(db, one.media_of(found.turns))) if found else None

    found, pictures = await one_of(datasette, load, "call")
    context = {"found": found, "call": found.call, "tier": tier, "outcomes": OUTCOME_LABELS}
    context["pictures"] = pictures
    name = f"call-{call_id}"
    return await shared(datasette, request, "agenttrace_share_call.html", name, context)


async def slice_(datasette: Datasette, request: Any) -> Response:
    """A call as a database."""
    return await sliced(datasette, request, "call", request.url_vars["id"])


async def raw(datasette: Datasette, request: Any) -> Response:
    """A whole request or reply."""
    call_id, side = request.url_vars["id"], request.url_vars["side"]
    body = await reading(datasette, lambda db: one.raw_body(db, call_id, side))
    if body is None:
        raise NotFound("This call's tier keeps no bodies, or they have been let go")
    return _plain(body.decode("utf-8", "replace"))


async def message(datasette: Datasette, request: Any) -> Response:
    """A whole message."""
    call_id, number = request.url_vars["id"], int(request.url_vars["number"])
    text = await reading(datasette, lambda db: one.raw_message(db, call_id, number))
    if text is None:
        raise NotFound("This call's tier keeps no such message, or it has been let go")
    return _plain(text)


async def medium(datasette: Datasette, request: Any) -> Response:
    """The bytes of a picture, a sound or a file."""
    call_id, sha256 = request.url_vars["id"], request.url_vars["sha256"]
    found = await reading(datasette, lambda db: media.content(db, call_id, sha256))
    if found is None:
        raise NotFound("This call's tier keeps no such medium, or it has been let go")
    kind, headers = media.headers(found[0], sha256)
    return Response(found[1], headers=headers, content_type=kind)


async def _one(datasette: Datasette, request: Any) -> one.OneCall:
    call_id, whole = request.url_vars["id"], "history" in request.args

    def load(db: sqlite3.Connection) -> one.OneCall | None:
        return one.load(db, call_id, whole=whole)

    return await one_of(datasette, load, "call")


async def _changes(datasette: Datasette, request: Any) -> changes.Changes:
    call_id, other = request.url_vars["id"], _since(request)
    return await one_of(datasette, lambda db: changes.load(db, call_id, other), "call")


def _since(request: Any) -> str:
    """The call to compare with, where one is named."""
    return str(request.args.get("since", "")).strip()


def _plain(text: str) -> Response:
    return Response.text(text, headers=PLAIN)


PATH = f"{PREFIX}/calls/{ID}"
PAGE = Page(
    "calls",
    "Calls",
    view,
    data,
    more=(
        (rf"{PATH}", view_one),
        (rf"{PATH}\.json", data_one),
        (rf"{PATH}/changes", view_changes),
        (rf"{PATH}/changes\.json", data_changes),
        (rf"{PATH}/share", share),
        (rf"{PATH}/share\.db", slice_),
        (rf"{PATH}/(?P<side>request|response)", raw),
        (rf"{PATH}/messages/(?P<number>\d{{1,18}})", message),
        (rf"{PATH}/media/(?P<sha256>[0-9a-f]{{64}})", medium),
    ),
)
