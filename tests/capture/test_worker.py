"""The capture process: how it starts, what it can be told, whom it leaves alone."""

import asyncio
import json
import os
import socket
import ssl
import sys
from pathlib import Path

import pytest

from tests.support.fake_upstream import TestAuthority, Upstream
from tests.support.proxy import PATIENCE_S, Capture, Seen, answer, closed, post, refused


async def test_a_port_that_is_taken(tmp_path):
    """Said in a sentence, with who has it, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        capture = Capture(proxy_port=port, recorder=False, may_complain=True)
        await capture.start()
        assert f"127.0.0.1:{port}" in capture.facts["error"]
        assert str(os.getpid()) in capture.facts["error"]
        assert "--proxy-port" in capture.facts["remedy"]
        assert await capture.process.wait() == 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"upstream_map": {"api.openai.com": "ftp://x"}}, "upstream-map"),
        ({"upstream_map": {"api.openai.com": "https://x/path"}}, "upstream-map"),
        ({"upstream_proxy": "socks5://x:1"}, "upstream-proxy"),
        ({"upstream_proxy": "not a url"}, "upstream-proxy"),
        ({"upstream_ca": "/nowhere.pem"}, "upstream_ca"),
        ({"proxy_port": "many"}, "proxy-port"),
        ({"upstream_proxy": "http://x:1", "upstream_map": {"a.b": "c:1"}}, "together"),
    ],
)
async def test_settings_that_cannot_work(settings, word):
    """Named, with a remedy."""
    capture = Capture(recorder=False, may_complain=True, **settings)
    await capture.start()
    assert word in capture.facts["error"]
    assert capture.facts["remedy"]
    assert await capture.process.wait() == 1


async def test_a_damaged_authority():
    """The proxy does not start, and says what to run."""
    capture = Capture(recorder=False, may_complain=True)
    (capture.home / "ca").mkdir()
    (capture.home / "ca" / "mitmproxy-ca.pem").write_text("nonsense")
    await capture.start()
    assert "ca rotate" in capture.facts["remedy"]
    assert await capture.process.wait() == 1


async def test_a_socket_of_the_parent(tmp_path):
    """A listener that the parent opened outlives a worker."""
    listening = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(listening.fileno(), True)
    async with Upstream(tmp_path) as upstream:
        capture = Capture(upstream, proxy_fd=listening.fileno())
        original = asyncio.create_subprocess_exec

        async def passing(*command, **how):
            return await original(*command, pass_fds=[listening.fileno()], **how)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "create_subprocess_exec", passing)
            await capture.__aenter__()
        assert capture.port == listening.getsockname()[1]
        reader, writer = await capture.connect()
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)
        await capture.__aexit__(None, None, None)
    listening.close()


async def test_two_workers_share_a_port(tmp_path):
    """SO_REUSEPORT: one worker goes, the port still answers."""
    async with Upstream(tmp_path) as upstream, Capture(upstream, workers=2) as first:
        second = Capture(upstream, workers=2, proxy_port=first.port)
        await second.__aenter__()
        assert second.port == first.port
        await second.__aexit__(None, None, None)
        reader, writer = await first.connect()
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)


async def test_other_hosts_are_not_touched(tmp_path):
    """Their certificate is their own, their bytes are nobody's business."""

    async def mirror(exchange):
        await exchange.respond(200, exchange.request.raw_head)

    async with Upstream(tmp_path, mirror) as upstream, Capture(upstream) as capture:
        own = ssl.create_default_context(cafile=str(upstream.ca))
        reader, writer = await capture.tunnel("localhost", upstream.port)
        await writer.start_tls(own, server_hostname="localhost")
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-AgentTrace-Agent: a\r\n\r\n")
        _, body = await answer(reader)
        assert b"X-AgentTrace-Agent" in body
        await closed(writer)
        assert not capture.recorder.exchanges


async def test_names_that_only_look_like_a_provider(tmp_path):
    """The gate compares whole names."""
    names = ("api.openai.com.example.com", "xapi.openai.com", "openai.com")
    async with Upstream(tmp_path, hosts=names) as upstream:
        mapped = dict.fromkeys(names, upstream.address)
        async with Capture(upstream, upstream_map=mapped) as capture:
            own = ssl.create_default_context(cafile=str(upstream.ca))
            for name in names:
                _, writer = await capture.connect(name, context=own)
                await closed(writer)


