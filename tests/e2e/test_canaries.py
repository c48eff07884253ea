"""Secrets go through the whole path and are in nothing that we write, at any tier."""

import gzip
import json
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from agenttrace_mitm.demo.server import Answer, Request
from agenttrace_mitm.store import request_of, response_of
from agenttrace_mitm.store.payloads import headers_of
from agenttrace_mitm.store.prompts import tools_of
from tests.support.instance import Instance
from tests.support.providers import json_answer, played

BEARER = "sk-proj-canaryA1b2C3d4E5f6G7h8I9j0K1l2M3n4"
ANTHROPIC = "sk-ant-api03-canaryB1c2D3e4F5g6H7i8J9k0L1m2N3"
GOOGLE_HEADER = "AIzaSycanaryC1d2E3f4G5h6I7j8K9l0M1n2O3p"
GOOGLE_QUERY = "AIzaSycanaryD1e2F3g4H5i6J7k8L9m0N1o2P3q"
SHAPELESS = "canaryE1f2G3h4I5j6K7l8M9n0O1p2"  # Mistral's and Cohere's keys have no prefix
IN_PROMPT = "ghp_canaryF1g2H3i4J5k6L7m8N9o0P1q2R3s4"
IN_REPLY = "sk-proj-canaryG1h2I3j4K5l6M7n8O9p0Q1r2S3t4"
PASSWORD = "canary-proxy-password-H1i2J3"
SECRETS = (
    BEARER, ANTHROPIC, GOOGLE_HEADER, GOOGLE_QUERY, SHAPELESS, IN_PROMPT, IN_REPLY, PASSWORD,
)  # fmt: skip

# They have no shape: where they stand tells, and nothing else.
IN_TOOL, IN_HEADER, IN_SERVER, IN_SOURCE, IN_CONNECTOR = (
    f"canary{letter}{letter.lower()}Zk3vQ9xLw7Tn2Rb8Hd5Yc1" for letter in "JKLMN"
)
IN_SIGNATURE, IN_AWS, IN_FORM, IN_QUERY, IN_PROTOCOL, IN_STRING, HANDED_OUT, GRANTED = (
    f"canary{letter}{letter.lower()}Yc1Mf6Gs4Pj0AZk3vQ9xLw7" for letter in "OPQRSTUV"
)
PLACED = (
    IN_TOOL, IN_HEADER, IN_SERVER, IN_SOURCE, IN_CONNECTOR, IN_SIGNATURE, IN_AWS, IN_FORM,
    IN_QUERY, IN_PROTOCOL, IN_STRING, HANDED_OUT, GRANTED,
)  # fmt: skip

PROMPT = "the quick brown prompt jumps"
REPLY = "the lazy reply sleeps"
ARGUMENT = "spoken argument walks"


