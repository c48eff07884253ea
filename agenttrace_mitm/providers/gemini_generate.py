"""Gemini: generating content, streamed or not, and counting tokens.

The model stands in the path; one that was tuned on Vertex goes by its `endpoints/{id}`.  Requests
come in camelCase or snake_case, answers in camelCase.  Gemini CLI with a Google login wraps both
in an envelope.  `gemini_stream` folds streams.
"""

import re

from ..model import Ask, Json, JsonObject, Kind, Links, Message, Reply, ToolCallPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .finish import normalized
from .gemini_content import field, messages_of, parts_of
from .gemini_stream import GeminiStream, unwrapped
from .params import chosen
from .usage import cached_splits, splits, total_of, usage, with_thoughts

_METHOD = re.compile(
    r"(?:/models/(?P<model>[^/:]+)|/(?P<other>(?:tunedModels|dynamic|endpoints)/[^/:]+)|/v1internal)"
    r":(?P<method>generateContent|streamGenerateContent|countTokens)$"
)
_PARAMS = (
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "candidateCount",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseModalities",
    "responseLogprobs",
    "logprobs",
    "mediaResolution",
    "thinkingConfig",
)
# finishReason as a number, with `enum-encoding=int`.
_REASONS = (
    "",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
)
_TRAFFIC = {0: "", 1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}
_MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}


