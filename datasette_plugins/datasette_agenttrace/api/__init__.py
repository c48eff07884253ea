"""The API: endpoints are data, each a method and a path with what it takes and answers.

The same tuple routes requests, judges what they bring and makes `openapi.json`, so that the
description cannot drift from what is served.
"""

from .. import live
from . import agents, alerts, events, export, health, recorded, stats
from .dispatch import routes
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

ROUTES = (
    *routes(ENDPOINTS),
    (r"^/api/openapi\.json$", document(ENDPOINTS)),
    (r"^/api$", viewer(ENDPOINTS)),
    (r"^/api/stream$", live.stream),  # server-sent events: `recorded`, each time something was
)

__all__ = ["ENDPOINTS", "ROUTES"]
