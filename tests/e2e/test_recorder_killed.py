"""The recorder is killed while calls run: clients notice nothing, and no call is missing."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

import httpx

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import Instance
from tests.support.providers import played

from . import wire

CALLS = 200
KILL_AFTER = (40, 110)


def _answer(request: Request) -> Answer:
    if b'"stream": true' in request.body or b'"stream":true' in request.body:
        kind = (("content-type", "text/event-stream"),)
        return Answer(200, kind, tuple(wire.openai_chat_stream()), 0.003)
    return Answer(200, (("content-type", "application/json"),), tuple(wire.openai_chat()), 0.01)


async def test_every_call_has_its_row(tmp_path: Path) -> None:
    """SIGKILL twice during 200 calls, half of them streams: 200 answers, 200 rows."""
    finished = 0
    due = list(KILL_AFTER)

    async with played(tmp_path, _answer) as providers, Instance(providers.settings()) as instance:
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"

        def kill_recorder() -> None:
            if pid := instance.supervisor.processes["recorder"]["pid"]:
                os.kill(pid, signal.SIGKILL)

        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=30) as client:
            gate = asyncio.Semaphore(8)

            async def call(number: int) -> bytes:
                nonlocal finished
                async with gate:
                    answer = await client.post(
                        "https://api.openai.com/v1/chat/completions",
                        headers={"x-agenttrace-session": f"call-{number}"},
                        json={
                            "model": "gpt-5.5",
                            "stream": number % 2 == 0,
                            "messages": [{"role": "user", "content": f"question {number}"}],
                        },
                    )
                finished += 1
                if due and finished >= due[0]:
                    due.pop(0)
                    kill_recorder()
                assert answer.status_code == 200
                return answer.content

            got = await asyncio.gather(*(call(number) for number in range(CALLS)))
        rows = await instance.rows(
            "select session_id, outcome, tokens_in, tokens_out from llm_calls"
            " where outcome <> 'in_flight'",
            lambda found: len(found) >= CALLS,
        )
        restarts = instance.supervisor.processes["recorder"]["restarts"]

    assert not due
    assert restarts >= 1
    served = {b"".join(wire.openai_chat()), b"".join(wire.openai_chat_stream())}
    assert set(got) == served
    assert sorted(row["session_id"] for row in rows) == sorted(f"call-{n}" for n in range(CALLS))
    assert {(row["outcome"], row["tokens_in"], row["tokens_out"]) for row in rows} == {
        ("ok", 120, 30)
    }
