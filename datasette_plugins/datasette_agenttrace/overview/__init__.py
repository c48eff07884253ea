"""The Overview: the server's home, and the answer to "is all well, and what does it cost?"."""

from typing import Any

from datasette.utils.asgi import Response

from agenttrace_mitm import clock, health

from .. import figures
from ..asking import LABELS, Asked, arguments_of, asked_of
from ..costs import drawings, sql_addresses
from ..page import NoAnswer, Page, reading, render, site_of, today
from ..site import Datasette
from .queries import Overview, load

PRESET = "7d"


async def view(datasette: Datasette, request: Any) -> Response:
    """The page."""
    site = site_of(datasette)
    asked = _asked(request)
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, name, asked.address(range=name)) for name, label in LABELS.items()],
        "figures": figures,
        "database": site.database,
        "data_address": "agenttrace/overview.json" + asked.address(),
        "sql": sql_addresses(datasette, asked),
    }
    try:
        overview = await _load(datasette, asked)
    except NoAnswer as reason:
        context |= {"overview": None, "problem": str(reason)}
        return await render(datasette, request, "agenttrace_overview.html", context, status=503)
    context |= {"overview": overview, "drawn": drawings(overview.costs)["cost"]}
    return await render(datasette, request, "agenttrace_overview.html", context)


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows, as JSON."""
    try:
        overview = await _load(datasette, _asked(request))
    except NoAnswer as reason:
        return Response.json({"ok": False, "error": str(reason)}, status=503)
    return Response.json(overview.model_dump(mode="json"))


def _asked(request: Any) -> Asked:
    return asked_of(arguments_of(request), today(), PRESET)


async def _load(datasette: Datasette, asked: Asked) -> Overview:
    said = health.told(site_of(datasette).run_folder)
    return await reading(datasette, lambda db: load(db, asked, clock.now_us(), said))


PAGE = Page("overview", "Overview", view, data, home=True)
