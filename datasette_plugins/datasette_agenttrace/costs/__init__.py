"""The Costs page."""

from typing import Any

from datasette.utils.asgi import Response

from ..page import Page, site_of
from ..site import Datasette


async def view(datasette: Datasette, request: Any) -> Response:
    """The page."""
    site_of(datasette)
    return Response.html("<h1>Costs</h1>")


async def data(datasette: Datasette, request: Any) -> Response:
    """What the page shows."""
    site_of(datasette)
    return Response.json({})


PAGE = Page("costs", "Costs", view, data)