async def test_a_host_by_its_address(tmp_path):
    """CONNECT to an address: the ClientHello says who is meant."""
    upstream = Upstream(tmp_path, listen=("127.9.9.9", 443))
    try:
        await upstream.__aenter__()
    except OSError:
        pytest.skip("port 443 is not ours to listen on")
    async with Capture(upstream, upstream_map={}) as capture:
        for host, context in (
            ("api.openai.com", capture.trust()),
            ("example.com", ssl.create_default_context(cafile=str(upstream.ca))),
        ):
            reader, writer = await capture.tunnel("127.9.9.9")
            await writer.start_tls(context, server_hostname=host)
            writer.write(post())
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
        (seen,) = await capture.recorder.finished()
        assert seen.opened.host == "api.openai.com"
    await upstream.__aexit__(None, None, None)


async def test_plain_http_passes(tmp_path):
    """A request through the proxy without TLS: no login, no header of ours goes on."""
    async with Upstream(tmp_path, tls=False) as upstream, Capture(upstream) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(
            f"GET http://127.0.0.1:{upstream.port}/x HTTP/1.1\r\nHost: h\r\n"
            "Proxy-Authorization: Basic YTpi\r\nX-AgentTrace-Agent: a\r\n\r\n".encode()
        )
        assert (await answer(reader))[1] == b"ok"
        assert upstream.requests[0].headers == [("Host", "h")]
        await closed(writer)
        assert not capture.recorder.exchanges


async def test_a_run_has_its_own_doors(tmp_path):
    """What comes in there carries the run's labels; closed, they are closed."""
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        run = await capture.ask(
            {"op": "open_run", "id": "r-1", "agent": "a", "session": "s", "tags": {"k": "v"}}
        )
        reader, writer = await capture.connect(proxy=run["proxy_port"])
        writer.write(post())
        await answer(reader)
        (seen,) = await capture.recorder.finished()
        caller = seen.opened.caller
        assert (caller["run_id"], caller["agent"], caller["session"]) == ("r-1", "a", "s")
        assert seen.opened.tags == {"k": "v"}

        capture.tell({"op": "close_run", "id": "r-1"})
        await refused(run["proxy_port"])
        # What was open stays open, and keeps its label.
        writer.write(post())
        await answer(reader)
        await closed(writer)
        _, second = await capture.recorder.finished(2)
        assert second.opened.caller["run_id"] == "r-1"
        # The ports can be had again, as after a restart of ours.
        again = await capture.ask({**run, "op": "open_run", "id": "r-1"})
        assert again == run
        clash = await capture.ask({**run, "op": "open_run", "id": "r-2"})
        assert clash["run"] == "r-2"
        assert clash["error"]


async def test_nonsense_on_standard_input():
    """Is answered, and changes nothing."""
    async with Capture() as capture:
        assert "error" in await capture.ask({"op": "fly"})
        assert "error" in await capture.ask([])  # type: ignore[arg-type]


async def test_the_name_in_the_client_hello_is_the_way(tmp_path):
    """The SNI listener: provider hosts are decrypted, others tunnelled to where they want."""
    async with Upstream(tmp_path) as upstream:
        mapped = {**upstream.map(), "example.com": upstream.address}
        async with Capture(upstream, upstream_map=mapped) as capture:
            port = capture.facts["sni_port"]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=capture.trust(), server_hostname="api.openai.com"
            )
            writer.write(post())
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
            (seen,) = await capture.recorder.finished()
            assert seen.opened.host == "api.openai.com"

            own = ssl.create_default_context(cafile=str(upstream.ca))
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=own, server_hostname="example.com"
            )
            writer.write(post())
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
            assert len(capture.recorder.exchanges) == 1

            for nonsense in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(nonsense)
                assert await reader.read() == b""
                await closed(writer)


async def test_the_process_is_known(tmp_path):
    """Linux says who is behind a local connection."""
    if sys.platform != "linux":
        pytest.skip("sock_diag is Linux")
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        calls: list[Seen] = []

        async def called():
            writer.write(post())
            await answer(reader)
            calls[:] = await capture.recorder.finished(len(calls) + 1)
            return calls[-1]

        async with asyncio.timeout(PATIENCE_S):
            seen = await called()
            while "pid" not in seen.opened.caller | seen.ended.caller:  # it is being looked up
                seen = await called()
        caller = (await called()).opened.caller
        assert caller["pid"] == str(os.getpid())
        assert caller["cwd"] == str(Path.cwd())
        assert caller["process"]
        await closed(writer)


