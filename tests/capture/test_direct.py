"""Base-URL mode on the wire: requests to the proxy's own port, and what the provider sees."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os

import pytest

from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post


async def mirror(exchange):
    """Answer with the request, as it arrived."""
    body = await exchange.read_body()
    await exchange.respond(200, exchange.request.raw_head + body)


async def _said(capture, request, port=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", port or capture.port)
    writer.write(request)
    head, body = await answer(reader)
    await closed(writer)
    return head, body


@pytest.mark.parametrize("tls", [True, False], ids=["https", "mapped to http"])
async def test_a_call_arrives_as_if_it_was_sent_there(tmp_path, tls):
    """Host and path are the provider's, ours are gone, everything else is as it came."""
    async with Upstream(tmp_path, mirror, tls=tls) as upstream, Capture(upstream) as capture:
        sent = post(
            b'{"model": "x"}',
            "/mistral/v1/chat/completions?a=%2F",
            Host=f"127.0.0.1:{capture.port}",
            X_AgentTrace_Agent="writer",
            X_AgentTrace_Tag_Team="blue",
            x_Odd="1",
        )
        head, body = await _said(capture, sent)
        assert head.startswith(b"HTTP/1.1 200")
        [seen] = await capture.recorder.finished()
    assert body == (
        b"POST /v1/chat/completions?a=%2F HTTP/1.1\r\n"
        b"Host: api.mistral.ai\r\n"
        b"Authorization: Bearer sk-test-12345678\r\n"
        b"x-Odd: 1\r\n"
        b'Content-Length: 14\r\n\r\n{"model": "x"}'
    )
    assert (seen.opened.provider, seen.opened.host) == ("mistral", "api.mistral.ai")
    assert seen.opened.target == "/v1/chat/completions?a=%2F"
    assert seen.opened.caller["agent"] == "writer"
    assert seen.opened.tags == {"team": "blue"}
    assert (seen.request, seen.response) == (b'{"model": "x"}', body)
    assert "sk-test" not in repr(seen.opened)


async def test_other_methods(tmp_path):
    """Whatever it is; a connection may be used for several providers."""
    async with Upstream(tmp_path, mirror) as upstream, Capture(upstream) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        for method, path, host in (
            ("GET", "/v1/models", b"api.openai.com"),
            ("DELETE", "/v1beta/cachedContents/1", b"generativelanguage.googleapis.com"),
            ("OPTIONS", "/v1/messages", b"api.anthropic.com"),
        ):
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            _, body = await answer(reader)
            assert body.startswith(f"{method} {path} ".encode())
            assert b"Host: %s\r\n" % host in body
        await closed(writer)


async def test_streams_are_live(tmp_path):
    """The first event is there before the second one was made."""
    goes_on = asyncio.Event()

    async def stream(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"data: 1\n\n")
        await goes_on.wait()
        await exchange.chunk(b"data: 2\n\n")
        await exchange.chunk(b"")

    async with Upstream(tmp_path, stream) as upstream, Capture(upstream) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(post(Host="localhost"))
        await reader.readuntil(b"data: 1\n\n")
        goes_on.set()
        await reader.readuntil(b"data: 2\n\n")
        await closed(writer)
        [seen] = await capture.recorder.finished()
        assert seen.response == b"data: 1\n\ndata: 2\n\n"


async def test_websockets(tmp_path):
    """ws:// at our port is wss:// at the provider."""
    key = base64.b64encode(os.urandom(16)).decode()
    magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1((key + magic).encode()).digest()).decode()

    async def upgrade(exchange):
        await exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await exchange.write(b"\x81\x02hi\x88\x02\x03\xe8")
        await exchange.reader.read(100)
        exchange.close()

    async with Upstream(tmp_path, upgrade) as upstream, Capture(upstream) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(
            "GET /v1/realtime?model=x HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert await reader.readexactly(4) == b"\x81\x02hi"
        writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        # mitmproxy closes when one side has said goodbye; the other's may come to a closed socket.
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        await closed(writer)
        [seen] = await capture.recorder.finished()
        assert (seen.opened.provider, seen.responded.status) == ("openai", 101)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        post(b"x" * 100_000, "/chat/completions"),
        post(X_Target_URL="https://example.com/v1"),
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["path", "body", "open relay", "chunked"],
)
async def test_what_has_no_destination_is_told_why(tmp_path, request_):
    """421 with a sentence; nothing leaves, and the connection can be used again."""
    async with Upstream(tmp_path, mirror) as upstream, Capture(upstream) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(request_)
        head, body = await answer(reader)
        assert head.startswith(b"HTTP/1.1 421")
        assert "AgentTrace" in json.loads(body)["error"]["message"]
        assert not upstream.connections
        writer.write(post(Host="localhost"))
        assert (await answer(reader))[0].startswith(b"HTTP/1.1 200")
        await closed(writer)
        assert len(await capture.recorder.finished()) == 1


async def test_a_run_has_its_own_port_for_it(tmp_path):
    """What comes in there is that run's."""
    async with Upstream(tmp_path, mirror) as upstream, Capture(upstream) as capture:
        run = await capture.ask({"op": "open_run", "id": "r1", "agent": "writer"})
        await _said(capture, post(Host="localhost"), run["proxy_port"])
        [seen] = await capture.recorder.finished()
        assert (seen.opened.caller["run_id"], seen.opened.caller["agent"]) == ("r1", "writer")
