"""Where mitmproxy 12.2 keeps what a peer sends without bound, made to stop at one.

A head that does not end, a chunk's size line that does not end, requests sent ahead of their
turn: mitmproxy gathers them for as long as they come.  Here the connection is closed instead, as
when the peer had left; no provider takes what is beyond these bounds either.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mitmproxy import version
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1

from .faithful import SUPPORTED

HEAD_BYTES = 1024 * 1024
AHEAD_BYTES = 16 * 1024 * 1024
"""Requests that a client sends before the answer to the one before has come."""

type Handle = Callable[[Any, Any], Iterator[Any]]

_APPLIED = "_agenttrace_bounded"


def apply() -> None:
    """Bound what mitmproxy gathers; other versions than the known are left as they are."""
    if version.VERSION.startswith(SUPPORTED) and not getattr(_http1, _APPLIED, False):
        connection: Any = _http1.Http1Connection
        connection._handle_event = _closing_beyond(connection._handle_event)
        setattr(_http1, _APPLIED, True)


def _closing_beyond(handle: Handle) -> Handle:
    def patched(self: Any, event: Any) -> Iterator[Any]:
        if isinstance(event, events.DataReceived):
            return bounded(self, event)
        return handle(self, event)

    def bounded(self: Any, event: Any) -> Iterator[Any]:
        yield from handle(self, event)
        if len(self.buf) > _bound(self):
            self.buf = type(self.buf)()
            yield commands.CloseConnection(self.conn)
            yield from self.state(events.ConnectionClosed(self.conn))

    return patched


def _bound(connection: Any) -> int:
    return AHEAD_BYTES if connection.state == connection.wait else HEAD_BYTES
