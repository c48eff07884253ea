"""What passes through is untouched, and each exchange is told of exactly once."""

import asyncio
import base64
import hashlib
import struct

import pytest

from agenttrace_mitm.frames import Ended
from tests.support.fake_upstream import Exchange, Upstream
from tests.support.proxy import Capture, answer, closed, post

SECRET = "sk-test-12345678"


async def test_a_call_passes_and_is_told(tmp_path):
    """The server gets the client's bytes, the client the server's, the recorder a copy of both."""

    async def say(exchange):
        await exchange.read_body()
        await exchange.respond(200, b'{"answer": 42}', [("X-Request-Id", "r-1")])

    async with Upstream(tmp_path, say) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        sent = post(b'{"model":"m"}', X_Odd="Case  kept")
        writer.write(sent)
        head, body = await answer(reader)
        await closed(writer)
        (seen,) = await capture.recorder.finished()

        assert head == b"HTTP/1.1 200 .\r\nX-Request-Id: r-1\r\nContent-Length: 14\r\n\r\n"
        assert body == b'{"answer": 42}'
        assert upstream.requests[0].raw_head + upstream.requests[0].body == sent
        assert (seen.opened.provider, seen.opened.host) == ("openai", "api.openai.com")
        assert (seen.opened.method, seen.opened.target) == ("POST", "/v1/chat/completions")
        assert seen.opened.http_version == "HTTP/1.1"
        assert (seen.request, seen.response) == (b'{"model":"m"}', body)
        assert seen.request_ended and seen.request_ended.size == 13
        assert seen.responded and seen.responded.status == 200
        assert ("X-Request-Id", "r-1") in seen.responded.headers
        assert (seen.ended.ending, seen.ended.size, seen.ended.dropped_bytes) == ("complete", 14, 0)


async def test_credentials_stay_here(tmp_path):
    """They reach the server and not the recorder, which gets digests to know them by."""
    basic = base64.b64encode(b"someone:pass-word-1").decode()
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(
            post(
                path="/v1/models?key=AIza-1234567&alt=sse",
                x_api_key="key-1234567",
                cookie="sid=cookie-value; a=b",
                x_my_secret="hush-hush-hush",
                Idempotency_Key="not-a-secret",
            )
        )
        await answer(reader)
        writer.write(post(authorization=f"Basic {basic}"))
        await answer(reader)
        await closed(writer)
        first, second = await capture.recorder.finished(2)

        told = dict(first.opened.headers)
        assert told["Authorization"] == told["x-api-key"] == told["cookie"] == "REDACTED"
        assert told["x-my-secret"] == "REDACTED"
        assert told["Idempotency-Key"] == "not-a-secret"
        assert first.opened.target == "/v1/models?key=REDACTED&alt=sse"
        secrets = (SECRET, "key-1234567", "cookie-value", "hush-hush-hush", "AIza-1234567")
        expected = {(len(s), hashlib.sha256(s.encode()).hexdigest()) for s in secrets}
        assert {tuple(d) for d in first.opened.credential_digests} == expected
        password = (11, hashlib.sha256(b"pass-word-1").hexdigest())
        assert password in {tuple(d) for d in second.opened.credential_digests}
        assert upstream.requests[0].target == "/v1/models?key=AIza-1234567&alt=sse"
        assert upstream.requests[0].header("x-api-key") == "key-1234567"


async def test_what_is_meant_for_us_is_taken_out(tmp_path):
    """Our headers and the proxy login say who calls, and go no further."""
    user = base64.b64encode(b"planner+s-1:ignored").decode()
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect(user=user)
        writer.write(post())
        await answer(reader)
        writer.write(
            post(
                X_AgentTrace_Agent="coder",
                x_agenttrace_session="s-2",
                x_agenttrace_trace="t-1",
                x_agenttrace_tag_team="red",
                x_agenttrace_new="?",
            )
        )
        await answer(reader)
        await closed(writer)
        first, second = await capture.recorder.finished(2)

        assert first.opened.caller["agent"] == "planner"
        assert first.opened.caller["session"] == "s-1"
        assert first.opened.caller["address"] == "127.0.0.1"
        assert second.opened.caller["agent"] == "coder"
        assert second.opened.caller["session"] == "s-2"
        assert second.opened.caller["trace"] == "t-1"
        assert second.opened.tags == {"team": "red"}
        for request in upstream.requests:
            names = [name.lower() for name, _ in request.headers]
            assert not [n for n in names if n.startswith(("x-agenttrace", "proxy-"))]
        assert not [n for n, _ in second.opened.headers if n.lower().startswith("x-agenttrace")]


