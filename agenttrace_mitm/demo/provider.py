"""A fake provider: one TLS server that answers for five, with answers made up on the spot.

Each request is answered by the first entry of `ANSWERS` whose host and path fit.
"""

import json
from collections.abc import Callable
from typing import Any

from . import answers, coding
from .server import Answer, Request

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
    "api.cohere.com",
)
PAUSE_S = 0.02


def answer(request: Request) -> Answer:
    """What the provider under this host and path says."""
    for host, fragment, respond in ANSWERS:
        if request.host == host and fragment in request.path:
            return respond(request, json.loads(request.body or b"{}"))
    return _value({"error": {"message": f"no such path {request.path}"}}, status=404)


def _value(value: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    body = json.dumps(value).encode()
    length = ("content-length", str(len(body)))
    return Answer(status, (*_head("application/json"), length, *headers), (body,), PAUSE_S * 3)


def _stream(events: answers.Events) -> Answer:
    pieces = tuple(_event(name, data) for name, data in events)
    return Answer(200, _head("text/event-stream"), pieces, PAUSE_S)


def _head(content_type: str) -> tuple[tuple[str, str], ...]:
    return ("content-type", content_type), ("x-request-id", answers.identifier("req"))


def _event(name: str, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def _openai_chat(request: Request, body: Any) -> Answer:
    if body.get("model") == "gpt-retired":
        message = "The model `gpt-retired` does not exist or you do not have access to it."
        error = {"message": message, "type": "invalid_request_error", "code": "model_not_found"}
        return _value({"error": error}, 404)
    if body["messages"][-1]["role"] == "tool":
        return _stream(answers.openai_text(body, answers.FORECAST_ADVICE))
    return _stream(answers.openai_tool_call(body))


def _anthropic(request: Request, body: Any) -> Answer:
    if "tools" in body:
        return _stream(answers.anthropic_scripted(body, coding.reply(body["messages"])))
    if "overload" in json.dumps(body["messages"]):
        return _stream(answers.anthropic_overloaded(body))
    return _stream(answers.anthropic_message(body, answers.ITINERARY))


def _gemini(request: Request, body: Any) -> Answer:
    return _stream(answers.gemini_stream(answers.SUMMARY))


def _mistral(request: Request, body: Any) -> Answer:
    if request.headers.get("x-stainless-retry-count", "0") == "0":
        error = {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited"}
        return _value(error, 429, ("retry-after", "1"))
    return _value(answers.mistral_message(body, answers.POSTCARD))


def _cohere(request: Request, body: Any) -> Answer:
    return _value(answers.cohere_rerank(body))


def _embeddings(request: Request, body: Any) -> Answer:
    return _value(answers.openai_embeddings(body))


ANSWERS: tuple[tuple[str, str, Callable[[Request, Any], Answer]], ...] = (
    ("api.openai.com", "/chat/completions", _openai_chat),
    ("api.openai.com", "/embeddings", _embeddings),
    ("api.anthropic.com", "/v1/messages", _anthropic),
    ("generativelanguage.googleapis.com", ":streamGenerateContent", _gemini),
    ("api.mistral.ai", "/chat/completions", _mistral),
    ("api.cohere.com", "/rerank", _cohere),
)
