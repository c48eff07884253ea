"""Anthropic messages, and counting their tokens.

The wire's `input_tokens` leaves out what the cache took part in: ours is the sum of the three.
`anthropic_stream` folds streams into the message read here.
"""

import re
from collections.abc import Callable, Iterator

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    Links,
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
from . import media, tool_results
from .adapter import Framing, ReplyStream, Route
from .anthropic_stream import MessageStream
from .chat_content import arguments_of, role_of, tool_names
from .finish import normalized
from .params import chosen
from .usage import splits, total_of, usage

_MESSAGES = re.compile(r"/v1/messages(/count_tokens)?$")
_PARAMS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "thinking",
    "tool_choice",
    "service_tier",
    "speed",
    "inference_geo",
    "cache_control",
)


class AnthropicMessages:
    """`anthropic.messages`: `POST /v1/messages` and `/v1/messages/count_tokens`."""

    dialect = "anthropic.messages"

    def matches(self, route: Route) -> bool:
        """True for the path that ends every endpoint of this kind, whoever's it is."""
        return route.is_post and _MESSAGES.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """A chat, or a count."""
        return "count_tokens" if route.path.endswith("/count_tokens") else "chat"

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if route.path.endswith("/count_tokens") else "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """System prompt, messages, tools, parameters and identity of a request."""
        request = Reader(body)
        params = chosen(body, _PARAMS)
        output = object_of(body.get("output_config"))
        if isinstance(output.get("effort"), str):
            params["effort"] = output["effort"]
        form = object_of(output.get("format") or body.get("output_format")).get("type")
        if isinstance(form, str):
            params["response_format"] = form
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(_messages(body)),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=params,
            links=_links(body),
            metadata=object_of(body.get("metadata")) | _billing(body.get("system")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of message events."""
        return MessageStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The message, why it stopped, and what it cost."""
        reply = Reader(body)
        if self.operation(route) == "count_tokens":
            detail = splits(counted_tokens=reply.count("input_tokens"))
            return Reply(usage=Usage(detail=detail, raw=body), notes=tuple(reply.notes))
        content = body.get("content")
        parts = tuple(parts_of(content))
        stop = reply.text("stop_reason")
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, content),) if "content" in body else (),
            finish_reasons=(stop,) if stop else (),
            finish_reason=normalized(stop),
            finish_detail=_finish_detail(body),
            usage=_usage(body, reply.notes),
            service_tier=text_of(object_of(body.get("usage")).get("service_tier")),
            notes=tuple(reply.notes),
        )


def _messages(body: JsonObject) -> Iterator[Message]:
    system = body.get("system")
    if system is not None:
        # Claude Code's billing line is a header in disguise: with it, no two calls would have
        # the same prompt.
        spoken = [block for block in list_of(system) if not _billing_line(block)] or system
        yield Message("system", tuple(parts_of(spoken)), {"role": "system", "content": system})
    for value in list_of(body.get("messages")):
        message = object_of(value)
        parts = tuple(parts_of(message.get("content")))
        only_results = bool(parts) and all(isinstance(p, ToolResultPart) for p in parts)
        role = "tool" if only_results else role_of(message.get("role"))
        yield Message(role, parts, value)


def parts_of(content: Json) -> list[Part]:
    """The parts of a message's content: a string, or blocks."""
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return [_block(block) for block in list_of(content)]


def _block(block: Json) -> Part:
    if not isinstance(block, dict):
        return UnknownPart(block)
    kind = text_of(block.get("type"))
    read = _BLOCKS.get(kind)
    if read is not None:
        return read(block)
    return _server_result(block) if kind.endswith("_tool_result") else UnknownPart(block)


def _call(block: JsonObject, *, server: bool = False) -> ToolCallPart:
    return ToolCallPart(
        text_of(block.get("id")),
        text_of(block.get("name")),
        arguments_of(block.get("input")),
        server=server,
    )


def _result(block: JsonObject, *, server: bool = False) -> ToolResultPart:
    content = block.get("content")
    failed = isinstance(content, dict) and text_of(content.get("type")).endswith("_error")
    return ToolResultPart(
        text_of(block.get("tool_use_id")),
        tool_results.content_of(content, parts_of),
        is_error=failed or block.get("is_error") is True,
        server=server,
    )


def _server_call(block: JsonObject) -> ToolCallPart:
    return _call(block, server=True)


def _server_result(block: JsonObject) -> ToolResultPart:
    return _result(block, server=True)