def _answer(request: Request) -> Answer:
    if request.headers.get("x-fail"):
        credential = request.headers.get("authorization", "").removeprefix("Bearer ")
        words = f"Incorrect API key provided: {credential or GOOGLE_QUERY}. {PROMPT}"
        return json_answer({"error": {"message": words, "type": "auth", "code": "bad"}}, 401)
    if b'"stream": true' in request.body:
        return Answer(200, (("content-type", "text/event-stream"),), tuple(_stream()))
    function = {"name": "say", "arguments": json.dumps({"words": ARGUMENT, "key": IN_REPLY})}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    message = {"role": "assistant", "content": f"{REPLY} {IN_REPLY}", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_answer({"id": "c", "model": "gpt-5.5", "choices": [choice]})


def _stream() -> Iterator[bytes]:
    """A reply whose secret comes in pieces."""
    text = f"{REPLY} {IN_REPLY} and on"
    for start in range(0, len(text), 7):
        delta = {"index": 0, "delta": {"content": text[start : start + 7]}}
        yield f"data: {json.dumps({'id': 'c', 'choices': [delta]})}\n\n".encode()
    yield b"data: [DONE]\n\n"


async def _talk(instance: Instance) -> None:
    """Calls with each kind of credential, plain, streamed and refused."""
    trust = ssl.create_default_context(cafile=str(instance.root_certificate))
    proxy = f"http://agent:{PASSWORD}@127.0.0.1:{instance.proxy_port}"
    gemini = "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent"
    chat, compatible = "/v1/chat/completions", "/compatibility/v1/chat/completions"
    styles: list[tuple[str, dict[str, str]]] = [
        (f"https://api.openai.com{chat}", {"authorization": f"Bearer {BEARER}"}),
        (f"https://api.openai.com{chat}", {"api-key": BEARER, "cookie": f"s={BEARER}"}),
        ("https://api.anthropic.com/v1/messages", {"x-api-key": ANTHROPIC}),
        (gemini, {"x-goog-api-key": GOOGLE_HEADER}),
        (f"{gemini}?key={quote(GOOGLE_QUERY)}", {}),
        (f"https://api.mistral.ai{chat}", {"authorization": f"Bearer {SHAPELESS}"}),
        (f"https://api.cohere.com{compatible}", {"authorization": f"Bearer {SHAPELESS}"}),
    ]
    async with httpx.AsyncClient(verify=trust, proxy=proxy) as client:
        for url, headers in styles:
            # A key without a shape is known by its use: only its own exchange can tell it.
            pasted = SHAPELESS if SHAPELESS in str(headers) else ""
            prompt = f"{PROMPT} with {IN_PROMPT} and {pasted}"
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            await client.post(url, json=body, headers=headers)
            await client.post(url, content=json.dumps(body | {"stream": True}), headers=headers)
            await client.post(url, json=body, headers=headers | {"x-fail": "1"})


def _written(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below *home*, and every value of every table, decompressed."""
    for path in home.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(home)), path.read_bytes()
    db = sqlite3.connect(home / "data.db")
    tables = [row[0] for row in db.execute("select name from sqlite_master where type = 'table'")]
    for table in tables:
        for row in db.execute(f"select * from [{table}]"):
            for value in row:
                if value is not None:
                    yield table, value if isinstance(value, bytes) else str(value).encode()
    for (call_id,) in db.execute("select call_id from payloads"):
        yield "requests", request_of(db, call_id) or b""
        yield "responses", response_of(db, call_id) or b""
    for pair in db.execute("select request_headers, response_headers from payloads"):
        for name, value in (header for stored in pair for header in headers_of(stored)):
            yield "headers", f"{name}: {value}".encode()
    for (tools,) in db.execute("select tools from prompts"):
        yield "prompts", json.dumps(tools_of(tools), ensure_ascii=False).encode()


@pytest.mark.parametrize("tier", [1, 2, 3])
async def test_no_secret_is_written(tmp_path: Path, tier: int) -> None:
    """Not in a file, not in a column, whole or as its parts in a stream."""
    async with played(tmp_path, _answer) as providers:
        async with Instance(providers.settings(privacy_tier=tier)) as instance:
            await _talk(instance)
            rows = await instance.rows(
                "select * from llm_calls where outcome <> 'in_flight'", lambda r: len(r) == 21
            )
            during = list(_written(providers.home))
        after = list(_written(providers.home))
    assert len(rows) == 21
    for where, value in [*during, *after]:
        for secret in SECRETS:
            assert secret.encode() not in value, f"{secret} is in {where}"
            assert secret[:20].encode() not in value, f"half of {secret} is in {where}"
            assert secret[-14:].encode() not in value, f"the end of {secret} is in {where}"
    kept = b"\n".join(value for _, value in after)
    assert (PROMPT.encode() in kept) == (tier >= 2)
    assert (ARGUMENT.encode() in kept) == (tier >= 2)
    assert (REPLY.encode() in kept) == (tier >= 3)


def _granting(request: Request) -> Answer:
    """Replies that hand out secrets, and streams that quote what was asked."""
    if "client_secrets" in request.path:
        return json_answer({"value": HANDED_OUT, "expires_at": 1, "session": {"id": "sess_1"}})
    if "realtime/sessions" in request.path:
        return json_answer({"client_secret": {"expires_at": 1, "value": HANDED_OUT}})
    if "auth_tokens" in request.path:
        return json_answer({"name": f"auth_tokens/{GRANTED}"})
    asked = json.loads(request.body) if request.body.startswith(b"{") else {}
    response = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5.5",
        "output": [],
        "tools": asked.get("tools", []),
    }
    if asked.get("stream"):
        event = {"type": "response.completed", "response": response}
        said = f"event: response.completed\ndata: {json.dumps(event)}\n\n".encode()
        return Answer(200, (("content-type", "text/event-stream"),), (said[:90], said[90:]))
    body = gzip.compress(json.dumps(response).encode())
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
    return Answer(200, headers, (body,))


async def _place(instance: Instance) -> int:
    """Calls with a secret in each place where the wire has one; how many they were."""
    trust = ssl.create_default_context(cafile=str(instance.root_certificate))
    openai, gemini = "https://api.openai.com/v1", "https://generativelanguage.googleapis.com/v1beta"
    server = {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example/sse"}
    tools = [server | {"authorization": IN_TOOL}, server | {"headers": {"X-Auth": IN_HEADER}}]
    config = json.dumps({"mcpServers": {"x": {"headers": {"X-Auth": IN_STRING}}}})
    asked = {"model": "gpt-5.5", "input": f"{PROMPT} {config}", "tools": tools}
    signed = (
        f"https://b.s3.example/a.png?X-Amz-Security-Token={IN_AWS}%2Fx&X-Amz-Signature={IN_AWS}"
        f"&sv=1&sig={IN_SIGNATURE[:12]}%2F{IN_SIGNATURE[12:]}%3D"
    )
    image = {"type": "image_url", "image_url": {"url": signed}}
    source = {"endpoint": "e", "authentication": {"type": "api_key", "key": IN_SOURCE}}
    transport = {"url": "https://mcp.example", "headers": {"x-custom-auth": IN_HEADER}}
    bodies: list[tuple[str, dict[str, object]]] = [
        (f"{openai}/responses", asked),
        (f"{openai}/responses", asked | {"stream": True}),
        (
            "https://api.anthropic.com/v1/messages",
            {
                "model": "m",
                "messages": [{"role": "user", "content": PROMPT}],
                "mcp_servers": [{"type": "url", "url": "u", "authorization_token": IN_SERVER}],
            },
        ),
        (
            f"{gemini}/models/g:generateContent",
            {
                "contents": [{"parts": [{"text": PROMPT}]}],
                "tools": [{"mcpServers": [{"name": "x", "streamableHttpTransport": transport}]}],
            },
        ),
        (f"{gemini}/auth_tokens", {"uses": 1}),
        (
            f"{openai}/chat/completions",
            {
                "model": "m",
                "messages": [{"role": "user", "content": [image]}],
                "data_sources": [{"type": "azure_search", "parameters": source}],
            },
        ),
        (
            "https://api.cohere.com/v1/connectors",
            {"name": "n", "service_auth": {"type": "bearer", "token": IN_CONNECTOR}},
        ),
        (f"{openai}/realtime/client_secrets", {"session": {"type": "realtime"}}),
        (f"{openai}/realtime/sessions", {"model": "gpt-realtime"}),
    ]
    proxy = f"http://127.0.0.1:{instance.proxy_port}"
    async with httpx.AsyncClient(verify=trust, proxy=proxy) as client:
        for url, body in bodies:
            await client.post(url, json=body)
        form = {"api_key": (None, IN_FORM), "purpose": (None, "user_data")}
        await client.post(f"{openai}/files", files=form)
        protocols = {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{IN_PROTOCOL}"}
        queries = f"model=m&auth={IN_QUERY}&ek={IN_QUERY}&X-Amz-Signature={IN_QUERY}"
        await client.get(f"{openai}/models?{queries}", headers=protocols)
    return len(bodies) + 2


@pytest.mark.parametrize("tier", [1, 2, 3])
async def test_no_secret_that_only_its_place_tells_is_written(tmp_path: Path, tier: int) -> None:
    """Tools, servers, data sources, signed URLs, forms, queries, and what replies hand out."""
    async with (
        played(tmp_path, _granting) as providers,
        Instance(providers.settings(privacy_tier=tier)) as instance,
    ):
        made = await _place(instance)
        await instance.rows(
            "select * from llm_calls where outcome <> 'in_flight'", lambda r: len(r) == made
        )
        written = list(_written(providers.home))
    for where, value in written:
        for secret in PLACED:
            assert secret.encode() not in value, f"{secret} is in {where}"
            assert secret[-12:].encode() not in value, f"the end of {secret} is in {where}"
    kept = b"\n".join(value for _, value in written)
    assert (b"mcp.example" in kept) == (tier >= 2)
    assert (PROMPT.encode() in kept) == (tier >= 2)
    assert (b'"purpose"' in kept) == (b"sess_1" in kept) == (tier == 3)


async def test_a_compressed_body_is_redacted_too(tmp_path: Path) -> None:
    """What is stored is the decoded body."""
    body = gzip.compress(json.dumps({"id": "c", "choices": [], "note": IN_REPLY}).encode())
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
    async with (
        played(tmp_path, lambda _: Answer(200, headers, (body,))) as providers,
        Instance(providers.settings()) as instance,
    ):
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        async with httpx.AsyncClient(verify=trust, proxy=proxy) as client:
            await client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
        [row] = await instance.rows("select call_id from payloads")
        with sqlite3.connect(providers.home / "data.db") as db:
            stored = response_of(db, row["call_id"]) or b""
        assert b"redacted" in stored
        assert IN_REPLY.encode() not in stored
