"""Calls that another exchange carried: the lines of a batch, the spans of a managed session.

Comes in: an exchange.  Goes out: one exchange for each call it holds, as if it had been made on its
own: same moment, same caller, the path of its own endpoint, `within` saying what it was read
from.  Their ids are derived from the moment and from what is read: of a call that is read again,
from another download of its file, only the moment in its id is another.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from ..clock import derived_id
from ..model import Body, Exchange, Headers, Json, JsonObject
from ..wire.encodings import content_of
from ..wire.jsonio import NotJson, decode, encode, list_of, object_of, text_of
from ..wire.sse import SseDecoder
from .understanding import route_of

_JSON = Headers((("content-type", "application/json"),))
# What a body is, by its `object` -> the endpoint that answers with such a body.
_ENDPOINTS = {
    "chat.completion": "/v1/chat/completions",
    "response": "/v1/responses",
    "text_completion": "/v1/completions",
    "list": "/v1/embeddings",
    "conversation.response": "/v1/conversations",
}
# Without an `object`, by a field that only such a body has.
_ENDPOINTS_BY_FIELD = {
    "choices": "/v1/chat/completions",
    "pages": "/v1/ocr",
    "results": "/v1/moderations",
    "outputs": "/v1/conversations",
    "text": "/v1/audio/transcriptions",
    "data": "/v1/images/generations",
}
_UNTOLD = "/v1/chat/completions"
_NO_MODEL = "v1internal"
"""Where Gemini's methods stand in a path that names no model."""


class _Held(msgspec.Struct, frozen=True):
    """A call inside: where it would have been made, what was answered, what the client named it.

    `name` tells it from the others where the client gave it no name, `held_by` is what is said to
    hold it as well: whichever of both is read, it is the same call.
    """

    path: str
    body: Json
    status: int = 200
    custom_id: str = ""
    request_id: str = ""
    processing: Literal["", "batch"] = "batch"
    name: str = ""
    held_by: str = ""


class _Carrier(msgspec.Struct, frozen=True):
    """What holds calls: whose it is (empty: everybody's else), at which path, how it is read.

    The path's group is what holds them, however it is asked for.
    """

    families: frozenset[str]
    path: re.Pattern[str]
    read: Callable[[bytes], Iterator[_Held]]


def calls_within(exchange: Exchange) -> tuple[Exchange, ...]:
    """The calls that *exchange* carries, in their order; nearly always none."""
    if exchange.method != "GET" or exchange.status != 200 or exchange.within:
        return ()
    path = route_of(exchange).path
    for carrier in _carriers_of(exchange.family):
        if found := carrier.path.search(path):
            data = content_of(exchange.response, exchange.response_headers).data
            held = tuple(carrier.read(data)) if data else ()
            names = _names(held, found[1])
            return tuple(
                _derived(exchange, f"{exchange.host}/{name}", call)
                for name, call in zip(names, held, strict=True)
            )
    return ()


def _carriers_of(family: str) -> list[_Carrier]:
    own = [carrier for carrier in _CARRIERS if family in carrier.families]
    return own or [carrier for carrier in _CARRIERS if not carrier.families]


def _names(held: Iterable[_Held], holder: str) -> Iterator[str]:
    """What tells each call from the others: what holds it, and its name or else its line there."""
    seen: set[tuple[str, str]] = set()
    lines: Counter[str] = Counter()
    for call in held:
        by, name = call.held_by or holder, call.name or call.custom_id
        own = name and (by, name) not in seen
        yield f"{by} id {name}" if own else f"{by} line {lines[by]}"
        seen.add((by, name))
        lines[by] += 1


