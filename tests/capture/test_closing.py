"""Sockets close: of a server while connections come and go, of a connection however it ends."""

import asyncio
from types import SimpleNamespace

import pytest
from mitmproxy.proxy.server import ConnectionHandler

from agenttrace_mitm.capture.closing import close_always, wake_once


async def test_who_waits_is_woken_and_a_second_time_is_quiet() -> None:
    """Closing wakes once; the connection that was just accepted finds nobody to wake."""
    wake_once()
    wake_once()
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    server.close()
    await asyncio.wait_for(server.wait_closed(), 10)
    server._wakeup()


async def test_a_connection_is_closed_though_its_task_is_cancelled_in_between(monkeypatch) -> None:
    """Garbage collection closed it before: at once, in a minute, or never."""
    whole = ConnectionHandler.handle_connection
    monkeypatch.setattr(ConnectionHandler, "handle_connection", whole)
    close_always()
    accepted: asyncio.Queue = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: accepted.put_nowait(ends), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    theirs = SimpleNamespace(**dict(zip(("reader", "writer"), await accepted.get(), strict=True)))

    async def cancelled(event) -> None:
        raise asyncio.CancelledError

    handler = SimpleNamespace(transports={"client": theirs}, server_event=cancelled)
    writer.write(b"something to hand over")
    with pytest.raises(asyncio.CancelledError):
        await ConnectionHandler.handle_connection(handler, "client")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert not handler.transports
    writer.close()
    server.close()
