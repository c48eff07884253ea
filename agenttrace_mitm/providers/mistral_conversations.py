"""Mistral conversations: started, continued and restarted; the server keeps what was said.

The answer is a list of entries: messages, calls for the client, tools that ran at Mistral, and
hand-overs between agents.  `connector_tokens` is what connectors made the model read.
"""

import re

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    Links,
    Message,
    Part,
    Reply,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
    Usage,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import ReplyStream, Route
from .chat_content import arguments_of, parts_of, role_of, tool_names
from .endpoint import Endpoint
from .mistral_conversations_stream import ConversationStream
from .params import chosen
from .usage import splits, total_of, usage

_ID = re.compile(r"/conversations/([^/]+)")


class MistralConversations(Endpoint):
    """`mistral.conversations`: `POST /v1/conversations`, `/{id}` and `/{id}/restart`."""

    dialect = "mistral.conversations"
    providers = ("mistral",)
    path = re.compile(r"/conversations(/[^/]+(/restart)?)?$")
    does = "chat"
    params = ("agent_id", "agent_version", "store", "handoff_execution")

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Instructions, new entries, tools and parameters."""
        request = Reader(body)
        known = _ID.search(route.path)
        arguments = object_of(body.get("completion_args"))
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(_asked(body)),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=chosen(body, self.params) | chosen(arguments, tuple(arguments)),
            links=Links(conversation_id=known[1] if known else ""),
            metadata=object_of(body.get("metadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of entries."""
        return ConversationStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The entries of the answer, and what they took."""
        reply = Reader(body)
        entries = [object_of(entry) for entry in reply.list("outputs")]
        parts = tuple(part for entry in entries for part in _parts(entry))
        called = any(isinstance(part, ToolCallPart) and not part.server for part in parts)
        models = [text_of(entry.get("model")) for entry in entries]
        # Its entries do not tell whether a stream came to its end.
        ended = bool(parts) and body.get("complete") is not False
        return Reply(
            model=next(filter(None, models), ""),
            messages=(Message("assistant", parts, entries),) if parts else (),
            finish_reason=("tool_calls" if called else "stop") if ended else "",
            usage=_usage(body, reply.notes),
            notes=tuple(reply.notes),
        )


def _asked(body: JsonObject) -> list[Message]:
    messages = []
    if text := text_of(body.get("instructions")):
        messages.append(Message("system", tuple(parts_of(text)), text))
    given = body.get("inputs")
    if isinstance(given, str):
        return [*messages, Message("user", tuple(parts_of(given)), given)]
    return [*messages, *(_entry(object_of(entry)) for entry in list_of(given))]


def _entry(entry: JsonObject) -> Message:
    kind = text_of(entry.get("type"))
    if kind == "function.result":
        result = ToolResultPart(text_of(entry.get("tool_call_id")), entry.get("result"))
        return Message("tool", (result,), entry)
    if kind in ("", "message.input"):
        return Message(role_of(entry.get("role")), tuple(parts_of(entry.get("content"))), entry)
    return Message("assistant", tuple(_parts(entry)), entry)


def _parts(entry: JsonObject) -> list[Part]:
    match text_of(entry.get("type")):
        case "message.output":
            return parts_of(entry.get("content"))
        case "function.call":
            return [_call(entry, text_of(entry.get("tool_call_id")), server=False)]
        case "tool.execution":
            call = _call(entry, text_of(entry.get("id")), server=True)
            info = entry.get("info")
            return [call, ToolResultPart(call.id, info, call.name, server=True)] if info else [call]
        case _:
            return [UnknownPart(entry)]


def _call(entry: JsonObject, call_id: str, *, server: bool) -> ToolCallPart:
    name, arguments = text_of(entry.get("name")), arguments_of(entry.get("arguments"))
    return ToolCallPart(call_id, name, arguments, text_of(entry.get("id")), server)


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    prompt, written = counts.count("prompt_tokens"), counts.count("completion_tokens")
    total, connected = counts.count("total_tokens"), counts.count("connector_tokens")
    # Whether the prompt has the connectors' tokens in it is told by the total alone.
    apart = total is not None and total == total_of(prompt, written, connected)
    return usage(
        raw,
        notes,
        input_tokens=total_of(prompt, connected) if apart else prompt,
        output_tokens=written,
        total_tokens=total,
        cache_read_tokens=counts.count("prompt_tokens_details", "cached_tokens"),
        detail=splits(
            input_tool=connected,
            web_searches=_connected(counts.get("connectors"), "web_search"),
            code_executions=_connected(counts.get("connectors"), "code_interpreter"),
            images_generated=_connected(counts.get("connectors"), "image_generation"),
        ),
    )


def _connected(connectors: Json, name: str) -> int:
    """Calls of connectors whose name begins with *name* (there is a premium web search)."""
    return sum(
        count
        for connector, count in object_of(connectors).items()
        if connector.startswith(name) and isinstance(count, int)
    )
