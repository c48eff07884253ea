"""Bedrock's Converse: one request shape for every model, camelCase throughout.

`inputTokens` leaves out what the cache took part in.  The model stands in the path.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
    Usage,
)
from ..wire.jsonio import NotJson, Reader, decode, list_of, object_of, text_of
from . import media
from .adapter import Framing, ReplyStream, Route
from .chat_content import arguments_of
from .endpoint import Endpoint
from .finish import normalized
from .usage import splits, total_of, usage

# An ARN has a slash, which some clients leave as it is.
MODEL = r"/model/(?P<model>arn:[^/]+/[^/]+|[^/]+)"
_PATH = re.compile(MODEL + r"/converse(-stream)?$")
_MEDIA: dict[str, media.Modality] = {"image": "image", "document": "document", "video": "video"}


def model_in(path: str, pattern: re.Pattern[str]) -> str:
    """The model that *path* names, an id, an inference profile or an ARN."""
    found = pattern.search(path)
    return unquote(found["model"]) if found else ""


class BedrockConverse:
    """`bedrock.converse`: `/model/{id}/converse` and `/converse-stream`."""

    dialect = "bedrock.converse"

    def matches(self, route: Route) -> bool:
        """True for this path, whoever serves it."""
        return route.is_post and _PATH.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """Always a chat."""
        return "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """AWS's own framing where it streams."""
        return "event-stream" if route.path.endswith("-stream") else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """System prompt, messages, tools and inference parameters."""
        request = Reader(body)
        tools = request.object("toolConfig").list("tools")
        return Ask(
            model=model_in(route.path, _PATH),
            streamed=route.path.endswith("-stream"),
            messages=tuple(_messages(body)),
            tool_names=tuple(filter(None, map(_tool_name, tools))),
            tools=tools,
            params=dict(object_of(body.get("inferenceConfig"))),
            metadata=object_of(body.get("requestMetadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of Converse events."""
        return ConverseStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The message, why it stopped, and what it cost."""
        reply = Reader(body)
        message = object_of(object_of(body.get("output")).get("message"))
        stop = reply.text("stopReason")
        content = message.get("content")
        parts = tuple(_parts(content))
        return Reply(
            messages=(Message("assistant", parts, message),) if content is not None else (),
            finish_reasons=(stop,) if stop else (),
            finish_reason=normalized(stop),
            usage=_usage(body.get("usage"), reply.notes),
            service_tier=text_of(object_of(body.get("serviceTier")).get("type")),
            notes=tuple(reply.notes),
        )


def _messages(body: JsonObject) -> Iterator[Message]:
    system = body.get("system")
    if system:
        yield Message("system", tuple(_parts(system)), {"role": "system", "content": system})
    for value in list_of(body.get("messages")):
        message = object_of(value)
        parts = tuple(_parts(message.get("content")))
        if message.get("role") == "assistant":
            yield Message("assistant", parts, value)
        else:
            only_results = bool(parts) and all(isinstance(p, ToolResultPart) for p in parts)
            yield Message("tool" if only_results else "user", parts, value)


def _tool_name(tool: Json) -> str:
    fields = object_of(tool)
    spec = fields.get("toolSpec") or fields.get("systemTool")
    return text_of(object_of(spec).get("name"))


def _parts(blocks: Json) -> Iterator[Part]:
    for block in list_of(blocks):
        fields = object_of(block)
        match next(iter(fields), ""):
            case "text":
                yield TextPart(text_of(fields["text"]))
            case "reasoningContent":
                thought = object_of(object_of(fields["reasoningContent"]).get("reasoningText"))
                yield ReasoningPart(text_of(thought.get("text")))
            case "toolUse":
                yield _call(object_of(fields["toolUse"]))
            case "toolResult":
                yield _result(object_of(fields["toolResult"]))
            case "cachePoint":
                pass
            case ("image" | "document" | "video") as kind:
                yield _medium(_MEDIA[kind], object_of(fields[kind]))
            case _:
                yield UnknownPart(block)


def _call(use: JsonObject) -> ToolCallPart:
    arguments = arguments_of(use.get("input"))
    server = use.get("type") == "server_tool_use"
    return ToolCallPart(
        text_of(use.get("toolUseId")), text_of(use.get("name")), arguments, "", server
    )


def _result(result: JsonObject) -> ToolResultPart:
    blocks = list_of(result.get("content"))
    texts = [object_of(block).get("text") for block in blocks]
    plain = [text for text in texts if isinstance(text, str)]
    content: Json = "\n".join(plain) if len(plain) == len(blocks) else blocks
    failed = result.get("status") == "error"
    return ToolResultPart(text_of(result.get("toolUseId")), content, is_error=failed)


def _medium(modality: media.Modality, fields: JsonObject) -> MediaPart:
    source = object_of(fields.get("source"))
    mime_type = f"{modality}/{text_of(fields.get('format'))}".rstrip("/")
    uri = text_of(object_of(source.get("s3Location")).get("uri"))
    return (
        media.at(modality, mime_type, uri)
        if uri
        else media.from_base64(modality, mime_type, source.get("bytes"))
    )


def _usage(raw: Json, notes: list[str]) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    read = _either(counts, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _either(counts, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    ttl = {
        text_of(entry.get("ttl")): Reader(entry, []).count("inputTokens")
        for entry in map(object_of, list_of(raw.get("cacheDetails")))
    }
    return usage(
        raw,
        notes,
        input_tokens=total_of(counts.count("inputTokens"), read, written),
        output_tokens=counts.count("outputTokens"),
        total_tokens=counts.count("totalTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        detail=splits(cache_write_5m=ttl.get("5m"), cache_write_1h=ttl.get("1h")),
    )


def _either(counts: Reader, name: str, invoked: str) -> int | None:
    """The count called *name*; Nova calls it *invoked* when it is not asked by Converse."""
    count = counts.count(name)
    return counts.count(invoked) if count is None else count


class ConverseStream:
    """Folds Converse events; `metadata` comes last and has the usage."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._role: Json = "assistant"
        self._blocks: dict[int, JsonObject] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        if not name and len(event) == 1:  # as some gateways write it: the name inside
            name, event = next(iter(event)), object_of(next(iter(event.values())))
        index = event.get("contentBlockIndex")
        index = index if isinstance(index, int) else 0
        match name:
            case "messageStart":
                self._role = event.get("role", self._role)
            case "contentBlockStart":
                start = object_of(event.get("start"))
                self._blocks[index] = {k: dict(object_of(v)) for k, v in start.items()}
                return "toolUse" in start
            case "contentBlockDelta":
                return self._add_delta(index, object_of(event.get("delta")))
            case "messageStop":
                self._head["stopReason"] = event.get("stopReason")
                self.complete = True
            case "metadata":
                self._head |= {k: v for k, v in event.items() if v is not None and k != "p"}
                self.complete = self.usage_is_final = True
            case _ if name.endswith(("Exception", "Error")):
                self._head["error"] = {"type": name, "message": event.get("message")}
            case _:
                pass
        return False

    def done(self) -> None:
        """Converse has no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        content = [self._block(index) for index in sorted(self._blocks)]
        message = {"role": self._role, "content": content}
        return {**self._head, "output": {"message": message}} if content else dict(self._head)

    def _add_delta(self, index: int, delta: JsonObject) -> bool:
        block = self._blocks.setdefault(index, {})
        for kind, value in delta.items():
            piece = object_of(value).get({"toolUse": "input"}.get(kind, "text"), value)
            if isinstance(piece, str):
                block.setdefault(kind, "" if kind == "text" else {})
                self._pieces.setdefault((index, kind), []).append(piece)
        return bool(delta)

    def _block(self, index: int) -> JsonObject:
        block = dict(self._blocks[index])
        for (at, kind), pieces in self._pieces.items():
            if at == index:
                block[kind] = _put(kind, block[kind], "".join(pieces))
        return block


def _put(kind: str, body: Json, text: str) -> Json:
    match kind:
        case "text":
            return text
        case "reasoningContent":
            return {"reasoningText": {"text": text}}
        case "toolUse":
            return object_of(body) | {"input": _input(text)}
        case _:
            return text


def _input(text: str) -> Json:
    """A tool's input; the text itself where the stream was cut inside."""
    try:
        return decode(text.encode()) if text else {}
    except NotJson:
        return text


class BedrockCount(Endpoint):
    """`bedrock.count`: `/model/{id}/count-tokens`, free."""

    dialect = "bedrock.count"
    path = re.compile(MODEL + r"/count-tokens$")
    does = "count_tokens"

    def kind(self, route: Route) -> Kind:
        """A count generates nothing."""
        return "count"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model; what is counted is some other request."""
        return Ask(model=model_in(route.path, self.path))

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """How many tokens it would be."""
        reply = Reader(body)
        counted = splits(counted_tokens=reply.count("inputTokens"))
        return Reply(usage=Usage(detail=counted, raw=body), notes=tuple(reply.notes))