class GeminiGenerate:
    """`gemini.generate`: `:generateContent`, `:streamGenerateContent`, `:countTokens`."""

    dialect = "gemini.generate"

    def matches(self, route: Route) -> bool:
        """True for the methods on any model."""
        return route.is_post and _METHOD.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """Generating, or a count."""
        return "count_tokens" if route.path.endswith(":countTokens") else "generate_content"

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if route.path.endswith(":countTokens") else "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Server-sent events if asked for, else one JSON array that comes in pieces."""
        streams = route.path.endswith(":streamGenerateContent")
        return "json-array" if streams and route.query.get("alt") != "sse" else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """System instruction, contents, tools and generation parameters."""
        request = Reader(body)
        model = request.text("model") or model_of(route)
        if "contents" not in body:
            body = _inner_request(body)
        return Ask(
            model=model,
            streamed=route.path.endswith(":streamGenerateContent"),
            messages=tuple(messages_of(field(body, "systemInstruction"), body.get("contents"))),
            tool_names=tuple(_tool_names(body.get("tools"))),
            tools=body.get("tools"),
            params=_params(body),
            links=Links(session_id=text_of(body.get("session_id"))),
            metadata=object_of(body.get("labels")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of partial responses."""
        return GeminiStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each candidate."""
        body = unwrapped(body)
        reply = Reader(body)
        if self.operation(route) == "count_tokens":
            detail = splits(counted_tokens=reply.count("totalTokens"))
            return Reply(usage=Usage(detail=detail, raw=body), notes=tuple(reply.notes))
        candidates = [object_of(candidate) for candidate in reply.list("candidates")]
        messages = tuple(_answer(candidate.get("content")) for candidate in candidates)
        reasons = [candidate.get("finishReason") for candidate in candidates]
        blocked = text_of(object_of(body.get("promptFeedback")).get("blockReason"))
        return Reply(
            model=reply.text("modelVersion"),
            response_id=reply.text("responseId"),
            messages=messages,
            finish_reasons=tuple(str(reason) for reason in reasons if reason),
            finish_reason=_finish(reasons, messages, blocked),
            finish_detail=blocked or _finish_message(candidates),
            usage=self.read_usage(body, reply.notes),
            service_tier=tier_of(body),
            notes=tuple(reply.notes),
        )

    def read_usage(self, body: JsonObject, notes: list[str]) -> Usage:
        """What the answer cost, all candidates together."""
        candidates = [object_of(candidate) for candidate in list_of(body.get("candidates"))]
        return _usage(body, candidates, notes)


def model_of(route: Route) -> str:
    """The model that the path names."""
    found = _METHOD.search(route.path)
    return (found["model"] or found["other"] or "") if found else ""


def _inner_request(body: JsonObject) -> JsonObject:
    """What an envelope holds: Gemini CLI's `request`, countTokens' `generateContentRequest`."""
    for name in ("request", "generateContentRequest"):
        inner = field(body, name)
        if isinstance(inner, dict):
            return inner
    return body


def _params(body: JsonObject) -> dict[str, Json]:
    config = object_of(field(body, "generationConfig"))
    params = chosen({_camel(key): value for key, value in config.items()}, _PARAMS)
    calling = object_of(field(object_of(field(body, "toolConfig")), "functionCallingConfig"))
    if isinstance(calling.get("mode"), str):
        params["toolMode"] = calling["mode"]
    for name in ("serviceTier", "cachedContent"):
        value = field(body, name)
        if isinstance(value, str):
            params[name] = value
    return params


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def _tool_names(tools: Json) -> list[str]:
    """Declared functions by name, built-in tools by the key that switches them on."""
    names: list[str] = []
    for tool in map(object_of, tools if isinstance(tools, list) else [tools]):
        declared = field(tool, "functionDeclarations")
        names += [text_of(object_of(one).get("name")) for one in list_of(declared)]
        names += [
            _camel(key)
            for key, value in tool.items()
            if value is not None and _camel(key) != "functionDeclarations"
        ]
    return [name for name in names if name]


def _answer(content: Json) -> Message:
    return Message("assistant", tuple(parts_of(content)), content)


def _finish(reasons: list[Json], messages: tuple[Message, ...], blocked: str) -> str:
    reason = reasons[0] if reasons else None
    if isinstance(reason, int):
        reason = _REASONS[reason] if 0 <= reason < len(_REASONS) else "OTHER"
    if reason is None and blocked:
        return "content_filter"
    word = text_of(reason)
    if word == "STOP" and any(
        isinstance(part, ToolCallPart) and not part.server for part in messages[0].parts
    ):
        return "tool_calls"
    return "error" if word == "OTHER" else normalized(word)


def _finish_message(candidates: list[JsonObject]) -> str:
    return text_of(candidates[0].get("finishMessage")) if candidates else ""


def tier_of(body: JsonObject) -> str:
    """The tier as served: Gemini's `serviceTier`, Vertex' `trafficType`, which may be a number."""
    spent = object_of(body.get("usageMetadata"))
    traffic = spent.get("trafficType")
    if isinstance(traffic, int):
        traffic = _TRAFFIC.get(traffic, str(traffic))
    said = text_of(spent.get("serviceTier")) or text_of(body.get("serviceTier"))
    return said or text_of(traffic)


def _usage(body: JsonObject, candidates: list[JsonObject], notes: list[str]) -> Usage:
    """Tool results are not in the prompt's count, nor thoughts in the candidates', as a rule."""
    raw = body.get("usageMetadata")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usageMetadata")
    tool, thoughts = counts.count("toolUsePromptTokenCount"), counts.count("thoughtsTokenCount")
    written = counts.count("candidatesTokenCount")
    if written is None:
        written = counts.count("responseTokenCount")
    asked = total_of(counts.count("promptTokenCount"), tool)
    total = counts.count("totalTokenCount")
    read = by_modality(raw.get("promptTokensDetails"))
    cached = counts.count("cachedContentTokenCount")
    output = by_modality(raw.get("candidatesTokensDetails") or raw.get("responseTokensDetails"))
    detail = splits(
        input_audio=read.get("AUDIO"),
        input_image=read.get("IMAGE"),
        input_video=read.get("VIDEO"),
        input_document=read.get("DOCUMENT"),
        input_tool=tool,
        output_audio=output.get("AUDIO"),
        output_image=output.get("IMAGE"),
        web_searches=_searches(candidates),
        map_searches=int(any(map(_used_maps, candidates))),
    )
    if parts := by_modality(raw.get("cacheTokensDetails")):
        by_kind = {kind.lower(): count for kind, count in parts.items()}
        detail |= cached_splits(cached, by_kind, detail)
    return usage(
        raw,
        notes,
        input_tokens=asked,
        output_tokens=with_thoughts(asked, written, thoughts, total),
        total_tokens=total,
        cache_read_tokens=cached,
        reasoning_tokens=thoughts,
        detail=detail,
    )


def by_modality(details: Json) -> dict[str, int]:
    """`[{modality, tokenCount}]` as a table; modalities may be numbers."""
    found: dict[str, int] = {}
    for entry in map(object_of, list_of(details)):
        modality = entry.get("modality")
        name = _MODALITIES.get(modality, "") if isinstance(modality, int) else text_of(modality)
        count = Reader(entry, []).count("tokenCount")
        if count is not None:
            found[name] = found.get(name, 0) + count
    return found


def _used_maps(candidate: JsonObject) -> bool:
    """True for an answer grounded in Google Maps, which is charged by the prompt."""
    found = list_of(object_of(candidate.get("groundingMetadata")).get("groundingChunks"))
    return any("maps" in object_of(chunk) for chunk in found)


def _searches(candidates: list[JsonObject]) -> int:
    """How many different queries were made to ground the answers."""
    queries = {
        query
        for candidate in candidates
        for query in list_of(object_of(candidate.get("groundingMetadata")).get("webSearchQueries"))
        if isinstance(query, str) and query
    }
    return len(queries)
