"""Nobody notices clients that misbehave, and nothing of them stays."""

import asyncio
import random

import psutil
import pytest

from tests.support.fake_upstream import Upstream
from tests.support.hostile_clients import CLIENTS
from tests.support.proxy import Capture, answer, closed, post

CROWD = 20
GROWTH = 40 << 20


async def forgiving(exchange):
    """An upstream that minds no nonsense that is passed on to it."""
    try:
        await exchange.read_body()
        await exchange.respond()
    except (ValueError, OSError, EOFError):
        exchange.close()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
async def test_others_go_on(tmp_path, client):
    """A crowd of them, and a call of somebody else in the middle; afterwards all is as before."""
    async with (
        Upstream(tmp_path, forgiving) as upstream,
        Capture(upstream, may_complain=True) as capture,
    ):
        process = psutil.Process(capture.process.pid)
        await _crowd(client, capture.port, 1)
        memory, files = process.memory_info().rss, process.num_fds()
        crowd = asyncio.create_task(_crowd(client, capture.port, CROWD))
        reader, writer = await capture.connect()
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await crowd
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await closed(writer)
        async with asyncio.timeout(20):
            while process.num_fds() > files + 2:  # our own connection may still be closing
                await asyncio.sleep(0.1)
        assert process.memory_info().rss - memory < GROWTH
        assert capture.process.returncode is None
        assert "Traceback" not in capture.log
        assert {len(one.request) for one in await capture.recorder.finished(2)} <= {0, 2}


async def _crowd(client, port, size):
    await asyncio.gather(*(client(port, random.Random(seed)) for seed in range(size)))
