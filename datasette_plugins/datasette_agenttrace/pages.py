"""The pages there are.  A new one is a folder beside this file and a line here."""

from . import agents, alerts, calls, costs, latency, overview, sessions, traces
from .page import Page

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    costs.PAGE,
    sessions.PAGE,
    traces.PAGE,
    calls.PAGE,
    agents.PAGE,
    latency.PAGE,
    alerts.PAGE,
)
HOME = overview.PAGE
