"""HTTP/2 on both sides: streams are exchanges, and each ends once."""

import asyncio

import h2.connection
import h2.events
import pytest

from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post

HEAD = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "api.anthropic.com"),
    (":path", "/v1/messages"),
    ("x-api-key", "sk-ant-12345678"),
]


class Client:
    """A raw HTTP/2 client on one connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection()
        self.h2.initiate_connection()
        self.flush()
        self.events = []

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    def ask(self, body=b"{}"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, HEAD)
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    async def until(self, kind, stream):
        """The first event of a kind on a stream."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and event.stream_id == stream:
                    return event
            async with asyncio.timeout(10):
                data = await self.reader.read(65536)
            assert data, "the connection ended"
            self.events += self.h2.receive_data(data)
            self.flush()

    def body(self, stream):
        data = [e for e in self.events if isinstance(e, h2.events.DataReceived)]
        return b"".join(e.data for e in data if e.stream_id == stream)


@pytest.fixture
def two(tmp_path):
    """Makes an upstream that speaks HTTP/2."""
    return lambda answer: Upstream(tmp_path, answer, alpn=("h2", "http/1.1"))


async def connected(capture):
    return Client(*await capture.connect("api.anthropic.com", alpn=("h2", "http/1.1")))


async def test_parallel_streams(two):
    """Twenty calls share a connection, and are told apart."""

    async def mirror(exchange):
        await exchange.ended.wait()
        await exchange.respond(200, exchange.request.body)

    async with two(mirror) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        bodies = [b"%d" % n for n in range(20)]
        streams = [client.ask(body) for body in bodies]
        for stream in streams:
            await client.until(h2.events.StreamEnded, stream)
        assert [client.body(stream) for stream in streams] == bodies
        seen = await capture.recorder.finished(20)
        assert {s.request for s in seen} == {s.response for s in seen} == set(bodies)
        assert {s.ended.ending for s in seen} == {"complete"}
        assert {s.opened.http_version for s in seen} == {"HTTP/2.0"}
        assert upstream.connections == 1
        await closed(client.writer)


async def test_streams_with_trailers(two):
    """As gRPC has them."""

    async def answer(exchange):
        await exchange.ended.wait()
        exchange.start(200, [("content-type", "application/grpc")])
        exchange.data(b"message")
        exchange.trailers([("grpc-status", "0")])

    async with two(answer) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        stream = client.ask()
        trailers = await client.until(h2.events.TrailersReceived, stream)
        assert (b"grpc-status", b"0") in [tuple(h) for h in trailers.headers]
        (seen,) = await capture.recorder.finished()
        assert seen.ended.trailers == [("grpc-status", "0")]
        assert seen.response == b"message"
        await closed(client.writer)


async def test_the_client_resets_a_stream(two):
    """The server is told, the connection stays, the record says who left."""

    async def endless(exchange):
        exchange.start(200)
        exchange.data(b"one")
        await exchange.reset_by_peer.wait()

    async with two(endless) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        stream = client.ask()
        await client.until(h2.events.DataReceived, stream)
        client.h2.reset_stream(stream, 8)
        client.flush()
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response) == ("client_left", b"one")
        again = client.ask()
        await client.until(h2.events.DataReceived, again)
        await closed(client.writer)
        _, last = await capture.recorder.finished(2)
        assert last.ended.ending == "client_left"


async def test_the_server_resets_a_stream(two):
    """The client is told, and the record says that it was the server."""

    async def broken(exchange):
        exchange.start(200)
        exchange.data(b"one")
        await capture.recorder.until(lambda r: any(s.response for s in r.exchanges.values()))
        exchange.reset(2)

    async with two(broken) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        stream = client.ask()
        await client.until(h2.events.StreamReset, stream)
        assert client.body(stream) == b"one"
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response) == ("upstream_left", b"one")
        await closed(client.writer)


async def test_the_server_resets_before_the_answer(two):
    """No answer is invented for it."""

    async def broken(exchange):
        await exchange.ended.wait()
        exchange.reset(2)

    async with two(broken) as upstream, Capture(upstream) as capture:
        client = await connected(capture)
        stream = client.ask()
        await client.until(h2.events.StreamReset, stream)
        assert not [e for e in client.events if isinstance(e, h2.events.ResponseReceived)]
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.responded) == ("upstream_left", None)
        await closed(client.writer)


async def test_a_client_of_http1_is_given_http1(tmp_path):
    """The server would speak HTTP/2; the client does not, so neither do we."""
    upstream = Upstream(tmp_path, alpn=("h2", "http/1.1"))
    async with upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)
