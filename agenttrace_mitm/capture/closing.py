"""Sockets that have to close: one that listens, when a last connection comes in, and any other.

CPython wakes those who wait for the end of `asyncio.Server` when it closes without connections, and
again when one that was just accepted has gone: the second time it raises `TypeError`, into the log.

mitmproxy 12.2 closes a connection by cancelling the task that reads it.  Cancelled once more, or
while it hands over what it has read, that task ends before it has closed the socket, which then
stays open until Python happens to look for garbage.
"""

import contextlib
from asyncio import base_events
from typing import Any

from mitmproxy.proxy.server import ConnectionHandler


def wake_once() -> None:
    """Let the second time pass; there is nobody left to wake.  Applied once."""
    server: Any = base_events.Server
    wake = server._wakeup
    if getattr(wake, "_agenttrace_once", False):
        return

    def waking(self: Any) -> None:
        if self._waiters is not None:
            wake(self)

    waking._agenttrace_once = True  # type: ignore[attr-defined]
    server._wakeup = waking


def close_always() -> None:
    """Close the socket of a connection whose task ends, however it ends.  Applied once."""
    handler: Any = ConnectionHandler
    handle = handler.handle_connection
    if getattr(handle, "_agenttrace_closing", False):
        return

    async def closing(self: Any, connection: Any) -> None:
        try:
            await handle(self, connection)
        finally:
            left = self.transports.pop(connection, None)
            if left is not None and left.writer is not None:
                with contextlib.suppress(OSError):
                    left.writer.close()

    closing._agenttrace_closing = True  # type: ignore[attr-defined]
    handler.handle_connection = closing
