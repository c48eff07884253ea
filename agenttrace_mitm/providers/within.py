"""Calls that another exchange carried: the lines of a batch, the spans of a managed session.

Comes in: an exchange.  Goes out: one exchange for each call it holds, as if it had been made on its
own: same moment, same caller, the path of its own endpoint, `within` saying what it was read
from.  Ids are derived from the carrier's, so that a repeat changes nothing.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from ..clock import derived_id
from ..model import Body, Exchange, Headers, Json, JsonObject
from ..wire.encodings import content_of
from ..wire.jsonio import NotJson, decode, encode, list_of, object_of, text_of
from ..wire.sse import SseDecoder

_JSON = Headers((("content-type", "application/json"),))
# What a body is, by its `object` -> the endpoint that answers with such a body.
_ENDPOINTS = {
    "chat.completion": "/v1/chat/completions",
    "response": "/v1/responses",
    "text_completion": "/v1/completions",
    "list": "/v1/embeddings",
}


class _Held(msgspec.Struct, frozen=True):
    """A call inside: where it would have been made, what was answered, what the client named it."""

    path: str
    body: Json
    status: int = 200
    custom_id: str = ""
    request_id: str = ""
    processing: Literal["", "batch"] = "batch"


def calls_within(exchange: Exchange) -> tuple[Exchange, ...]:
    """The calls that *exchange* carries, in their order; nearly always none."""
    read = next((read for match, read in _CARRIERS if _carries(exchange, match)), None)
    if read is None or exchange.status != 200 or exchange.within:
        return ()
    data = content_of(exchange.response, exchange.response_headers).data
    held = read(data) if data else ()
    return tuple(_derived(exchange, n, call) for n, call in enumerate(held))


def _carries(exchange: Exchange, where: tuple[str, re.Pattern[str]]) -> bool:
    provider, path = where
    got = exchange.method == "GET" and exchange.family in provider.split()
    return got and path.search(exchange.path) is not None


def _derived(exchange: Exchange, n: int, held: _Held) -> Exchange:
    body = encode(held.body).encode("utf-8", "replace")
    said = [pair for pair in exchange.request_headers.pairs if pair[0].lower() in _CARRIED]
    asked = [("x-client-request-id", held.custom_id)] if held.custom_id else []
    got = [("x-request-id", held.request_id)] if held.request_id else []
    return replace(
        exchange,
        id=derived_id(exchange.started_us, f"{exchange.id}/{n}"),
        method="POST",
        target=held.path,
        within=exchange.target,
        processing=held.processing,
        request_headers=Headers((*said, *asked)),
        request=Body(),
        status=held.status,
        response_headers=Headers((*_JSON.pairs, *got)),
        response=Body(body, len(body)),
        ending="complete",
        notes=(),
    )


_CARRIED = frozenset({"user-agent", "anthropic-version", "anthropic-beta", "traceparent"})


def _lines(data: bytes) -> Iterator[JsonObject]:
    for line in data.splitlines():
        try:
            value = decode(line) if line.strip() else None
        except NotJson:  # the last line, of a body that was cut
            continue
        if isinstance(value, dict):
            yield value


def _batch_file(data: bytes) -> Iterator[_Held]:
    """OpenAI and Mistral: `{custom_id, response: {status_code, request_id, body}, error}`."""
    for line in _lines(data):
        response = object_of(line.get("response"))
        body = object_of(response.get("body"))
        if "custom_id" not in line or not body:
            continue
        status = response.get("status_code")
        yield _Held(
            _ENDPOINTS.get(text_of(body.get("object")), "/v1/chat/completions"),
            body,
            status if isinstance(status, int) else 200,
            text_of(line.get("custom_id")),
            text_of(response.get("request_id")),
        )


def _message_results(data: bytes) -> Iterator[_Held]:
    """Anthropic: `{custom_id, result: {type, message | error}}`."""
    for line in _lines(data):
        result = object_of(line.get("result"))
        custom_id, kind = text_of(line.get("custom_id")), text_of(result.get("type"))
        if kind == "succeeded":
            yield _Held("/v1/messages", result.get("message"), custom_id=custom_id)
        elif kind == "errored":
            error = object_of(result.get("error"))
            yield _Held("/v1/messages", {"error": error.get("error") or error}, custom_id=custom_id)


def _inlined_responses(data: bytes) -> Iterator[_Held]:
    """Gemini: a batch that is done holds its responses, or an error for each that failed."""
    try:
        batch = object_of(decode(data))
    except NotJson:
        return
    about = object_of(batch.get("metadata"))
    model = text_of(about.get("model")) or "models/unknown"
    result = object_of(batch.get("response")) or object_of(about.get("output"))
    inlined = result.get("inlinedResponses") or object_of(about.get("output")).get(
        "inlinedResponses"
    )
    for one in list_of(object_of(inlined).get("inlinedResponses")):
        fields = object_of(one)
        custom = object_of(fields.get("metadata"))
        custom_id = text_of(custom.get("custom_id")) or text_of(custom.get("key"))
        body = fields.get("response") or {"error": fields.get("error")}
        yield _Held(f"/v1beta/{model}:generateContent", body, custom_id=custom_id)


def _session_events(data: bytes) -> Iterator[_Held]:
    """Anthropic's managed agents: each `span.model_request_end` is a call of a model."""
    seen: set[str] = set()
    models: dict[str, str] = {}
    for event in _events(data):
        kind, event_id = text_of(event.get("type")), text_of(event.get("id"))
        if kind == "span.model_request_start":
            models[event_id] = text_of(event.get("model"))
        if kind != "span.model_request_end" or event_id in seen:
            continue
        seen.add(event_id)  # the stream replays what came before it was opened
        spent = object_of(event.get("model_usage"))
        begun = text_of(event.get("model_request_start_id"))
        body = {
            "id": event_id,
            "type": "message",
            "role": "assistant",
            "model": text_of(event.get("model")) or models.get(begun, ""),
            "content": [],
            "usage": spent,
        }
        failed = {"error": {"type": "model_request_error"}} if event.get("is_error") is True else {}
        yield _Held("/v1/messages", body | failed, processing="")


def _events(data: bytes) -> Iterable[JsonObject]:
    if data.lstrip()[:1] == b"{":
        try:
            return [object_of(event) for event in list_of(object_of(decode(data)).get("data"))]
        except NotJson:
            return []
    decoder = SseDecoder()
    found = [*decoder.feed(data), *decoder.close()]
    return [event for one in found for event in _lines(one.data)]


_CARRIERS = (
    (("openai mistral", re.compile(r"/v1/files/[^/]+/content/?$")), _batch_file),
    (("anthropic", re.compile(r"/v1/messages/batches/[^/]+/results/?$")), _message_results),
    (("google", re.compile(r"/v1\w*/batches/[^/]+/?$")), _inlined_responses),
    (("anthropic", re.compile(r"/v1/sessions/[^/]+/events(/stream)?/?$")), _session_events),
)
