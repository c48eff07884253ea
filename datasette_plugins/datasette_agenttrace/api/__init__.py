"""The API: endpoints are data, each a method and a path with what it takes and answers.

The same tuple routes requests, judges what they bring and makes `openapi.json`, so that the
description cannot drift from what is served.
"""

from typing import Any

from .. import live
from ..site import Datasette
from . import agents, alerts, events, export, health, recorded, stats
from .dispatch import refused_to_read, routes
from .endpoint import Endpoint
from .openapi import document, viewer

ENDPOINTS: tuple[Endpoint, ...] = (
    *health.ENDPOINTS,
    *events.ENDPOINTS,
    *export.ENDPOINTS,
    *agents.ENDPOINTS,
    *stats.ENDPOINTS,
    *recorded.ENDPOINTS,
    *alerts.ENDPOINTS,
)


async def _stream(datasette: Datasette, request: Any, send: Any, receive: Any) -> Any:
    """Server-sent events: `recorded`, each time something was."""
    if refusal := refused_to_read(request):
        return refusal
    return await live.stream(datasette, send, receive)


ROUTES = (
    *routes(ENDPOINTS),
    (r"^/api/openapi\.json$", document(ENDPOINTS)),
    (r"^/api$", viewer(ENDPOINTS)),
    (r"^/api/stream$", _stream),
)

__all__ = ["ENDPOINTS", "ROUTES"]
