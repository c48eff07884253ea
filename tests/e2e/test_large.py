"""Answers and uploads larger than what is kept of them: memory stays flat, figures stay right."""

import base64
import gzip
import json
import random
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


VECTOR = "[" + ",".join(["-0.012345678901"] * 3072) + "]"
# Random: it is over the bound compressed as well.
IMAGE = base64.b64encode(random.Random(1).randbytes(18 * MB)).decode()
MODEL_LAST = {
    "messages": [{"role": "user", "content": IMAGE}],
    "model": "gpt-5.5",
    "stream": False,
}


def _vectors() -> bytes:
    row = f'{{"object": "embedding", "index": 0, "embedding": {VECTOR}}}'
    used = '"usage": {"prompt_tokens": 8, "total_tokens": 8}'
    rows = ",".join([row] * 450)
    return f'{{"object": "list", "data": [{rows}], "model": "the-model", {used}}}'.encode()


def _picture() -> bytes:
    part = {"inlineData": {"mimeType": "image/png", "data": IMAGE}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    used = {"promptTokenCount": 8, "candidatesTokenCount": 2000, "totalTokenCount": 2008}
    said = {"candidates": [candidate], "usageMetadata": used, "modelVersion": "the-model"}
    return json.dumps(said | {"responseId": "r-1"}).encode()


def _pictures() -> bytes:
    used = {"input_tokens": 8, "output_tokens": 2000, "total_tokens": 2008}
    data = [{"b64_json": IMAGE[: 12 * MB]}, {"b64_json": IMAGE[12 * MB :]}]
    return json.dumps({"created": 1, "data": data, "usage": used}).encode()


def _large_answer(request: Request) -> Answer:
    if "embeddings" in request.path:
        body = _vectors()
    elif "images" in request.path:
        body = _pictures()
    else:
        body = b"[" + _picture() + b"\n]" if "stream" in request.path else _picture()
    kind = [("content-type", "application/json")]
    if request.headers["accept-encoding"] == "gzip":
        body = gzip.compress(body, 1)
        kind.append(("content-encoding", "gzip"))
    return Answer(200, (*kind, ("content-length", str(len(body)))), (body,))


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_large_documents(tmp_path: Path, encoding: str) -> None:
    """Vectors and pictures: usage is told by their end, and nobody broke anything off."""
    google = "generativelanguage.googleapis.com/v1beta/models/gemini-3-pro-image"
    urls = (
        "api.openai.com/v1/embeddings",
        "api.openai.com/v1/images/generations",
        f"{google}:generateContent",
        f"{google}:streamGenerateContent",
    )
    async with (
        played(tmp_path, _large_answer) as providers,
        Instance(providers.settings()) as instance,
    ):
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=120) as client:
            for url in urls:
                accepts = {"accept-encoding": encoding}
                answer = await client.post(f"https://{url}", json={"model": "m"}, headers=accepts)
                assert answer.status_code == 200
        rows = await instance.rows(
            "select * from llm_calls where outcome <> 'in_flight' order by started_us",
            lambda found: len(found) == len(urls),
        )
    vectors, *pictures = rows
    for row in rows:
        assert (row["outcome"], row["usage_source"], row["tokens_in"]) == ("ok", "reported", 8)
        cut = encoding == "identity" or row is not vectors
        assert ("body bytes were not kept" in (row["notes"] or "")) == cut
    assert vectors["response_model"] == "the-model"
    assert [row["tokens_out"] for row in pictures] == [2000] * 3
    assert [row["finish_reason"] for row in pictures] == [None, "stop", "stop"]
    assert {row["response_id"] for row in pictures[1:]} == {"r-1"}


async def test_a_large_request_that_names_its_model_last(tmp_path: Path) -> None:
    """Pictures come before it: model and `stream` are known, what was said is not."""
    async with played(tmp_path, _answer) as providers, Instance(providers.settings()) as instance:
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=120) as client:
            url = "https://api.openai.com/v1/chat/completions"
            assert (await client.post(url, json=MODEL_LAST)).status_code == 200
        [row] = await instance.rows(
            "select * from llm_calls where outcome <> 'in_flight'", lambda found: len(found) == 1
        )
    assert (row["model"], row["streamed"], row["outcome"]) == ("gpt-5.5", 0, "ok")
    assert "body bytes were not kept" in row["notes"]


def _memory(instance: Instance) -> dict[str, int]:
    """The largest that each process has been so far, in bytes."""
    found = {}
    for name, process in instance.supervisor.processes.items():
        if process["pid"]:
            status = Path(f"/proc/{process['pid']}/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            found[name] = int(peak.split()[1]) * 1024
    return found
