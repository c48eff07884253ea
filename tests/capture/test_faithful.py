"""Where mitmproxy alone would change the wire."""

import asyncio

import pytest
from mitmproxy import version

from agenttrace_mitm.capture import authority, faithful
from agenttrace_mitm.capture.addon import AgentTrace
from agenttrace_mitm.capture.gate import Gate
from agenttrace_mitm.capture.handover import Handover
from agenttrace_mitm.capture.master import SILENCE_S, CaptureMaster
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post


async def test_trailers_of_an_answer_pass(tmp_path):
    """Byte for byte, and into the record."""

    async def trailing(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.write(b"5\r\nhello\r\n0\r\nX-Sum: abc\r\nx-more: 1\r\n\r\n")

    async with Upstream(tmp_path, trailing) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for _ in range(2):  # the connection is still good afterwards
            writer.write(post())
            await reader.readuntil(b"\r\n\r\n")
            got = await reader.readuntil(b"\r\n\r\n")
            assert got == b"5\r\nhello\r\n0\r\nX-Sum: abc\r\nx-more: 1\r\n\r\n"
        await closed(writer)
        seen = await capture.recorder.finished(2)
        assert seen[0].ended.trailers == [("X-Sum", "abc"), ("x-more", "1")]
        assert (seen[0].response, seen[0].ended.ending) == (b"hello", "complete")


async def test_trailers_of_a_request_pass(tmp_path):
    """The other way round."""
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: api.openai.com\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Sum: abc\r\n\r\n"
        )
        _, body = await answer(reader)
        assert body == b"ok"
        assert upstream.requests[0].body == b"hi"
        assert upstream.requests[0].raw_head.endswith(b"\r\n\r\nX-Sum: abc\r\n")
        await closed(writer)


@pytest.mark.parametrize("pieces", [1, 7], ids=["whole", "cut"])
async def test_interim_responses_pass(tmp_path, pieces):
    """103 and 102 reach the client as they came, and are not taken for the answer."""
    interim = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )

    async def hinting(exchange):
        await exchange.read_body()
        step = len(interim) // pieces + 1
        for start in range(0, len(interim), step):
            await exchange.write(interim[start : start + step])

    async with Upstream(tmp_path, hinting) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for _ in range(2):
            writer.write(post())
            assert await reader.readexactly(len(interim)) == interim
        await closed(writer)
        seen = await capture.recorder.finished(2)
        assert [s.responded.status for s in seen if s.responded] == [200, 200]


ASKS = post(b"{}", Expect="100-continue", X_After="1")
HEAD_OF_IT = ASKS.removesuffix(b"{}")


async def test_the_provider_is_asked_whether_to_go_on(tmp_path):
    """The client's `Expect` reaches it, and nobody else answers that."""
    heads, go_on = [], asyncio.Event()

    async def asked(exchange):
        heads.append(exchange.request.raw_head)
        await go_on.wait()
        await exchange.write(b"HTTP/1.1 100 Continue\r\nX-Ours: no\r\n\r\n")
        assert await exchange.read_body() == b"{}"
        await exchange.respond()

    async with Upstream(tmp_path, asked) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for _ in range(2):
            go_on.clear()
            writer.write(HEAD_OF_IT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1)
            go_on.set()
            interim = await reader.readuntil(b"\r\n\r\n")
            assert interim == b"HTTP/1.1 100 Continue\r\nX-Ours: no\r\n\r\n"
            writer.write(b"{}")
            assert (await answer(reader))[1] == b"ok"
        await closed(writer)
        seen = await capture.recorder.finished(2)
        assert [one.request for one in seen] == [b"{}", b"{}"]
        assert [one.responded.status for one in seen] == [200, 200]
    assert b"Expect: 100-continue\r\nX-After: 1" in heads[0]


async def test_a_provider_may_refuse_before_it_got_the_body(tmp_path):
    """The client sees that, and sends nothing."""

    async def refuses(exchange):
        await exchange.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")

    async with Upstream(tmp_path, refuses) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(HEAD_OF_IT)
        head, body = await answer(reader)
        assert (head[:12], body) == (b"HTTP/1.1 417", b"no")
        await closed(writer)
        (seen,) = await capture.recorder.finished()
        assert (seen.responded.status, seen.request) == (417, b"")


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2"),
        ("X-Odd : 1\r\nContent-Length: 2", "X-Odd: 1\r\nContent-Length: 2"),
        ("Content-Length: 9\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
async def test_heads_that_clients_take_pass(tmp_path, said, passed):
    """As RFC 9112 tells proxies to pass them on, and the connection is still good afterwards."""
    body = "2\r\nok\r\n0\r\n\r\n" if "chunked" in said else "ok"

    async def odd(exchange):
        await exchange.read_body()
        await exchange.write(f"HTTP/1.1 200 OK\r\n{said}\r\n\r\n{body}".encode())

    async with Upstream(tmp_path, odd) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        expected = f"HTTP/1.1 200 OK\r\n{passed}\r\n\r\n{body}".encode()
        for _ in range(2):
            writer.write(post())
            assert await reader.readexactly(len(expected)) == expected
        await closed(writer)
        seen = await capture.recorder.finished(2)
        assert [one.response for one in seen] == [b"ok", b"ok"]


async def test_a_head_that_nobody_can_take_ends_the_connection(tmp_path):
    """Two lengths: whichever the client took might be the wrong one.  No page of ours instead."""

    async def torn(exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")

    async def unnamed(exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 2\r\n\r\nok")

    for number, odd in enumerate((torn, unnamed)):
        async with Upstream(tmp_path / str(number), odd) as upstream, Capture(upstream) as capture:
            reader, writer = await capture.connect()
            writer.write(post())
            assert await reader.read() == b""
            await closed(writer)
            (seen,) = await capture.recorder.finished()
            assert seen.ended.ending == "upstream_left"


async def test_an_upstream_without_tls(tmp_path):
    """The client is given HTTP/1, which is what the server speaks."""

    async def hinting(exchange):
        await exchange.read_body()
        await exchange.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await exchange.respond()

    async with Upstream(tmp_path, hinting, tls=False) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect(alpn=("h2", "http/1.1"))
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.write(post())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 103")
        _, body = await answer(reader)
        assert body == b"ok"
        await closed(writer)


def test_other_versions_are_left_alone(monkeypatch):
    """What we patch, we know; what we do not know, we say."""
    monkeypatch.setattr(version, "VERSION", "13.0.0")
    (problem,) = faithful.apply()
    assert "13.0.0" in problem


async def test_silence_is_no_reason_to_hang_up(tmp_path):
    """Long reasoning is silent for longer than the ten minutes after which mitmproxy would."""
    authority.ensure(tmp_path / "ca", ["api.openai.com"])
    gate = Gate({})
    watching = AgentTrace(gate, Handover(tmp_path / "recorder.sock"))
    roots = tmp_path / "ca" / "root.pem"
    proxy = CaptureMaster(gate, watching, ca_folder=tmp_path / "ca", upstream_roots=roots)
    assert proxy.options.tcp_timeout == SILENCE_S >= 24 * 3600
