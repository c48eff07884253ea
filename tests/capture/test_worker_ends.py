"""The end of the capture process, by whoever wants it, and that of its recorder."""

import asyncio
import signal

import pytest

from agenttrace_mitm.capture.worker import DRAIN_S
from agenttrace_mitm.frames import Ended
from tests.support.fake_upstream import Upstream, ok
from tests.support.proxy import Capture, answer, closed, post, refused


@pytest.mark.parametrize("how", ["eof", "sigterm"])
async def test_streams_finish_before_the_end(tmp_path, how):
    """No new connections, but what runs runs to its end."""
    go_on = asyncio.Event()

    async def stream(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"one")
        await go_on.wait()
        await exchange.chunk(b"two")
        await exchange.chunk(b"")

    async with Upstream(tmp_path, stream) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"one\r\n")
        if how == "eof":
            capture.process.stdin.close()
        else:
            capture.process.terminate()
        await refused(capture.port)
        go_on.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        async with asyncio.timeout(10):
            assert await capture.process.wait() == 0
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response) == ("complete", b"onetwo")
        await closed(writer)


async def test_a_second_signal_ends_at_once(tmp_path):
    """What was under way is told as interrupted."""

    async def endless(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"one")
        await exchange.reader.read()
        exchange.close()

    async with Upstream(tmp_path, endless) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"one\r\n")
        capture.process.send_signal(signal.SIGTERM)
        await refused(capture.port)  # or both signals may be one to it
        assert capture.process.returncode is None
        capture.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DRAIN_S / 2):
            assert await capture.process.wait() == 0
        (seen,) = await capture.recorder.finished()
        assert (seen.ended.ending, seen.response) == ("interrupted", b"one")
        await closed(writer)


async def test_killed_after_the_answer_nothing_is_lost(tmp_path):
    """A reply of known length is out of our hands before its last byte is on the client's side."""
    async with Upstream(tmp_path, ok) as upstream:
        for _ in range(5):
            capture = Capture(upstream, may_complain=True)
            async with capture:
                reader, writer = await capture.connect()
                writer.write(post())
                _, body = await answer(reader)
                capture.process.kill()
                await capture.process.wait()
                await capture.recorder.until(
                    lambda r: any(s.response for s in r.exchanges.values())
                )
                (seen,) = capture.recorder.exchanges.values()
                assert seen.response == body
                await closed(writer)


async def test_without_a_recorder_nothing_changes(tmp_path):
    """Calls work, are kept, and are told when it comes."""
    async with Upstream(tmp_path) as upstream, Capture(upstream, recorder=False) as capture:
        reader, writer = await capture.connect()
        for number in range(3):
            writer.write(post(b"%d" % number))
            assert (await answer(reader))[1] == b"ok"
        await capture.recorder.start()
        seen = await capture.recorder.finished(3)
        assert [one.request for one in seen] == [b"0", b"1", b"2"]
        await closed(writer)
        await capture.recorder.stop()


async def test_a_recorder_that_dies_in_the_middle(tmp_path):
    """The next one gets everything that was not acknowledged, the running call from its start."""
    go_on = asyncio.Event()

    async def stream(exchange):
        await exchange.read_body()
        if exchange.request.target != "/slow":
            await exchange.respond()
            return
        await exchange.start_chunked()
        await exchange.chunk(b"one")
        await go_on.wait()
        await exchange.chunk(b"two")
        await exchange.chunk(b"")

    async with Upstream(tmp_path, stream) as upstream, Capture(upstream) as capture:
        capture.recorder.acknowledges = False
        reader, writer = await capture.connect()
        writer.write(post(b"first"))
        await answer(reader)
        writer.write(post(b"second", "/slow"))
        await reader.readuntil(b"one\r\n")
        await capture.recorder.until(lambda r: len(r.exchanges) == 2)
        await capture.recorder.stop()
        capture.recorder.exchanges.clear()
        capture.recorder.acknowledges = True
        await capture.recorder.start()
        await capture.recorder.until(lambda r: len(r.exchanges) == 2)
        go_on.set()
        await reader.readuntil(b"0\r\n\r\n")
        first, second = await capture.recorder.finished(2)
        assert (first.request, second.request) == (b"first", b"second")
        assert second.response == b"onetwo"
        assert len({hello.worker for hello in capture.recorder.hellos}) == 1
        assert all(len(s.of(Ended)) == 1 for s in (first, second))
        await closed(writer)
