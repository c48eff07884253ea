"""Gemini on Vertex over gRPC: the same values as `gemini_grpc`, under other numbers."""

import re
from collections.abc import Mapping

from ..model import JsonObject
from .adapter import Framing, Route
from .gemini_grpc import GeminiGrpc, GeminiGrpcDecoder
from .protobuf import As

_REASONS = (
    "",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
)
_BLOCKED = ("", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT")

_COUNTED = {1: As("modality", "number"), 2: As("tokenCount", "number")}
_USAGE = {
    1: As("promptTokenCount", "number"),
    2: As("candidatesTokenCount", "number"),
    3: As("totalTokenCount", "number"),
    5: As("cachedContentTokenCount", "number"),
    8: As("trafficType", "number"),
    9: As("promptTokensDetails", _COUNTED, many=True),
    10: As("cacheTokensDetails", _COUNTED, many=True),
    11: As("candidatesTokensDetails", _COUNTED, many=True),
    12: As("toolUsePromptTokensDetails", _COUNTED, many=True),
    13: As("toolUsePromptTokenCount", "number"),
    14: As("thoughtsTokenCount", "number"),
}
_CALL = {1: As("name"), 2: As("args", "struct"), 3: As("id")}
_RESULT = {1: As("name"), 2: As("response", "struct"), 3: As("id")}
_PART = {
    1: As("text"),
    2: As("inlineData", {1: As("mimeType"), 2: As("data", "base64")}),
    3: As("fileData", {1: As("mimeType"), 2: As("fileUri")}),
    5: As("functionCall", _CALL),
    6: As("functionResponse", _RESULT),
    8: As("executableCode", {2: As("code")}),
    9: As("codeExecutionResult", {2: As("output")}),
    10: As("thought", "flag"),
    11: As("thoughtSignature", "base64"),
}
_CONTENT = {1: As("role"), 2: As("parts", _PART, many=True)}
_CANDIDATE = {
    1: As("index", "number"),
    2: As("content", _CONTENT),
    3: As("finishReason", _REASONS),
    5: As("finishMessage"),
    7: As("groundingMetadata", {1: As("webSearchQueries", many=True)}),
}
_RESPONSE = {
    2: As("candidates", _CANDIDATE, many=True),
    3: As("promptFeedback", {1: As("blockReason", _BLOCKED)}),
    4: As("usageMetadata", _USAGE),
    11: As("modelVersion"),
    13: As("responseId"),
}
_TOOLS = As("tools", {1: As("functionDeclarations", {1: As("name")}, many=True)}, many=True)
_REQUEST = {
    2: As("contents", _CONTENT, many=True),
    4: As(
        "generationConfig",
        {4: As("candidateCount", "number"), 5: As("maxOutputTokens", "number")},
    ),
    5: As("model"),
    6: _TOOLS,
    8: As("systemInstruction", _CONTENT),
    9: As("cachedContent"),
}
_COUNT = {3: As("model"), 4: As("contents", _CONTENT, many=True)}


class VertexGrpcDecoder(GeminiGrpcDecoder):
    """The responses in a gRPC body of Vertex."""

    names = _RESPONSE


class VertexGrpc(GeminiGrpc):
    """`gemini.grpc` as Vertex speaks it."""

    path = re.compile(
        r"^/google\.cloud\.aiplatform\.\w+\.(PredictionService|LlmUtilityService)/"
        r"(GenerateContent|StreamGenerateContent|CountTokens)$"
    )

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Messages with a length before them, numbered Vertex's way."""
        return "vertex-grpc"

    def request_names(self, route: Route) -> Mapping[int, As]:
        """What the fields are called: a count numbers them in a way of its own."""
        return _COUNT if route.path.endswith("/CountTokens") else _REQUEST