def _derived(exchange: Exchange, name: str, held: _Held) -> Exchange:
    body = encode(held.body).encode("utf-8", "replace")
    said = [pair for pair in exchange.request_headers.pairs if pair[0].lower() in _CARRIED]
    asked = [("x-client-request-id", held.custom_id)] if held.custom_id else []
    got = [("x-request-id", held.request_id)] if held.request_id else []
    return replace(
        exchange,
        id=derived_id(exchange.started_us, name),
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
    """The objects of JSON lines; none where the first is none, as in a picture."""
    for line in data.splitlines() if data[:64].lstrip()[:1] == b"{" else ():
        try:
            value = decode(line) if line.strip() else None
        except NotJson:  # the last line, of a body that was cut
            continue
        if isinstance(value, dict):
            yield value


def _batch_file(data: bytes) -> Iterator[_Held]:
    """OpenAI, Mistral, Azure ...: a line for each request, failed ones in a file of their own."""
    for line in _lines(data):
        yield from _answered(line)


def _job_outputs(data: bytes) -> Iterator[_Held]:
    """Mistral: a job that was asked for `inline` has in `outputs` what its files have in lines.

    Whoever then gets a file as well is told the same calls: they go by the file's name.
    """
    try:
        job = object_of(decode(data))
    except NotJson:
        return
    told = text_of(job.get("endpoint"))
    endpoint = told if told.startswith("/v1/") else ""
    good, bad = text_of(job.get("output_file")), text_of(job.get("error_file"))
    for line in list_of(job.get("outputs")):
        for call in _answered(object_of(line), endpoint):
            file = bad if bad and call.status >= 400 else good
            yield replace(call, held_by=f"files/{file}" if file else "")


def _answered(line: JsonObject, endpoint: str = "") -> Iterator[_Held]:
    """`{custom_id, response: {status_code, request_id, body}, error}`; other lines hold nothing.

    *endpoint* is what the batch was for, where that is told; else the body's shape tells.
    """
    response = object_of(line.get("response"))
    body = object_of(response.get("body"))
    if not body or not (endpoint or "custom_id" in line):
        return
    status = response.get("status_code")
    yield _Held(
        endpoint or _endpoint_of(body),
        body,
        status if isinstance(status, int) else 200,
        text_of(line.get("custom_id")),
        text_of(response.get("request_id")),
    )


def _endpoint_of(body: JsonObject) -> str:
    """Where such an answer comes from; an error comes from anywhere."""
    if known := _ENDPOINTS.get(text_of(body.get("object"))):
        return known
    return next((path for field, path in _ENDPOINTS_BY_FIELD.items() if field in body), _UNTOLD)


def _generated_file(data: bytes) -> Iterator[_Held]:
    """Gemini: `{key, response | error}`; by its OpenAI-compatible endpoint lines like OpenAI's."""
    for line in _lines(data):
        if "custom_id" in line:
            yield from _answered(line)
        elif isinstance(line.get("response"), dict) or isinstance(line.get("error"), dict):
            yield _generated(line, _NO_MODEL, text_of(line.get("key")))


def _generated(line: JsonObject, where: str, custom_id: str) -> _Held:
    """What Gemini answered to a request of a batch: contents, an embedding, or an error."""
    body = object_of(line.get("response")) or {"error": line.get("error")}
    method = "embedContent" if "embedding" in body else "generateContent"
    return _Held(f"/{where}:{method}", body, custom_id=custom_id)


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
    model = text_of(about.get("model"))
    where = f"v1beta/{model}" if model else _NO_MODEL
    result = object_of(batch.get("response")) or object_of(about.get("output"))
    inlined = result.get("inlinedResponses") or object_of(about.get("output")).get(
        "inlinedResponses"
    )
    for one in list_of(object_of(inlined).get("inlinedResponses")):
        fields = object_of(one)
        custom = object_of(fields.get("metadata"))
        custom_id = text_of(custom.get("custom_id")) or text_of(custom.get("key"))
        yield _generated(fields, where, custom_id)


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
        yield _Held("/v1/messages", body | failed, processing="", name=event_id)


def _events(data: bytes) -> Iterable[JsonObject]:
    if data.lstrip()[:1] == b"{":
        try:
            return [object_of(event) for event in list_of(object_of(decode(data)).get("data"))]
        except NotJson:
            return []
    decoder = SseDecoder()
    found = [*decoder.feed(data), *decoder.close()]
    return [event for one in found for event in _lines(one.data)]


def _carrier(families: str, path: str, read: Callable[[bytes], Iterator[_Held]]) -> _Carrier:
    return _Carrier(frozenset(families.split()), re.compile(path), read)


_CARRIERS = (
    # Whoever has batches in OpenAI's way has its files.
    _carrier("", r"/(files/[^/]+)/content$", _batch_file),
    _carrier("", r"/v1/(batch/jobs/[^/]+)$", _job_outputs),
    _carrier("anthropic", r"/v1/(messages/batches/[^/]+)/results$", _message_results),
    _carrier("anthropic", r"/v1/(sessions/[^/]+)/events(?:/stream)?$", _session_events),
    _carrier("google", r"/v1\w*/(batches/[^/:]+)$", _inlined_responses),
    _carrier("google", r"/v1\w*/(files/[^/:]+):download$", _generated_file),
)