def _medium(block: JsonObject) -> Part:
    modality: media.Modality = "image" if block.get("type") == "image" else "document"
    source = object_of(block.get("source"))
    mime_type = text_of(source.get("media_type"))
    match source.get("type"):
        case "base64":
            return media.from_base64(modality, mime_type, source.get("data"))
        case "url":
            return media.from_url(modality, source.get("url"))
        case "file":
            return media.from_url(modality, source.get("file_id"))
        case "text":
            return TextPart(text_of(source.get("data")))
        case _:
            return UnknownPart(block)


_BLOCKS: dict[str, Callable[[JsonObject], Part]] = {
    "text": lambda block: TextPart(text_of(block.get("text"))),
    "thinking": lambda block: ReasoningPart(text_of(block.get("thinking"))),
    "redacted_thinking": lambda block: ReasoningPart(""),
    "tool_use": _call,
    "server_tool_use": _server_call,
    "mcp_tool_use": _server_call,
    "tool_result": _result,
    "mcp_tool_result": _server_result,
    "image": _medium,
    "document": _medium,
}


_BILLING = "x-anthropic-billing-header:"


def _billing_line(block: Json) -> str:
    """The line in which Claude Code tells its version and turn, if *block* is that."""
    text = text_of(block.get("text")) if isinstance(block, dict) else ""
    return text.removeprefix(_BILLING) if text.startswith(_BILLING) else ""


def _billing(system: Json) -> JsonObject:
    """The fields of the billing line, as `claude_code`."""
    for block in list_of(system)[:1]:
        pairs = (pair.strip().partition("=") for pair in _billing_line(block).split(";"))
        fields = {name: value for name, _, value in pairs if value}
        if fields:
            return {"claude_code": fields}
    return {}


_OLD_USER_ID = re.compile(r"user_(?P<user>.*?)_account_(?P<account>.*?)_session_(?P<session>.+)")


def _links(body: JsonObject) -> Links:
    """Ids in the body; Claude Code packs three of them into `metadata.user_id`."""
    user_id = text_of(object_of(body.get("metadata")).get("user_id"))
    previous = text_of(object_of(body.get("diagnostics")).get("previous_message_id"))
    previous = previous or text_of(object_of(body.get("thread")).get("previous_message_id"))
    session, end_user = "", user_id
    if user_id.startswith("{"):
        try:
            packed = object_of(decode(user_id.encode()))
        except NotJson:
            packed = {}
        session = text_of(packed.get("session_id"))
        end_user = text_of(packed.get("account_uuid")) or text_of(packed.get("device_id"))
    elif old := _OLD_USER_ID.fullmatch(user_id):
        session, end_user = old["session"], old["account"] or old["user"]
    told = object_of(_billing(body.get("system")).get("claude_code"))
    return Links(
        previous_response_id=previous,
        session_id=session,
        end_user=end_user or user_id,
        prompt_id=text_of(told.get("cc_prompt_id")),
    )


def _finish_detail(body: JsonObject) -> str:
    detail = text_of(body.get("stop_sequence"))
    return detail or text_of(object_of(body.get("stop_details")).get("category"))


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    compaction = _compaction(raw)
    cache_read = counts.count("cache_read_input_tokens")
    cache_write = counts.count("cache_creation_input_tokens")
    ttl = counts.object("cache_creation")
    tools = counts.object("server_tool_use")
    return usage(
        raw,
        notes,
        input_tokens=total_of(counts.count("input_tokens"), cache_read, cache_write),
        output_tokens=counts.count("output_tokens"),
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=counts.count("output_tokens_details", "thinking_tokens"),
        detail=splits(
            cache_write_5m=ttl.count("ephemeral_5m_input_tokens"),
            cache_write_1h=ttl.count("ephemeral_1h_input_tokens"),
            web_searches=tools.count("web_search_requests"),
            web_fetches=tools.count("web_fetch_requests"),
            # Charged by the hour, beyond a free allowance of the account.
            containers=int(bool(body.get("container") or tools.count("code_execution_requests"))),
            compaction_input_tokens=compaction[0],
            compaction_output_tokens=compaction[1],
        ),
    )


def _compaction(raw: JsonObject) -> tuple[int, int]:
    """What compacting the context read and wrote, which the totals leave out."""
    read = written = 0
    for step in list_of(raw.get("iterations")):
        if isinstance(step, dict) and step.get("type") == "compaction":
            counts = Reader(step, [])
            names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
            read += sum(counts.count(name) or 0 for name in names)
            written += counts.count("output_tokens") or 0
    return read, written
