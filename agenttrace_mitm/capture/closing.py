"""A listening socket that closes while a last connection comes in.

CPython wakes those who wait for the end of `asyncio.Server` when it closes without connections, and
again when one that was just accepted has gone: the second time it raises `TypeError`, into the log.
"""

from asyncio import base_events
from typing import Any


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
