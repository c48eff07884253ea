"""Bodies larger than memory: back-pressure both ways, and what is kept of them."""

import asyncio
import socket

import psutil
import pytest

from agenttrace_mitm.frames import ResponseTail
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post

MB = 1 << 20
PIECE = b"x" * (MB // 4)
PIECES = 256  # 64 MB
ON_THE_WAY = 32 * MB
"""What sockets, TLS and one turn of the proxy may hold, generously."""

SOCKET_BYTES = MB // 4
"""What a socket of ours may hold that does not read: by itself Linux lets it grow to 32 MB."""

GROWTH = 96 * MB
"""Of a proxy through which 64 MB go: the copy of 16 MiB, its way to the recorder, slack."""


def keeps_little(one) -> None:
    """Bound what has come to a socket and was not read; a server's, for those that it accepts."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)


async def stalled(count) -> int:
    """What *count* says once it has not changed for a while."""
    before = -1
    while before != (now := count()):
        before = now
        await asyncio.sleep(0.5)
    return now


async def test_a_fast_upstream_waits_for_a_slow_client(tmp_path):
    """What the client does not read is not read from the upstream either."""
    sent = 0

    async def fast(exchange):
        nonlocal sent
        await exchange.read_body()
        size = b"Content-Length: %d\r\n" % (PIECES * len(PIECE))
        await exchange.write(b"HTTP/1.1 200 OK\r\n" + size + b"\r\n")
        for _ in range(PIECES):
            await exchange.write(PIECE)
            sent += len(PIECE)

    async with Upstream(tmp_path, fast) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        keeps_little(writer.get_extra_info("socket"))
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        assert await stalled(lambda: sent) < ON_THE_WAY
        for _ in range(PIECES):
            assert await reader.readexactly(len(PIECE)) == PIECE
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.ended.size) == ("complete", PIECES * len(PIECE))
        await closed(writer)


async def test_a_fast_client_waits_for_a_slow_upstream(tmp_path):
    """An upload is not gathered here while the upstream does not take it."""
    go_on = asyncio.Event()

    async def slow(exchange):
        await go_on.wait()
        await exchange.read_body()
        await exchange.respond()

    sent = 0

    async def upload(writer):
        nonlocal sent
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()
            sent += len(PIECE)

    async with Upstream(tmp_path, slow) as upstream, Capture(upstream) as capture:
        for listening in upstream.sockets:
            keeps_little(listening)
        reader, writer = await capture.connect()
        size = b"Content-Length: %d" % (PIECES * len(PIECE))
        writer.write(post(b"").replace(b"Content-Length: 0", size))
        uploading = asyncio.create_task(upload(writer))
        assert await stalled(lambda: sent) < ON_THE_WAY
        go_on.set()
        assert (await answer(reader))[1] == b"ok"
        await uploading
        (seen,) = await capture.recorder.finished()
        assert seen.request_ended and seen.request_ended.size == PIECES * len(PIECE)
        assert len(upstream.requests[0].body) == PIECES * len(PIECE)
        await closed(writer)


@pytest.mark.parametrize("reads", [True, False], ids=["recorded", "recorder hangs"])
async def test_a_long_stream_takes_bounded_memory(tmp_path, reads):
    """64 MB of events pass; beginning and end are kept, whether or not anybody takes them."""
    event = b"data: " + b"y" * 1000 + b"\n\n"
    piece = b"".join([event] * 250)
    last = b'data: {"usage": {"prompt_tokens": 3}}\n\ndata: [DONE]\n\n'

    async def stream(exchange):
        await exchange.read_body()
        await exchange.start_chunked(headers=[("Content-Type", "text/event-stream")])
        for _ in range(PIECES):
            await exchange.chunk(piece)
        await exchange.chunk(last)
        await exchange.chunk(b"")

    async with Upstream(tmp_path, stream) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        process = psutil.Process(capture.process.pid)
        before = process.memory_info().rss
        if not reads:
            capture.recorder.reads.clear()
        for _ in range(2):
            writer.write(post())
            _, body = await answer(reader)
            assert len(body) == PIECES * len(piece) + len(last)
        assert process.memory_info().rss - before < GROWTH
        capture.recorder.reads.set()
        seen = await capture.recorder.finished(2)
        for one in seen:
            (tail,) = one.of(ResponseTail)
            assert tail.data.endswith(last)
            assert one.ended.dropped_bytes > 40 * MB
        await closed(writer)
