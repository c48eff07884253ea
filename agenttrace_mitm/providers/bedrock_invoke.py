"""Bedrock's InvokeModel: every vendor's own body, the model in the path.

Anthropic's, OpenAI-shaped and Converse-shaped (Nova) bodies are read by their own dialects; of
the others, and of embeddings, what counts is in `amazon-bedrock-invocationMetrics` or in the
response headers.  Streams carry each vendor's events in base64.
"""

import base64
import binascii
import re

from msgspec.structs import replace

from ..model import Ask, JsonObject, Kind, Reply, Usage
from ..wire.jsonio import NotJson, Reader, decode, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .anthropic_messages import AnthropicMessages
from .bedrock_converse import BedrockConverse, model_in
from .openai_chat import OpenAIChat
from .usage import splits, total_of, usage

_PATH = re.compile(r"/model/(?P<model>[^/]+)/invoke(-with-response-stream)?$")
_METRICS = "amazon-bedrock-invocationMetrics"
_ANTHROPIC, _NOVA = AnthropicMessages(), BedrockConverse()
_OPENAI_LIKE = OpenAIChat()


class BedrockInvoke:
    """`bedrock.invoke`: `/model/{id}/invoke` and `/invoke-with-response-stream`."""

    dialect = "bedrock.invoke"

    def matches(self, route: Route) -> bool:
        """True for this path, whoever serves it."""
        return route.is_post and _PATH.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """What models with such a name do."""
        model = model_in(route.path, _PATH)
        if "embed" in model:
            return "embeddings"
        return "rerank" if "rerank" in model else "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """AWS's own framing where it streams."""
        return "event-stream" if route.path.endswith("-stream") else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The vendor's request."""
        ask = _vendor(route).read_request(body, route)
        streamed = route.path.endswith("-stream")
        return replace(ask, model=model_in(route.path, _PATH), streamed=streamed)

    def open_stream(self) -> ReplyStream:
        """A fold that unpacks the vendor's events."""
        return InvokeStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The vendor's answer, and Bedrock's own count where the vendor has none."""
        reply = _vendor(route).read_reply(body, route)
        metrics = body.get(_METRICS)
        if reply.usage.raw is None and isinstance(metrics, dict):
            return replace(reply, usage=_metered(metrics))
        if reply.usage.raw is None:
            return replace(reply, usage=_embedded(body))
        return reply


def _vendor(route: Route) -> AnthropicMessages | BedrockConverse | OpenAIChat:
    model = model_in(route.path, _PATH)
    if "anthropic" in model:
        return _ANTHROPIC
    return _NOVA if "amazon" in model else _OPENAI_LIKE


def _metered(metrics: JsonObject) -> Usage:
    notes: list[str] = []
    counts = Reader(metrics, notes, _METRICS)
    read, written = (
        counts.count("cacheReadInputTokenCount"),
        counts.count("cacheWriteInputTokenCount"),
    )
    return usage(
        metrics,
        notes,
        input_tokens=total_of(counts.count("inputTokenCount"), read, written),
        output_tokens=counts.count("outputTokenCount"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _embedded(body: JsonObject) -> Usage:
    """Titan's embeddings and texts count their input in the body."""
    counted = Reader(body, []).count("inputTextTokenCount")
    if counted is None:
        return Usage()
    raw = {"inputTextTokenCount": counted}
    return usage(raw, [], input_tokens=counted, output_tokens=None, detail=splits())


class InvokeStream:
    """Unpacks `chunk` events, and folds what is inside as its vendor's stream."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._inner: ReplyStream | None = None
        self._extra: JsonObject = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a chunk in; true when it carried generated content."""
        if name and name != "chunk":
            self._extra["error"] = {"type": name, "message": event.get("message")}
            return False
        value = _unpacked(event)
        if isinstance(value.get(_METRICS), dict):
            self._extra[_METRICS] = value.pop(_METRICS)
        if self._inner is None:
            self._inner = _stream_for(value)
        generated = self._inner.add("", value) if value else False
        counted = _METRICS in self._extra
        self.complete = counted or self._inner.complete
        self.usage_is_final = counted or self._inner.usage_is_final
        return generated

    def done(self) -> None:
        """There is no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The vendor's response as far as it came."""
        inner = self._inner.whole() if self._inner else {}
        return {**inner, **self._extra}


def _stream_for(first: JsonObject) -> ReplyStream:
    if "type" in first:
        return _ANTHROPIC.open_stream()
    return _OPENAI_LIKE.open_stream() if "choices" in first else _NOVA.open_stream()


def _unpacked(event: JsonObject) -> JsonObject:
    try:
        data = base64.b64decode(text_of(event.get("bytes")))
        return dict(object_of(decode(data)))
    except (binascii.Error, ValueError, NotJson):
        return {}
