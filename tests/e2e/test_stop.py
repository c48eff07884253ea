"""`stop` waits for calls under way; `stop --now` does not."""

import asyncio
import functools
import json
import ssl
import sys
from pathlib import Path

import httpx
import pytest

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import select
from tests.support.providers import Played, played

from . import wire

PATIENCE_S = 60


def _slowly(comments: int, request: Request) -> Answer:
    kind = (("content-type", "text/event-stream"),)
    first, *rest = wire.openai_chat_stream()
    return Answer(200, kind, (first, *(b": still here\n\n",) * comments, *rest), 0.2)


async def _command(providers: Played, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agenttrace_mitm", *words,
        env=providers.environ, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("now", [False, True], ids=["stop", "stop --now"])
async def test_streams_under_way(tmp_path: Path, now: bool) -> None:
    """Asked to stop in the middle of a stream: it ends well, or is cut and recorded as such."""
    slowly = functools.partial(_slowly, 1000 if now else 5)
    async with played(tmp_path, slowly) as providers:
        process = await _command(providers, "start", "--no-open")
        said = providers.home / "run" / "daemon.json"
        async with asyncio.timeout(PATIENCE_S):
            while not said.exists():
                await asyncio.sleep(0.05)
        proxy = f"http://127.0.0.1:{json.loads(said.read_text())['proxy_port']}"
        trust = ssl.create_default_context(cafile=str(providers.home / "ca" / "root.pem"))
        url = "https://api.openai.com/v1/chat/completions"
        body = {"model": "gpt-5.5", "stream": True, "messages": []}
        got, cut, stop = b"", False, None
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=30) as client:
            try:
                async with client.stream("POST", url, json=body) as answer:
                    async for chunk in answer.aiter_raw():
                        got += chunk
                        if stop is None:
                            words = ("stop", "--now") if now else ("stop",)
                            stop = await _command(providers, *words)
            except httpx.HTTPError:
                cut = True
        assert stop
        async with asyncio.timeout(PATIENCE_S):
            assert await stop.wait() == 0
            assert await process.wait() == 0
        assert cut is now
        assert got.endswith(b"data: [DONE]\n\n") is not now
        [row] = select(providers.home / "data.db", "select outcome from llm_calls")
        assert row == {"outcome": "interrupted" if now else "ok"}
