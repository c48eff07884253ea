"""Who called, and in which session: from what the client said about itself, best source first.

Sessions: an explicit id, else the run it was started in, else the process behind the socket.
Agents: header or proxy user or run label, else the recognised client, else the process name,
else the User-Agent.
"""

import re
from dataclasses import dataclass

from ..model import Caller, Exchange, Links

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context of a request: 32 hex digits, and the parent's 16 (empty when unknown)."""

    trace_id: str = ""
    parent_span_id: str = ""


def trace_context(exchange: Exchange) -> TraceContext:
    """What `x-agenttrace-trace` (when it is a trace id) or `traceparent` says."""
    own = exchange.caller.trace.lower()
    if found := _TRACEPARENT.fullmatch(exchange.request_headers.get("traceparent").strip()):
        return TraceContext(own if _TRACE_ID.fullmatch(own) else found[1], found[2])
    return TraceContext(own if _TRACE_ID.fullmatch(own) else "")


def session_of(caller: Caller, links: Links) -> str | None:
    """The session id, or None when nothing tells."""
    if explicit := caller.session or links.session_id:
        return explicit
    if caller.run_id:
        return f"run-{caller.run_id}"
    return f"pid-{caller.pid}" if caller.pid is not None else None


def agent_of(caller: Caller, links: Links, client: str, user_agent: str) -> str | None:
    """The agent's name, or None when nothing tells."""
    product = user_agent.split(maxsplit=1)[0] if user_agent.strip() else ""
    return caller.agent or links.agent_id or client or caller.process or product or None
