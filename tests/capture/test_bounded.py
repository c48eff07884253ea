"""What a peer sends without end is not gathered without end."""

import asyncio
import contextlib

import psutil
import pytest

from agenttrace_mitm.capture.bounded import AHEAD_BYTES, HEAD_BYTES
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post

PIECE = b"y" * 65_536
STARTS = {
    "a head": b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\nX: ",
    "a chunk's size": post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"5;",
}


async def _push(writer, most):
    """Send pieces until the other side has had enough; how much that was."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            writer.write(PIECE)
            await writer.drain()
            sent += len(PIECE)
            await asyncio.sleep(0)
    return sent


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("tunnelled", [True, False])
async def test_a_client_that_never_ends(tmp_path, start, tunnelled):
    """Its connection is closed; memory stays, and others go on."""

    async def patient(exchange):
        with contextlib.suppress(ValueError, EOFError, OSError):
            await exchange.read_body()
            await exchange.respond()

    # A connection that goes while its upstream is dialled is told in the log.
    may = {"may_complain": not tunnelled}
    async with Upstream(tmp_path, patient) as upstream, Capture(upstream, **may) as capture:
        process = psutil.Process(capture.process.pid)
        reader, writer = await capture.connect()
        writer.write(post())
        await answer(reader)
        before = process.memory_info().rss
        if tunnelled:
            _, endless = await capture.connect()
        else:
            _, endless = await asyncio.open_connection("127.0.0.1", capture.port)
        endless.write(start)
        assert await _push(endless, 64 << 20) < 64 << 20
        await closed(endless)
        assert process.memory_info().rss - before < 32 << 20
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)


async def test_large_heads_pass(tmp_path):
    """Well below the bound nothing changes."""
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post(X_Long="z" * (HEAD_BYTES // 2)))
        # The fake upstream reads heads of 64 KB; that it got a long one is all that matters here.
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await answer(reader)
        await closed(writer)
        (seen,) = await capture.recorder.finished()
        assert any(len(value) == HEAD_BYTES // 2 for _, value in seen.opened.headers)


async def test_an_upstream_whose_head_never_ends(tmp_path):
    """As if it had left before the answer."""

    async def endless(exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 200 OK\r\nX: ")
        with contextlib.suppress(OSError):
            await _push(exchange.writer, 64 << 20)
        exchange.close()

    async with Upstream(tmp_path, endless) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        assert await reader.read() == b""
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.responded) == ("upstream_left", None)
        await closed(writer)


async def test_requests_ahead_of_their_turn(tmp_path):
    """Some wait for theirs; more than that end the connection."""
    go_on = asyncio.Event()

    async def slow(exchange):
        await exchange.read_body()
        await go_on.wait()
        with contextlib.suppress(OSError):
            await exchange.respond()

    async with Upstream(tmp_path, slow) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post(b"first") + post(b"second" * 100_000))
        go_on.set()
        assert (await answer(reader))[1] == b"ok"
        assert (await answer(reader))[1] == b"ok"
        go_on.clear()
        writer.write(post(b"third"))
        assert await _push(writer, 4 * AHEAD_BYTES) < 4 * AHEAD_BYTES
        go_on.set()
        await closed(writer)
