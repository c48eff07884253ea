"""Answers and uploads larger than what is kept of them: memory stays flat, figures stay right."""

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import Instance
from tests.support.providers import json_answer, played

MB = 1 << 20
SIZE = 50 * MB
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
GROWTH = {"capture": 100 * MB, "recorder": 400 * MB}


def _event(**more: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.5"}
    return b"data: " + json.dumps(head | more).encode() + b"\n\n"


def _stream() -> tuple[bytes, ...]:
    delta = {"index": 0, "delta": {"content": "y" * 1000}, "finish_reason": None}
    piece = _event(choices=[delta]) * 200
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    end = (_event(choices=[last]), _event(choices=[], usage=USAGE), b"data: [DONE]\n\n")
    return (piece,) * (SIZE // len(piece)) + end


def _answer(request: Request) -> Answer:
    if b'"stream"' in request.body[:100]:
        return Answer(200, (("content-type", "text/event-stream"),), _stream(), 0)
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
    return json_answer(
        {"id": "chatcmpl-2", "model": "gpt-5.5", "choices": [choice], "usage": USAGE}
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_fifty_megabytes_either_way(tmp_path: Path) -> None:
    """Tokens are the provider's, sizes the wire's, and what was not kept is said."""
    message = [{"role": "user", "content": "x" * SIZE}]
    bodies = (
        {"stream": True, "model": "gpt-5.5", "messages": [{"role": "user", "content": "go on"}]},
        {"model": "gpt-5.5", "messages": message},
    )
    async with played(tmp_path, _answer) as providers, Instance(providers.settings()) as instance:
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        before = _memory(instance)
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=120) as client:
            for body in bodies:
                url = "https://api.openai.com/v1/chat/completions"
                assert (await client.post(url, json=body)).status_code == 200
        rows = await instance.rows(
            "select * from llm_calls where outcome <> 'in_flight' order by started_us",
            lambda found: len(found) == 2,
        )
        events = await instance.rows("select kind, detail from recorder_events")
        after = _memory(instance)
    assert {name: after[name] - before[name] < GROWTH[name] for name in GROWTH} == dict.fromkeys(
        GROWTH, True
    ), (before, after)
    streamed, uploaded = rows
    for row in rows:
        assert (row["outcome"], row["usage_source"]) == ("ok", "reported")
        assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (11, 7, 18)
        assert "body bytes were not kept" in row["notes"]
    assert streamed["response_bytes"] > SIZE * 0.99
    assert streamed["finish_reason"] == "stop"
    assert uploaded["request_bytes"] > SIZE
    assert {event["kind"] for event in events} == {"content_cut"}


def _memory(instance: Instance) -> dict[str, int]:
    """The largest that each process has been so far, in bytes."""
    found = {}
    for name, process in instance.supervisor.processes.items():
        if process["pid"]:
            status = Path(f"/proc/{process['pid']}/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            found[name] = int(peak.split()[1]) * 1024
    return found
