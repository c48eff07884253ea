"""A server that closes while connections come and go."""

import asyncio

from agenttrace_mitm.capture.closing import wake_once


async def test_who_waits_is_woken_and_a_second_time_is_quiet() -> None:
    """Closing wakes once; the connection that was just accepted finds nobody to wake."""
    wake_once()
    wake_once()
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    server.close()
    await asyncio.wait_for(server.wait_closed(), 10)
    server._wakeup()
