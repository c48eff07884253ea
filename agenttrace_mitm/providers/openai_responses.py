"""OpenAI Responses: creating, polling, cancelling, compacting, counting.

Input and output are items; each input item becomes a message of its own.  The reply is one
message: its `raw` is the list of output items, each of which may come back as an input item.
"""

import re

from ..model import (
    Ask,
    Failure,
    Json,
    JsonObject,
    Kind,
    Links,
    Message,
    Reply,
    Usage,
)
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .chat_content import tool_names
from .params import chosen
from .responses_items import finish_of, messages_of, output_parts
from .responses_stream import ResponsesStream
from .responses_tools import tool_meters
from .usage import server_tools, splits, usage

_CREATE = re.compile(r"/responses$")
_RETRIEVE = re.compile(r"/responses/[^/]+$")
_CANCEL = re.compile(r"/responses/[^/]+/cancel$")
_PARAMS = (
    "temperature",
    "top_p",
    "top_logprobs",
    "max_output_tokens",
    "max_tool_calls",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "truncation",
    "include",
    "store",
    "background",
    "generate",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
)


class OpenAIResponses:
    """`openai.responses`: everything that answers with a response object."""

    dialect = "openai.responses"

    def matches(self, route: Route) -> bool:
        """True for the endpoint itself and for what is done to one response."""
        path = route.path
        if route.turn:
            return route.turn == "delegation" or path.endswith("/responses")
        if route.is_post:
            return _CREATE.search(path) is not None or self.operation(route) != "chat"
        return route.method == "GET" and _RETRIEVE.search(path) is not None

    def operation(self, route: Route) -> str:
        """`chat`, or what is done with a response instead."""
        if route.turn:
            return "chat"
        path = route.path
        if path.endswith("/responses/input_tokens"):
            return "count_tokens"
        if path.endswith("/responses/compact"):
            return "compact"
        if route.method == "GET":
            return "retrieve"
        return "cancel" if _CANCEL.search(path) else "chat"

    def kind(self, route: Route) -> Kind:
        """A compaction is billed, but no turn of the conversation."""
        match self.operation(route):
            case "count_tokens":
                return "count"
            case "compact":
                return "auxiliary"
            case "chat":
                return "llm"
            case _:
                return "admin"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Server-sent events; a WebSocket's turns are lines."""
        return "ndjson" if route.turn else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Instructions, items, tools, parameters and links of a request."""
        request = Reader(body)
        params = chosen(body, _PARAMS)
        form = object_of(object_of(body.get("text")).get("format")).get("type")
        if isinstance(form, str):
            params["response_format"] = form
        verbosity = object_of(body.get("text")).get("verbosity")
        if isinstance(verbosity, str):
            params["verbosity"] = verbosity
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True or route.query.get("stream") == "true",
            messages=tuple(messages_of(body.get("instructions"), body.get("input"))),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=params,
            links=_links(request),
            metadata=object_of(body.get("metadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of response events."""
        return ResponsesStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The response object's answer, status and usage."""
        reply = Reader(body)
        if self.operation(route) == "count_tokens":
            counted = splits(counted_tokens=reply.count("input_tokens"))
            return Reply(usage=Usage(detail=counted, raw=body), notes=tuple(reply.notes))
        parts = tuple(output_parts(reply.list("output")))
        status = reply.text("status")
        detail = text_of(object_of(body.get("incomplete_details")).get("reason"))
        output = body.get("output")
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, output),) if parts else (),
            finish_reasons=(status,) if status else (),
            finish_reason=finish_of(status, detail, parts),
            finish_detail=detail,
            usage=usage_of(body, reply.notes),
            failure=_failure(body.get("error")),
            service_tier=reply.text("service_tier"),
            notes=tuple(reply.notes),
        )


def _links(request: Reader) -> Links:
    conversation = request.get("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    return Links(
        previous_response_id=request.text("previous_response_id"),
        conversation_id=text_of(conversation),
        end_user=request.text("safety_identifier") or request.text("user"),
        prompt_id=text_of(object_of(request.get("prompt")).get("id")),
    )


def _failure(error: Json) -> Failure | None:
    """The response's own `error`; it has a code and a message, and seldom a type."""
    if not isinstance(error, dict):
        return None
    return Failure(
        text_of(error.get("type")), text_of(error.get("code")), text_of(error.get("message"))
    )


def usage_of(body: JsonObject, notes: list[str]) -> Usage:
    """The usage of a response, with what its tools are billed for beside its tokens."""
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    tools, image_model = tool_meters(body, notes)
    if image_model:
        raw = raw | {"image_model": image_model}
    counts = Reader(raw, notes, "usage")
    read = counts.object("input_tokens_details")
    written = counts.object("output_tokens_details")
    ttl = read.object("cache_write_tokens_details")
    return usage(
        raw,
        notes,
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=read.count("cached_tokens"),
        cache_write_tokens=read.count("cache_write_tokens"),
        reasoning_tokens=written.count("reasoning_tokens"),
        detail=splits(
            cache_write_30m=ttl.count("ttl_30m_tokens"),
            cache_write_12h=ttl.count("ttl_12h_tokens"),
            input_audio=read.count("audio_tokens"),
            input_image=read.count("image_tokens"),
            output_audio=written.count("audio_tokens"),
            server_tools=server_tools(counts),
            **tools,
        ),
    )
