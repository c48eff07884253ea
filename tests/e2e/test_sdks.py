"""The official SDKs by `HTTPS_PROXY` and by base URL: the row says what the SDK's objects say."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import Instance
from tests.support.providers import played

from . import wire

SDK_CALLS = Path(__file__).with_name("sdk_calls.py")

# What is served: by host, a part of the path, and whether the client asked for a stream.
REPLIES = {
    "openai_chat": (
        "api.openai.com",
        "/chat/completions",
        wire.openai_chat,
        wire.openai_chat_stream,
    ),
    "openai_responses": (
        "api.openai.com",
        "/responses",
        wire.openai_responses,
        wire.openai_responses_stream,
    ),
    "anthropic": ("api.anthropic.com", "/v1/messages", wire.anthropic, wire.anthropic_stream),
    "google": ("generativelanguage.googleapis.com", "Content", wire.google, wire.google_stream),
    "mistral": ("api.mistral.ai", "/chat/completions", wire.mistral, wire.mistral_stream),
    "cohere": ("api.cohere.com", "/v2/chat", wire.cohere, wire.cohere_stream),
}

# The SDKs give the provider's words; the row keeps them in `finish_reasons`.
NORMALIZED = {
    "tool_calls": "tool_calls",
    "completed": "tool_calls",
    "tool_use": "tool_calls",
    "STOP": "tool_calls",
    "TOOL_CALL": "tool_calls",
}


def answer(request: Request) -> Answer:
    """The hand-written reply for this request."""
    streamed = "stream" in request.path or json.loads(request.body).get("stream") is True
    for host, fragment, plain, stream in REPLIES.values():
        if request.host == host and fragment in request.path:
            kind = "text/event-stream" if streamed else "application/json"
            pieces = tuple(stream() if streamed else plain())
            return Answer(200, (("content-type", kind),), pieces, 0.005)
    return Answer(404)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def instance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    async with (
        played(tmp_path_factory.mktemp("sdks"), answer) as providers,
        Instance(providers.settings()) as running,
    ):
        yield running


def _by_proxy(instance: Instance) -> dict[str, str]:
    """The environment of a program that uses the proxy."""
    proxy = f"http://127.0.0.1:{instance.proxy_port}"
    trust = {"SSL_CERT_FILE": str(instance.settings.ca_folder / "bundle.pem")}
    return {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": ""} | trust


def _by_base_url(instance: Instance) -> dict[str, str]:
    """The environment of a program that takes us for the provider, and trusts nobody new."""
    proxy = f"http://127.0.0.1:{instance.proxy_port}"
    return {
        "OPENAI_BASE_URL": f"{proxy}/v1",
        "ANTHROPIC_BASE_URL": proxy,
        "GOOGLE_GEMINI_BASE_URL": proxy,
        "MISTRAL_BASE_URL": f"{proxy}/mistral",
        "CO_API_URL": proxy,
    }


WAYS = {"proxy": _by_proxy, "base URL": _by_base_url}


async def _sdk(environ: dict[str, str], provider: str, how: str) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SDK_CALLS),
        provider,
        how,
        env=os.environ | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["plain", "streamed"])
@pytest.mark.parametrize("provider", REPLIES)
async def test_the_row_says_what_the_sdk_says(
    instance: Instance, provider: str, how: str, way: str
) -> None:
    """Model, tokens, finish reason, tool calls and text; and the bytes were not touched."""
    [[before]] = [
        list(row.values()) for row in await instance.rows("select count(*) from llm_calls")
    ]
    said = await _sdk(WAYS[way](instance), provider, how)
    rows = await instance.rows(
        "select * from llm_calls order by started_us", lambda found: len(found) > before
    )
    assert len(rows) == before + 1
    row = rows[-1]
    assert row["outcome"] == "ok"
    assert row["streamed"] == (how == "streamed")
    assert (row["response_model"] or "") == said["model"]
    assert (row["tokens_in"], row["tokens_out"]) == (said["tokens_in"], said["tokens_out"])
    assert json.loads(row["finish_reasons"]) == [said["finish"]]
    assert row["finish_reason"] == NORMALIZED[said["finish"]]
    assert row["cost_nano_usd"] > 0
    tools = await instance.rows(f"select * from tool_calls where call_id = '{row['id']}'")
    assert [
        {"name": tool["name"], "arguments": json.loads(tool["arguments"])} for tool in tools
    ] == said["tool_calls"]
    [reply] = await instance.rows(
        "select content from call_messages join messages on messages.id = message_id"
        f" where call_id = '{row['id']}' and direction = 'out'"
    )
    spoken = [part for part in json.loads(reply["content"]) if part["type"] == "text"]
    assert "".join(part["content"] for part in spoken) == said["text"] == wire.TEXT
    *_, plain, stream = REPLIES[provider]
    served = b"".join(stream() if how == "streamed" else plain())
    assert said["sha256"] == hashlib.sha256(served).hexdigest()
