"""Gemini over gRPC: protocol buffers turned into the JSON that the REST endpoint speaks.

Only the fields that are read have a name here; all others are passed over.  Everything above
this file reads the same values as over HTTP.
"""

import base64
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from msgspec.structs import replace

from ..model import Ask, Exchange, Failure, Json, JsonObject, Kind, Reply
from ..wire.events import Event
from ..wire.grpc import GrpcDecoder, fields
from ..wire.jsonio import encode
from .adapter import Framing, Route
from .gemini_generate import GeminiGenerate

_PATH = re.compile(
    r"^/google\.ai\.generativelanguage\.\w+\.GenerativeService/"
    r"(?P<method>GenerateContent|StreamGenerateContent|CountTokens)$"
)
_DEEPEST = 60
_STATUS = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_BLOCKED = ("", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")


@dataclass(frozen=True, slots=True)
class _As:
    """What a field number stands for: its JSON name and how its value is read."""

    name: str
    kind: "str | Mapping[int, _As]" = "text"
    many: bool = False


_COUNTED = {1: _As("modality", "number"), 2: _As("tokenCount", "number")}
_USAGE = {
    1: _As("promptTokenCount", "number"),
    2: _As("candidatesTokenCount", "number"),
    3: _As("totalTokenCount", "number"),
    4: _As("cachedContentTokenCount", "number"),
    5: _As("promptTokensDetails", _COUNTED, many=True),
    6: _As("cacheTokensDetails", _COUNTED, many=True),
    7: _As("candidatesTokensDetails", _COUNTED, many=True),
    8: _As("toolUsePromptTokenCount", "number"),
    9: _As("toolUsePromptTokensDetails", _COUNTED, many=True),
    10: _As("thoughtsTokenCount", "number"),
}
_CALL = {1: _As("name"), 2: _As("args", "struct"), 3: _As("id")}
_RESULT = {1: _As("name"), 2: _As("response", "struct"), 3: _As("id")}
_PART = {
    2: _As("text"),
    3: _As("inlineData", {1: _As("mimeType"), 2: _As("data", "base64")}),
    4: _As("functionCall", _CALL),
    5: _As("functionResponse", _RESULT),
    6: _As("fileData", {1: _As("mimeType"), 2: _As("fileUri")}),
    9: _As("executableCode", {2: _As("code")}),
    10: _As("codeExecutionResult", {2: _As("output")}),
    11: _As("thought", "flag"),
    13: _As("thoughtSignature", "base64"),
}
_CONTENT = {1: _As("parts", _PART, many=True), 2: _As("role")}
_CANDIDATE = {
    1: _As("content", _CONTENT),
    2: _As("finishReason", "number"),
    3: _As("index", "number"),
    4: _As("finishMessage"),
}
_RESPONSE = {
    1: _As("candidates", _CANDIDATE, many=True),
    2: _As("promptFeedback", {1: _As("blockReason", "number")}),
    3: _As("usageMetadata", _USAGE),
    4: _As("modelVersion"),
    5: _As("responseId"),
}
_REQUEST = {
    1: _As("model"),
    2: _As("contents", _CONTENT, many=True),
    4: _As(
        "generationConfig",
        {1: _As("candidateCount", "number"), 4: _As("maxOutputTokens", "number")},
    ),
    5: _As("tools", {1: _As("functionDeclarations", {1: _As("name")}, many=True)}, many=True),
    8: _As("systemInstruction", _CONTENT),
    9: _As("cachedContent"),
}


def request_of(data: bytes | None) -> JsonObject:
    """The request in a gRPC body, as JSON; empty when there is none."""
    messages = GrpcDecoder().feed(data or b"")
    return _message(messages[0].data, _REQUEST, 0) if messages else {}


class GeminiGrpcDecoder:
    """The responses in a gRPC body, each as the JSON of one event."""

    def __init__(self) -> None:
        self._frames = GrpcDecoder()

    def feed(self, chunk: bytes) -> list[Event]:
        """The responses that *chunk* completed."""
        return [
            Event("", encode(_response(data)).encode(), end)
            for _, data, end in self._frames.feed(chunk)
        ]

    def close(self) -> list[Event]:
        """Nothing: half a message is none."""
        return []


class GeminiGrpc(GeminiGenerate):
    """`gemini.grpc`: generating and counting over gRPC."""

    dialect = "gemini.grpc"

    def matches(self, route: Route) -> bool:
        """True for the methods that generate or count."""
        return route.is_post and _PATH.match(route.path) is not None

    def operation(self, route: Route) -> str:
        """Generating, or a count."""
        return "count_tokens" if route.path.endswith("/CountTokens") else "generate_content"

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if route.path.endswith("/CountTokens") else "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always messages with a length before them."""
        return "grpc"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The request, whose model is a resource name."""
        ask = super().read_request(body, route)
        return replace(ask, model=ask.model.removeprefix("models/"), streamed=is_streamed(route))


def is_streamed(route: Route) -> bool:
    """True for the method whose answer comes in pieces."""
    return "/Stream" in route.path


def with_status(reply: Reply, exchange: Exchange) -> Reply:
    """*reply* with what the trailers say about its end."""
    told = exchange.trailers.get("grpc-status") or exchange.response_headers.get("grpc-status")
    if not told:
        return reply
    if told == "0":
        return replace(reply, complete=True)
    words = exchange.trailers.get("grpc-message") or exchange.response_headers.get("grpc-message")
    known = told.isascii() and told.isdigit() and int(told) < len(_STATUS)
    failure = Failure(_STATUS[int(told)] if known else "", told, unquote(words))
    return replace(reply, failure=failure, finish_reason="error")


def _response(data: bytes) -> JsonObject:
    value = _message(data, _RESPONSE, 0)
    feedback = value.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        reason = feedback["blockReason"]
        feedback["blockReason"] = _BLOCKED[reason] if reason < len(_BLOCKED) else str(reason)
    # A count's answer has the total where a generated one has its candidates.
    total = next((f.value for f in fields(data) if f.number == 1), None)
    return {"totalTokens": total} if isinstance(total, int) else value


def _message(data: bytes, names: Mapping[int, _As], depth: int) -> JsonObject:
    found: JsonObject = {}
    for one in fields(data):
        known = names.get(one.number)
        if known is None or depth > _DEEPEST:
            continue
        value = _value(one.value, known.kind, depth)
        if value is None:
            continue
        if known.many:
            found.setdefault(known.name, []).append(value)
        else:
            found[known.name] = value
    return found


def _value(value: int | bytes, kind: str | Mapping[int, _As], depth: int) -> Json:
    """A field's value as JSON; None where it is not of the kind that it should be."""
    if isinstance(value, int):
        return {"number": value, "flag": bool(value)}.get(kind) if isinstance(kind, str) else None
    match kind:
        case "text":
            return value.decode("utf-8", "replace")
        case "base64":
            return base64.b64encode(value).decode()
        case "struct":
            return _struct(value, depth + 1)
        case str():
            return None
        case _:
            return _message(value, kind, depth + 1)


def _struct(data: bytes, depth: int) -> JsonObject:
    """A `google.protobuf.Struct`."""
    found: JsonObject = {}
    for entry in fields(data):
        if isinstance(entry.value, bytes) and depth <= _DEEPEST:
            pair = {one.number: one.value for one in fields(entry.value)}
            key, value = pair.get(1), pair.get(2)
            if isinstance(key, bytes):
                text = key.decode("utf-8", "replace")
                found[text] = _any(value, depth + 1) if isinstance(value, bytes) else None
    return found


def _any(data: bytes, depth: int) -> Json:
    """A `google.protobuf.Value`."""
    for one in fields(data):
        match one.number, one.value:
            case 2, bytes(raw) if len(raw) == 8:
                [number] = struct.unpack("<d", raw)
                return int(number) if number.is_integer() else number
            case 3, bytes(raw):
                return raw.decode("utf-8", "replace")
            case 4, int(flag):
                return bool(flag)
            case 5, bytes(raw):
                return _struct(raw, depth + 1)
            case 6, bytes(raw) if depth <= _DEEPEST:
                return [_any(v.value, depth + 1) for v in fields(raw) if isinstance(v.value, bytes)]
            case _:
                pass
    return None