async def test_a_chunk_is_delivered_while_the_server_still_streams(tmp_path):
    """The server sends the second event only after the client has the first."""
    has_first = asyncio.Event()

    async def stream(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"data: one\n\n")
        await has_first.wait()
        await exchange.chunk(b"data: two\n\n")
        await exchange.chunk(b"")

    async with Upstream(tmp_path, stream) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            assert await reader.readuntil(b"data: one\n\n\r\n")
        # The recorder knows of it too, while the call is still going on.
        await capture.recorder.until(lambda r: any(s.response for s in r.exchanges.values()))
        assert not capture.recorder.done()
        has_first.set()
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"two\n\n\r\n0\r\n\r\n")
        (seen,) = await capture.recorder.finished()
        assert seen.response == b"data: one\n\ndata: two\n\n"
        assert seen.ended.ending == "complete"
        await closed(writer)


async def test_keep_alive(tmp_path):
    """Many calls on one connection are many exchanges on one upstream connection."""
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for number in range(5):
            writer.write(post(b"%d" % number))
            await answer(reader)
        await closed(writer)
        seen = await capture.recorder.finished(5)
        assert [one.request for one in seen] == [b"0", b"1", b"2", b"3", b"4"]
        assert {one.ended.ending for one in seen} == {"complete"}
        assert upstream.connections == 1


async def test_large_bodies_arrive_whole(tmp_path):
    """Both ways, chunked upload and download of known length."""
    blob = bytes(range(256)) * 12_000

    async def mirror(exchange):
        body = await exchange.read_body()
        await exchange.respond(200, body)

    async with Upstream(tmp_path, mirror) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: api.openai.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(blob), 100_000):
            piece = blob[start : start + 100_000]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        _, body = await answer(reader)
        await closed(writer)
        (seen,) = await capture.recorder.finished()
        assert body == upstream.requests[0].body == seen.request == seen.response == blob


async def test_the_client_leaves(tmp_path):
    """In the middle of a stream: the server notices, the record says who left."""
    left = asyncio.Event()

    async def endless(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"data: one\n\n")
        assert await exchange.reader.read() == b""
        left.set()
        exchange.close()

    async with Upstream(tmp_path, endless) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"one\n\n\r\n")
        writer.transport.abort()
        async with asyncio.timeout(10):
            await left.wait()
        (seen,) = await capture.recorder.finished()
        assert seen.ended.ending == "client_left"
        assert seen.response == b"data: one\n\n"


async def test_the_client_leaves_before_the_answer(tmp_path):
    """Then there is no response at all."""
    got = asyncio.Event()

    async def silent(exchange):
        await exchange.read_body()
        got.set()
        await exchange.reader.read()
        exchange.close()

    async with Upstream(tmp_path, silent) as upstream, Capture(upstream) as capture:
        _, writer = await capture.connect()
        writer.write(post())
        await got.wait()
        writer.transport.abort()
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.responded) == ("client_left", None)


async def test_the_client_leaves_in_the_middle_of_its_request(tmp_path):
    """What it sent is told; that it was not all is told too."""
    got = asyncio.Event()

    async def reading(exchange):
        await exchange.reader.readexactly(4)
        got.set()
        await exchange.reader.read()
        exchange.close()

    async with Upstream(tmp_path, reading) as upstream, Capture(upstream) as capture:
        _, writer = await capture.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 99\r\n\r\nhalf")
        await got.wait()
        writer.transport.abort()
        (seen,) = await capture.recorder.finished()
        assert seen.ended.ending == "client_left"
        assert (seen.request, seen.request_ended) == (b"half", None)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_the_upstream_leaves_in_the_middle(tmp_path, how):
    """The client sees the cut at the same byte, and the record says who left."""

    async def cut(exchange: Exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        await capture.recorder.until(lambda r: any(s.response for s in r.exchanges.values()))
        getattr(exchange, how)()

    async with Upstream(tmp_path, cut) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b"part"
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response, seen.ended.size) == ("upstream_left", b"part", 4)
        await closed(writer)


