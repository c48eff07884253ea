"""Who called, and in which session: from what the client said about itself, best source first.

Sessions: an explicit id, else the run it was started in, else the process behind the socket, else
the address and User-Agent until they fall silent.
Agents: header or proxy user or run label, else the recognised program, else the name of the
script or process, else the library it calls with, else the User-Agent.
"""

import hashlib
import re
from collections import OrderedDict

import msgspec

from ..model import Caller, Exchange, Links

GAP_US = 30 * 60 * 1_000_000
REMEMBERED = 2_000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class TraceContext(msgspec.Struct, frozen=True):
    """W3C trace context of a request: 32 hex digits, and the parent's 16 (empty when unknown)."""

    trace_id: str = ""
    parent_span_id: str = ""


def trace_context(exchange: Exchange) -> TraceContext:
    """What `x-agenttrace-trace` (when it is a trace id) or `traceparent` says."""
    own = exchange.caller.trace.lower()
    if found := _TRACEPARENT.fullmatch(exchange.request_headers.get("traceparent").strip()):
        return TraceContext(own if _TRACE_ID.fullmatch(own) else found[1], found[2])
    return TraceContext(own if _TRACE_ID.fullmatch(own) else "")


class Identity(msgspec.Struct, frozen=True):
    """Who called, in which session, and how the session is known."""

    session_id: str = ""
    session_how: str = ""
    session_confidence: float = 1.0
    agent_id: str = ""
    agent_is_explicit: bool = False
    client: str = ""


class Identities:
    """Tells who called.  Remembers silent callers, to see when they came back after a while."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def of(
        self, exchange: Exchange, links: Links, client: str, *, is_library: bool = False
    ) -> Identity:
        """The identity of the caller; *is_library* says that *client* is no program."""
        caller = exchange.caller
        session, how, sure = self._session(exchange, links)
        user_agent = exchange.request_headers.get("user-agent")
        return Identity(
            session_id=session,
            session_how=how,
            session_confidence=sure,
            agent_id=agent_of(caller, links, client, user_agent, is_library=is_library) or "",
            agent_is_explicit=bool(caller.agent or links.agent_id),
            client=client,
        )

    def _session(self, exchange: Exchange, links: Links) -> tuple[str, str, float]:
        caller = exchange.caller
        if explicit := caller.session or links.session_id:
            return explicit, "client", 1.0
        if caller.run_id:
            return f"run-{caller.run_id}", "run", 1.0
        if caller.pid is not None:
            since = f"-{caller.started}" if caller.started else ""  # pids are used again
            return f"pid-{caller.pid}{since}", "process", 0.9
        if caller.address:
            return self._by_address(exchange), "address", 0.5
        return "", "", 0.0

    def _by_address(self, exchange: Exchange) -> str:
        """Address and User-Agent, until they were silent for half an hour."""
        host = exchange.caller.address.rpartition(":")[0] or exchange.caller.address
        key = f"{host}\n{exchange.request_headers.get('user-agent')}"
        session, last_us = self._seen.pop(key, ("", 0))
        if not session or exchange.started_us - last_us > GAP_US:
            digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=4).hexdigest()
            session = f"addr-{digest}-{exchange.started_us // 1_000_000}"
        self._seen[key] = session, max(last_us, exchange.ended_us)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return session


def agent_of(
    caller: Caller, links: Links, client: str, user_agent: str, *, is_library: bool = False
) -> str | None:
    """The agent's name, or None when nothing tells."""
    product = user_agent.split(maxsplit=1)[0] if user_agent.strip() else ""
    program = "" if is_library else client
    named = caller.agent or links.agent_id or program or caller.process
    return named or client or product or None
