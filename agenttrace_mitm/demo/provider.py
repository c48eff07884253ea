"""A fake provider: one TLS server that answers for five, with answers made up on the spot.

Each request is answered by the first entry of `ANSWERS` whose host and path fit.  An answer is
an HTTP status and either a JSON value or a list of server-sent events, sent with pauses as a
model would.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import answers

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
    "api.cohere.com",
)


@dataclass(frozen=True, slots=True)
class Request:
    """What the fake provider reads of a request."""

    host: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it says: a JSON *value*, or *events* (name, data) with `pause_s` between them."""

    status: int = 200
    value: Any = None
    events: tuple[tuple[str, Any], ...] = ()
    pause_s: float = 0.02
    headers: dict[str, str] = field(default_factory=dict)


async def serve(context: ssl.SSLContext) -> tuple[asyncio.Server, int]:
    """Listen on a free loopback port; the server and the port."""
    server = await asyncio.start_server(_connection, "127.0.0.1", 0, ssl=context)
    port: int = server.sockets[0].getsockname()[1]
    return server, port


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while request := await _request(reader):
            await _send(writer, _answer(request))
    except (OSError, asyncio.IncompleteReadError, ValueError):
        pass  # the client left: nothing to answer
    finally:
        writer.close()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.rstrip("\r\n").split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length") or 0))
    path = start.split(" ")[1]
    return Request(headers.get("host", ""), path, headers, json.loads(body) if body else {})


def _answer(request: Request) -> Answer:
    for host, fragment, answer in ANSWERS:
        if request.host == host and fragment in request.path:
            return answer(request)
    return Answer(404, {"error": {"message": f"no such path {request.path}", "type": "not_found"}})


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    kind = "text/event-stream" if answer.events else "application/json"
    headers = {"content-type": kind, "x-request-id": answers.identifier("req"), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} .", *(f"{k}: {v}" for k, v in headers.items())]
    if not answer.events:
        body = json.dumps(answer.value).encode()
        lines.append(f"content-length: {len(body)}")
        await asyncio.sleep(answer.pause_s * 5)
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        return
    lines.append("transfer-encoding: chunked")
    await asyncio.sleep(answer.pause_s * 4)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    for name, data in answer.events:
        await asyncio.sleep(answer.pause_s)
        event = _event(name, data)
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _event(name: str, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def _openai_chat(request: Request) -> Answer:
    if request.body.get("model") == "gpt-retired":
        message = "The model `gpt-retired` does not exist or you do not have access to it."
        error = {"message": message, "type": "invalid_request_error", "code": "model_not_found"}
        return Answer(404, {"error": error})
    messages = request.body["messages"]
    if messages[-1]["role"] == "tool":
        return Answer(events=answers.openai_text(request.body, answers.FORECAST_ADVICE))
    return Answer(events=answers.openai_tool_call(request.body))


def _anthropic(request: Request) -> Answer:
    if "overload" in json.dumps(request.body["messages"]):
        return Answer(events=answers.anthropic_overloaded(request.body))
    return Answer(events=answers.anthropic_message(request.body, answers.ITINERARY))


def _gemini(request: Request) -> Answer:
    return Answer(events=answers.gemini_stream(answers.SUMMARY))


def _mistral(request: Request) -> Answer:
    if request.headers.get("x-stainless-retry-count", "0") == "0":
        error = {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited"}
        return Answer(429, error, headers={"retry-after": "1"})
    return Answer(value=answers.mistral_message(request.body, answers.POSTCARD))


def _cohere(request: Request) -> Answer:
    return Answer(value=answers.cohere_rerank(request.body))


def _embeddings(request: Request) -> Answer:
    return Answer(value=answers.openai_embeddings(request.body))


ANSWERS: tuple[tuple[str, str, Callable[[Request], Answer]], ...] = (
    ("api.openai.com", "/chat/completions", _openai_chat),
    ("api.openai.com", "/embeddings", _embeddings),
    ("api.anthropic.com", "/v1/messages", _anthropic),
    ("generativelanguage.googleapis.com", ":streamGenerateContent", _gemini),
    ("api.mistral.ai", "/chat/completions", _mistral),
    ("api.cohere.com", "/rerank", _cohere),
)
