"""Bedrock's InvokeModel: every vendor's own body, the model in the path.

Whose body it is tells its shape: an application inference profile, an imported or a provisioned
model is named by an ARN that says nothing of the vendor.  Anthropic's, OpenAI-shaped,
Converse-shaped (Nova) and Cohere's chat bodies are read by their own dialects, the other text
models by `bedrock_texts`; what they leave out Bedrock counts itself (`bedrock_counts`).  Streams
carry each vendor's events in base64.
"""

import base64
import binascii
import re
from typing import Protocol

from msgspec.structs import replace

from ..model import Ask, Json, JsonObject, Kind, Reply
from ..wire.jsonio import NotJson, decode, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .anthropic_complete import AnthropicComplete, AnthropicCompletionStream
from .anthropic_messages import AnthropicMessages
from .bedrock_converse import MODEL, BedrockConverse, model_in
from .bedrock_counts import METRICS, is_counted, metered
from .bedrock_texts import BedrockTexts, TextStream
from .cohere_embed import CohereEmbed, CohereRerank
from .cohere_v1_chat import CohereV1Chat
from .openai_chat import OpenAIChat

_PATH = re.compile(MODEL + r"/invoke(-with-response-stream)?$")


class _Vendor(Protocol):
    def read_request(self, body: JsonObject, route: Route) -> Ask: ...
    def read_reply(self, body: JsonObject, route: Route) -> Reply: ...


_ANTHROPIC, _COMPLETE, _NOVA = AnthropicMessages(), AnthropicComplete(), BedrockConverse()
_OPENAI_LIKE, _TEXTS = OpenAIChat(), BedrockTexts()
_COHERE_CHAT, _COHERE_EMBED, _COHERE_RERANK = CohereV1Chat(), CohereEmbed(), CohereRerank()
_AWS_S_OWN = "amazon-bedrock-"  # beside what the vendor says: counts, what a guardrail did
_IMAGE_MODELS = ("stability.", "titan-image", "nova-canvas")
_NO_TALK = ("embeddings", "rerank", "image")
_NOVA_ALONE = ("schemaVersion", "inferenceConfig", "toolConfig")


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
        if "rerank" in model:
            return "rerank"
        return "image" if any(name in model for name in _IMAGE_MODELS) else "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """AWS's own framing where it streams."""
        return "event-stream" if route.path.endswith("-stream") else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The vendor's request."""
        ask = _asked(body).read_request(body, route)
        streamed = route.path.endswith("-stream")
        return replace(ask, model=model_in(route.path, _PATH), streamed=streamed)

    def open_stream(self) -> ReplyStream:
        """A fold that unpacks the vendor's events."""
        return InvokeStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The vendor's answer, and Bedrock's own count where the vendor has none."""
        reply = _answered(body).read_reply(body, route)
        metrics = body.get(METRICS)
        if isinstance(metrics, dict) and not is_counted(reply.usage):
            reply = replace(reply, usage=metered(metrics))
        if not reply.finish_reason and _is_blocked(body):
            reply = replace(reply, finish_reason="content_filter")
        return reply


def without_talk(ask: Ask, operation: str) -> Ask:
    """*ask* as the answer shows that it was meant: what is embedded or drawn is no conversation.

    Titan takes a text to embed by the name of a prompt, and Stability one to draw.
    """
    if operation not in _NO_TALK or not ask.messages:
        return ask
    inputs = {"inputs": len(ask.messages)} if operation == "embeddings" else {}
    return replace(ask, messages=(), params={**ask.params, **inputs})


def _is_blocked(body: JsonObject) -> bool:
    return body.get("amazon-bedrock-guardrailAction") == "INTERVENED"


def _asked(body: JsonObject) -> _Vendor:
    """Who reads a request of this shape."""
    if "anthropic_version" in body and "messages" in body:
        return _ANTHROPIC
    if "max_tokens_to_sample" in body:
        return _COMPLETE
    if "messages" in body:
        return _NOVA if _is_novas(body) else _OPENAI_LIKE
    if "texts" in body:
        return _COHERE_EMBED
    if "query" in body and "documents" in body:
        return _COHERE_RERANK
    return _COHERE_CHAT if "message" in body else _TEXTS


def _is_novas(body: JsonObject) -> bool:
    """True for Converse's shape: its blocks have no `type`."""
    contents = (object_of(said).get("content") for said in list_of(body.get("messages")))
    blocks = (object_of(block) for content in contents for block in list_of(content))
    return any(name in body for name in _NOVA_ALONE) or any("type" not in one for one in blocks)


def _answered(body: JsonObject) -> _Vendor:
    """Who reads a response of this shape."""
    if "content" in body:
        return _ANTHROPIC
    if "completion" in body:
        return _COMPLETE
    if "output" in body:
        return _NOVA
    if "choices" in body:
        return _TEXTS if _has_text(body["choices"]) else _OPENAI_LIKE
    return _COHERE_CHAT if "text" in body else _TEXTS


def _has_text(choices: Json) -> bool:
    """True for text completions, as DeepSeek and imported models answer."""
    return any("text" in object_of(choice) for choice in list_of(choices))


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
        for key in [key for key in value if key.startswith(_AWS_S_OWN)]:
            self._extra[key] = value.pop(key)
        if self._inner is None and value:
            self._inner = _stream_for(value)
        generated = self._inner.add("", value) if self._inner and value else False
        counted = isinstance(self._extra.get(METRICS), dict)
        self.complete = counted or (self._inner is not None and self._inner.complete)
        final = self._inner is not None and self._inner.usage_is_final
        self.usage_is_final = counted or final
        return generated

    def done(self) -> None:
        """There is no `[DONE]`."""

    @property
    def has_ended(self) -> bool:
        """True once a guardrail spoke instead of the model: it neither ends nor counts."""
        return _is_blocked(self._extra)

    def whole(self) -> JsonObject:
        """The vendor's response as far as it came."""
        inner = self._inner.whole() if self._inner else {}
        return {**inner, **self._extra}


def _stream_for(first: JsonObject) -> ReplyStream:
    if "completion" in first:
        return AnthropicCompletionStream()
    if "type" in first:
        return _ANTHROPIC.open_stream()
    if "choices" in first:
        return TextStream() if _has_text(first["choices"]) else _OPENAI_LIKE.open_stream()
    if "event_type" in first:
        return _COHERE_CHAT.open_stream()
    return _NOVA.open_stream() if _is_converse(first) else TextStream()


def _is_converse(event: JsonObject) -> bool:
    """True for an event that is an object within its name."""
    names = ("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata")
    return any(name in event for name in names)


def _unpacked(event: JsonObject) -> JsonObject:
    try:
        data = base64.b64decode(text_of(event.get("bytes")))
        return dict(object_of(decode(data)))
    except (binascii.Error, ValueError, NotJson):
        return {}
