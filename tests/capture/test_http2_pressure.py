"""HTTP/2: a fast peer waits for a slow one, and streams beside it do not."""

import asyncio

import h2.events

from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, closed

from .test_http2 import HEAD, connected
from .test_pressure import stalled

MB = 1 << 20
TOTAL = 24 * MB
ON_THE_WAY = 12 * MB
"""A window, what may wait, and what sockets hold, generously."""


async def pour(stream, h2_of, flush, total, sent):
    """Send *total* bytes on a stream as far as its window allows; *sent* adds them up."""
    while sent[0] < total:
        room = min(h2_of.local_flow_control_window(stream), 16384, total - sent[0])
        if room:
            h2_of.send_data(stream, b"x" * room, end_stream=sent[0] + room == total)
            sent[0] += room
            flush()
        await asyncio.sleep(0 if room else 0.005)


async def take_all(client, stream):
    """Read a stream to its end, and say so to the peer as it comes; the size of its body."""
    size, done = 0, 0
    while True:
        for event in client.events[done:]:
            if isinstance(event, h2.events.DataReceived):
                size += len(event.data)
                client.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                return size
        client.flush()
        done = len(client.events)
        async with asyncio.timeout(20):
            client.events += client.h2.receive_data(await client.reader.read(1 << 18))


async def test_a_fast_upstream_waits_for_a_slow_client(tmp_path):
    """The client's window is closed: the upstream is not read on; another stream still is."""
    sent = [0]

    async def fast(exchange):
        await exchange.ended.wait()
        if exchange.request.body == b"small":
            await exchange.respond(200, b"quick")
            return
        exchange.start(200)
        link = exchange._connection
        await pour(exchange._stream, link.h2, link.flush, TOTAL, sent)

    async with Upstream(tmp_path, fast, alpn=("h2",)) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        # The window of the connection stays open, that of a stream is 64 KiB.
        client.h2.increment_flow_control_window(1 << 30)
        stream = client.ask(b"large")
        await client.until(h2.events.DataReceived, stream)
        assert await stalled(lambda: sent[0]) < ON_THE_WAY
        other = client.ask(b"small")
        await client.until(h2.events.StreamEnded, other)
        assert client.body(other) == b"quick"
        assert await take_all(client, stream) == TOTAL + len(b"quick")
        seen = await capture.recorder.finished(2)
        assert {each.ended.size for each in seen} == {TOTAL, 5}
        await closed(client.writer)


async def test_a_fast_client_waits_for_a_slow_upstream(tmp_path):
    """The upstream takes nothing: an upload stops; when it takes it, all of it arrives."""

    async def slow(exchange):
        await exchange.respond(200, b"thanks")

    sent = [0]
    async with Upstream(tmp_path, slow, alpn=("h2",)) as upstream, Capture(upstream) as capture:
        upstream.takes.clear()
        client = await connected(capture)
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, HEAD)
        client.flush()
        uploading = asyncio.create_task(pour(stream, client.h2, client.flush, TOTAL, sent))
        ending = asyncio.create_task(client.until(h2.events.StreamEnded, stream))
        assert await stalled(lambda: sent[0]) < ON_THE_WAY
        upstream.takes.set()
        await uploading
        await ending
        assert client.body(stream) == b"thanks"
        (seen,) = await capture.recorder.finished()
        assert (seen.request_ended.size, seen.ended.ending) == (TOTAL, "complete")
        assert len(upstream.requests[0].body) == TOTAL
        await closed(client.writer)
