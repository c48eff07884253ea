"""The parent of all processes is killed: what is under way ends well, and is recorded."""

import asyncio
import json
import os
import signal
import ssl
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import select
from tests.support.providers import Played, played

from . import wire

PATIENCE_S = 60


def _slowly(request: Request) -> Answer:
    kind = (("content-type", "text/event-stream"),)
    pieces = tuple(wire.openai_chat_stream())
    return Answer(200, kind, (*pieces[:1], *(b": still here\n\n",) * 8, *pieces[1:]), 0.1)


async def _started(providers: Played) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agenttrace_mitm", "start", "--no-open",
        env=providers.environ, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        while not (providers.home / "run" / "daemon.json").exists():
            await asyncio.sleep(0.05)
    return process


@pytest.mark.parametrize("restarts", [False, True], ids=["alone", "started again at once"])
async def test_a_stream_ends_and_is_recorded(tmp_path: Path, restarts: bool) -> None:
    """SIGKILL in the middle of it; another start need not wait for the end of the old one."""
    async with played(tmp_path, _slowly) as providers:
        process = await _started(providers)
        facts = json.loads((providers.home / "run" / "daemon.json").read_text())
        children = psutil.Process(process.pid).children()
        trust = ssl.create_default_context(cafile=str(providers.home / "ca" / "root.pem"))
        proxy = f"http://127.0.0.1:{facts['proxy_port']}"
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=30) as client:
            body = {"model": "gpt-5.5", "stream": True, "messages": []}
            url = "https://api.openai.com/v1/chat/completions"
            got = b""
            async with client.stream("POST", url, json=body) as answer:
                async for chunk in answer.aiter_raw():
                    if not got:
                        os.kill(process.pid, signal.SIGKILL)
                        await process.wait()
                        (providers.home / "run" / "daemon.json").unlink()
                        again = await _started(providers) if restarts else None
                    got += chunk
        assert got.endswith(b"data: [DONE]\n\n")
        gone = asyncio.to_thread(psutil.wait_procs, children, PATIENCE_S)
        assert (await gone)[1] == []
        rows = select(providers.home / "data.db", "select outcome, tokens_out from llm_calls")
        assert rows == [{"outcome": "ok", "tokens_out": 30}]
        if again:
            again.terminate()
            assert await again.wait() == 0
