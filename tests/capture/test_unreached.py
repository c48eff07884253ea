"""A provider that cannot be reached leaves a line, though there is no call."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest
from mitmproxy import connection
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from agenttrace_mitm.capture import addon
from agenttrace_mitm.capture.gate import Gate
from agenttrace_mitm.capture.unreached import TELL_EVERY_S, Unreached
from agenttrace_mitm.frames import UNREACHED
from agenttrace_mitm.providers import HOSTS
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, post


@pytest.fixture
def nowhere():
    """An address that is had by somebody who does not listen, so that nobody else will."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{nobody.getsockname()[1]}"


async def tried(capture, host="api.openai.com"):
    """What a client that asks for a tunnel to *host* is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


async def test_a_refused_connection_is_told_once(nowhere):
    """With host, reason and client; its repeats are counted, and other hosts are nobody's."""
    there = dict.fromkeys(("api.openai.com", "api.mistral.ai", "example.com"), nowhere)
    async with Capture(upstream_map=there) as capture:
        for host in ("api.openai.com", "api.openai.com", "example.com", "api.mistral.ai"):
            assert b" 502 " in await tried(capture, host)
        await capture.recorder.until(lambda r: len(r.notes) >= 2)
        first, second = capture.recorder.notes
        assert {first.kind, second.kind} == {UNREACHED}
        assert first.detail.startswith("api.openai.com: ")
        assert "refused" in first.detail or "Connect call failed" in first.detail
        assert "127.0.0.1" in first.detail
        assert second.detail.startswith("api.mistral.ai: ")


async def test_a_server_that_is_not_who_it_should_be_is_told(tmp_path):
    """Its certificate is of an authority that nobody here trusts."""
    async with (
        Upstream(tmp_path / "a") as upstream,
        Upstream(tmp_path / "b") as other,
        Capture(upstream, upstream_ca=str(other.ca), may_complain=True) as capture,
    ):
        with contextlib.suppress(OSError, EOFError):
            await capture.connect()
        await capture.recorder.until(lambda r: r.notes)
        told = capture.recorder.notes[0]
        assert told.kind == UNREACHED
        assert told.detail.startswith("api.openai.com: ")
        assert "ertificate" in told.detail


def test_repeats_are_counted_until_the_next_line():
    now = [0.0]
    unreached = Unreached(lambda: now[0])
    assert unreached.failed("h", "refused", "me").detail == "h: refused (me)"
    assert unreached.failed("h", "refused", "me") is None
    assert unreached.failed("h", "no such name", "me")
    now[0] += TELL_EVERY_S
    told = unreached.failed("h", "refused", "you")
    assert told.detail == "h: refused (you, and 1 more since the last line)"
    assert not unreached.waits
    for number in range(1000):
        assert unreached.failed(f"h{number}", "refused", "me")


def test_what_was_only_counted_is_told_though_nobody_tries_again():
    now = [0.0]
    unreached = Unreached(lambda: now[0])
    for _ in range(12):
        unreached.failed("h", "refused", "me")
    assert unreached.waits
    assert unreached.due() == []
    now[0] += TELL_EVERY_S
    assert [one.detail for one in unreached.due()] == [
        "h: refused (me, and 10 more since the last line)"
    ]
    assert not unreached.waits
    assert unreached.failed("h", "refused", "me") is None, "that line has just been written"


async def test_a_burst_is_told_of_in_full(monkeypatch):
    """By a line at once, and one for the rest when no more failed."""
    monkeypatch.setattr(addon, "TELL_EVERY_S", 0.01)
    told, now = [], [0.0]
    one = addon.AgentTrace(Gate(HOSTS), SimpleNamespace(report=told.append))
    one._unreached = Unreached(lambda: now[0])
    client = tflow.tclient_conn()
    server = connection.Server(address=("api.openai.com", 443), error="refused")
    for _ in range(3):
        one.server_connect_error(ServerConnectionHookData(server, client))
    now[0] += TELL_EVERY_S
    async with asyncio.timeout(5):
        while len(told) < 2:
            await asyncio.sleep(0.01)
    assert "and 1 more since the last line" in told[1].detail


async def test_a_call_by_a_base_url_says_why_it_was_not_answered(nowhere):
    async with Capture(upstream_map={"api.openai.com": nowhere}) as capture:
        reader, writer = await asyncio.open_connection("127.0.0.1", capture.port)
        writer.write(post())
        assert b" 502 " in await reader.readuntil(b"\r\n\r\n")
        [seen] = await capture.recorder.finished()
        writer.close()
    assert seen.responded is None
    assert seen.ended.ending == "upstream_left"
    assert "refused" in seen.ended.note or "Connect call failed" in seen.ended.note