async def test_the_upstream_leaves_before_the_answer(tmp_path):
    """The client sees a connection that ends, not an answer that nobody gave."""

    async def gone(exchange):
        await exchange.read_body()
        exchange.close()

    async with Upstream(tmp_path, gone) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        assert await reader.read() == b""
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.responded) == ("upstream_left", None)
        await closed(writer)


async def test_a_dead_upstream(tmp_path):
    """Nobody listens there: CONNECT says so, as with any proxy."""
    async with Capture(upstream_map={"api.openai.com": "127.0.0.1:1"}) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"502"
        await closed(writer)


async def test_an_upstream_that_dies_between_two_calls(tmp_path):
    """The second call on the connection has no server any more, and is told as such."""

    async def once(exchange):
        await exchange.read_body()
        await exchange.respond()
        exchange.close()
        upstream._server.close()

    async with Upstream(tmp_path, once) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await answer(reader)
        await asyncio.sleep(0.1)
        writer.write(post())
        assert await reader.read() == b""
        _, second = await capture.recorder.finished(2)
        assert second.ended.ending == "upstream_left"
        await closed(writer)


async def test_an_early_answer(tmp_path):
    """413 before the request is complete: the answer arrives, and the exchange ends once."""

    async def too_large(exchange):
        await exchange.reader.readexactly(4)
        await exchange.respond(413, b"too large")
        await exchange.reader.read()
        exchange.close()

    async with Upstream(tmp_path, too_large) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: 99\r\n\r\nhalf")
        head, body = await answer(reader)
        assert (head[:12], body) == (b"HTTP/1.1 413", b"too large")
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.request_ended) == ("complete", None)
        # The rest of the upload comes late, and changes nothing.
        writer.write(b"x" * 95)
        await asyncio.sleep(0.1)
        await closed(writer)
        await asyncio.sleep(0.1)
        assert len(seen.of(Ended)) == 1


async def test_a_body_until_the_connection_ends(tmp_path):
    """HTTP/1.0 style: the end of the connection is the end of the answer."""

    async def old(exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        exchange.close()

    async with Upstream(tmp_path, old) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b"all of it"
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response) == ("complete", b"all of it")
        await closed(writer)


async def test_messages_without_bodies(tmp_path):
    """GET, HEAD, 204 and 304 have none, and end all the same."""

    async def bodiless(exchange):
        status = {"/204": 204, "/304": 304}.get(exchange.request.target, 200)
        length = "Content-Length: 7\r\n" if exchange.request.method == "HEAD" else ""
        length = "Content-Length: 0\r\n" if exchange.request.method == "GET" else length
        await exchange.write(f"HTTP/1.1 {status} .\r\n{length}\r\n".encode())

    async with Upstream(tmp_path, bodiless) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for line in (b"HEAD /", b"GET /204", b"GET /304", b"GET /empty"):
            writer.write(line + b" HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        await closed(writer)
        seen = await capture.recorder.finished(4)
        assert {(s.ended.ending, s.ended.size, s.response) for s in seen} == {("complete", 0, b"")}


async def test_a_websocket_passes(tmp_path):
    """Recorded as one exchange with status 101, over when the socket closes."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    accept = base64.b64encode(
        hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    ).decode()

    async def socket(exchange):
        assert exchange.request.header("sec-websocket-key") == key
        await exchange.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        head = await exchange.reader.readexactly(2 + 4 + 5)
        mask, masked = head[2:6], head[6:]
        text = bytes(b ^ mask[i % 4] for i, b in enumerate(masked))
        await exchange.write(b"\x81\x05" + text[::-1])
        await exchange.reader.readexactly(2 + 4 + 2)
        await exchange.write(b"\x88\x02" + struct.pack("!H", 1000))
        exchange.close()

    async with Upstream(tmp_path, socket) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(
            b"GET /v1/realtime HTTP/1.1\r\nHost: api.openai.com\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.write(b"\x81\x85\x00\x00\x00\x00hello")
        assert await reader.readexactly(7) == b"\x81\x05olleh"
        assert not capture.recorder.done()
        writer.write(b"\x88\x82\x00\x00\x00\x00" + struct.pack("!H", 1000))
        await reader.read()
        (seen,) = await capture.recorder.finished()
        assert seen.responded and seen.responded.status == 101
        assert seen.ended.ending == "complete"
        await closed(writer)
