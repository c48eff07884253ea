"""Gemini over gRPC: protocol buffers turned into the JSON that the REST endpoint speaks.

Only the fields that are read have a name here; Vertex numbers them in its own way, see
`vertex_grpc`.  Everything above reads the same values as over HTTP.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from msgspec.structs import replace

from ..model import Ask, Exchange, Failure, JsonObject, Kind, Reply
from ..wire.events import Event
from ..wire.grpc import GrpcDecoder, fields
from ..wire.jsonio import encode
from .adapter import Framing, Route
from .gemini_generate import GeminiGenerate
from .protobuf import As, message

_PATH = re.compile(
    r"^/google\.ai\.generativelanguage\.\w+\.GenerativeService/"
    r"(?P<method>GenerateContent|StreamGenerateContent|CountTokens)$"
)
_RESOURCE = re.compile(r"^(?:.*/)?models/|^.*/(?=endpoints/)")
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


_COUNTED = {1: As("modality", "number"), 2: As("tokenCount", "number")}
_USAGE = {
    1: As("promptTokenCount", "number"),
    2: As("candidatesTokenCount", "number"),
    3: As("totalTokenCount", "number"),
    4: As("cachedContentTokenCount", "number"),
    5: As("promptTokensDetails", _COUNTED, many=True),
    6: As("cacheTokensDetails", _COUNTED, many=True),
    7: As("candidatesTokensDetails", _COUNTED, many=True),
    8: As("toolUsePromptTokenCount", "number"),
    9: As("toolUsePromptTokensDetails", _COUNTED, many=True),
    10: As("thoughtsTokenCount", "number"),
}
_CALL = {1: As("name"), 2: As("args", "struct"), 3: As("id")}
_RESULT = {1: As("name"), 2: As("response", "struct"), 3: As("id")}
_PART = {
    2: As("text"),
    3: As("inlineData", {1: As("mimeType"), 2: As("data", "base64")}),
    4: As("functionCall", _CALL),
    5: As("functionResponse", _RESULT),
    6: As("fileData", {1: As("mimeType"), 2: As("fileUri")}),
    9: As("executableCode", {2: As("code")}),
    10: As("codeExecutionResult", {2: As("output")}),
    11: As("thought", "flag"),
    13: As("thoughtSignature", "base64"),
}
_CONTENT = {1: As("parts", _PART, many=True), 2: As("role")}
_CANDIDATE = {
    1: As("content", _CONTENT),
    2: As("finishReason", "number"),
    3: As("index", "number"),
    4: As("finishMessage"),
}
_RESPONSE = {
    1: As("candidates", _CANDIDATE, many=True),
    2: As("promptFeedback", {1: As("blockReason", _BLOCKED)}),
    3: As("usageMetadata", _USAGE),
    4: As("modelVersion"),
    5: As("responseId"),
}
_REQUEST = {
    1: As("model"),
    2: As("contents", _CONTENT, many=True),
    4: As(
        "generationConfig",
        {1: As("candidateCount", "number"), 4: As("maxOutputTokens", "number")},
    ),
    5: As("tools", {1: As("functionDeclarations", {1: As("name")}, many=True)}, many=True),
    8: As("systemInstruction", _CONTENT),
    9: As("cachedContent"),
}


class GeminiGrpcDecoder:
    """The responses in a gRPC body, each as the JSON of one event."""

    names: Mapping[int, As] = _RESPONSE

    def __init__(self) -> None:
        self._frames = GrpcDecoder()

    def feed(self, chunk: bytes) -> list[Event]:
        """The responses that *chunk* completed."""
        return [
            Event("", encode(self._response(data)).encode(), end)
            for _, data, end in self._frames.feed(chunk)
        ]

    def close(self) -> list[Event]:
        """Nothing: half a message is none."""
        return []

    def _response(self, data: bytes) -> JsonObject:
        # A count's answer has the total in its first field, a generated one never a number.
        total = next((f.value for f in fields(data) if f.number == 1), None)
        return {"totalTokens": total} if isinstance(total, int) else message(data, self.names)


class GeminiGrpc(GeminiGenerate):
    """`gemini.grpc`: generating and counting over gRPC."""

    dialect = "gemini.grpc"
    path = _PATH

    def matches(self, route: Route) -> bool:
        """True for the methods that generate or count."""
        return route.is_post and self.path.match(route.path) is not None

    def operation(self, route: Route) -> str:
        """Generating, or a count."""
        return "count_tokens" if route.path.endswith("/CountTokens") else "generate_content"

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if route.path.endswith("/CountTokens") else "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always messages with a length before them."""
        return "grpc"

    def request_of(self, data: bytes | None, route: Route) -> JsonObject:
        """The request in a gRPC body, as JSON; empty when there is none."""
        messages = GrpcDecoder().feed(data or b"")
        return message(messages[0].data, self.request_names(route)) if messages else {}

    def request_names(self, route: Route) -> Mapping[int, As]:
        """What the fields of the request are called."""
        return _REQUEST

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The request, whose model is a resource name."""
        ask = super().read_request(body, route)
        return replace(ask, model=_RESOURCE.sub("", ask.model), streamed=is_streamed(route))


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