async def test_a_server_we_should_not_trust(tmp_path):
    """A certificate from somewhere else: the client is not connected to it."""
    async with Upstream(tmp_path) as upstream:
        other = TestAuthority(tmp_path / "other")
        async with Capture(upstream, upstream_ca=str(other.ca), may_complain=True) as capture:
            reader, writer = await capture.connect()
            writer.write(post())
            assert await reader.read() == b""
            (seen,) = await capture.recorder.finished()
            assert seen.ended.ending == "upstream_left"
            assert "erif" in seen.ended.note
            assert not upstream.requests
            await closed(writer)


async def test_a_client_that_does_not_trust_us(tmp_path):
    """Told once as a blind spot, then left alone: it gets the server's own certificate."""
    async with Upstream(tmp_path) as upstream, Capture(upstream, may_complain=True) as capture:
        own = ssl.create_default_context(cafile=str(upstream.ca))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await capture.connect(context=own)
        await capture.recorder.until(lambda r: r.blinds)
        reader, writer = await capture.connect(context=own)
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)
        await capture.recorder.until(lambda r: len(r.blinds) == 2)
        assert {blind.host for blind in capture.recorder.blinds} == {"api.openai.com"}
        assert not capture.recorder.exchanges
        # Another host is not affected.
        reader, writer = await capture.connect("api.mistral.ai")
        await closed(writer)


async def test_behind_another_proxy(tmp_path):
    """Everything goes through it, with its login, and the client's own stays here."""
    asked = []

    async def corporate(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode())
        there, back = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source, sink):
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    async with Upstream(tmp_path) as upstream:
        server = await asyncio.start_server(corporate, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = {
            "upstream_proxy": f"http://me:p%40ss@127.0.0.1:{port}",
            "upstream_ca": str(upstream.ca),
        }
        async with Capture(**settings) as capture:
            own = ssl.create_default_context(cafile=str(upstream.ca))
            for context, host in ((None, "api.openai.com"), (own, "example.com")):
                reader, writer = await capture.connect(host, context=context, user="YTpi")
                for _ in range(2):
                    writer.write(post())
                    assert (await answer(reader))[1] == b"ok"
                await closed(writer)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                capture.facts["sni_port"],
                ssl=capture.trust(),
                server_hostname="api.mistral.ai",
            )
            writer.write(post())
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
            seen = await capture.recorder.finished(3)
        server.close()
    lines = [head.splitlines()[0] for head in asked]
    assert lines == [
        "CONNECT api.openai.com:443 HTTP/1.1",
        "CONNECT example.com:443 HTTP/1.1",
        "CONNECT api.mistral.ai:443 HTTP/1.1",
    ]
    assert all("Basic bWU6cEBzcw==" in head and "YTpi" not in head for head in asked)
    assert [one.opened.host for one in seen] == ["api.openai.com"] * 2 + ["api.mistral.ai"]
    assert json.dumps(upstream.requests[0].headers).find("Proxy") == -1


def hello(name: str, *, hidden: bool) -> bytes:
    """The start of a TLS handshake that asks for *name*; *hidden*, with ECH's extension."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    record = outgoing.read()
    if not hidden:
        return record
    body = bytearray(record[9:])
    at = 34 + 1 + body[34]  # after version, random and session id
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    size = int.from_bytes(body[at : at + 2], "big")
    body[at : at + 2] = (size + 12).to_bytes(2, "big")
    body += b"\xfe\x0d" + (8).to_bytes(2, "big") + b"whatever"
    shake = b"\x01" + len(body).to_bytes(3, "big") + body
    return record[:3] + len(shake).to_bytes(2, "big") + shake


@pytest.mark.parametrize(
    ("hidden", "reason"), [(False, "another name"), (True, "Encrypted ClientHello")]
)
async def test_a_client_that_asks_for_another_name(tmp_path, hidden, reason):
    """What goes to a provider under a foreign name passes untouched, and is told."""
    async with (
        Upstream(tmp_path, hosts=["outer.example"]) as upstream,
        Capture(upstream) as capture,
    ):
        reader, writer = await capture.tunnel("api.openai.com")
        writer.write(hello("outer.example", hidden=hidden))
        assert await reader.readexactly(1) == b"\x16"  # the server's own handshake
        await capture.recorder.until(lambda r: r.blinds)
        (blind,) = capture.recorder.blinds
        assert blind.host == "api.openai.com"
        assert reason in blind.reason
        await closed(writer)
