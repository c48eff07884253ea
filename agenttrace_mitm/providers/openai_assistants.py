"""OpenAI assistants: runs of a thread, started, continued, fetched and cancelled.

A run reports its usage when it has ended, which a stream shows at once and a poll later on.
Threads, messages and assistants themselves are administration.
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
    Part,
    Reply,
    ToolResultPart,
    Usage,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .chat_content import parts_of, role_of, tool_calls_of, tool_names
from .finish import normalized
from .openai_assistants_stream import RunStream
from .params import chosen
from .usage import usage

_START = re.compile(r"/threads/([^/]+/)?runs$")
_ONE = re.compile(r"/threads/[^/]+/runs/[^/]+(?P<what>/cancel|/submit_tool_outputs)?$")
_PARAMS = (
    "temperature",
    "top_p",
    "max_prompt_tokens",
    "max_completion_tokens",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "assistant_id",
)


class OpenAIAssistants:
    """`openai.assistants`: everything that answers with a run."""

    dialect = "openai.assistants"

    def matches(self, route: Route) -> bool:
        """True where a run is started, or something is done with one."""
        if route.is_post:
            return bool(_START.search(route.path) or _ONE.search(route.path))
        return route.method == "GET" and _ONE.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """`invoke_agent`, or what is done with a run instead."""
        found = _ONE.search(route.path)
        if not found or found["what"] == "/submit_tool_outputs":
            return "invoke_agent"
        if found["what"]:
            return "cancel"
        return "update" if route.is_post else "retrieve"

    def kind(self, route: Route) -> Kind:
        """A model works when a run starts or goes on."""
        return "llm" if self.operation(route) == "invoke_agent" else "admin"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Instructions, new messages or tool outputs, and parameters."""
        request = Reader(body)
        thread = re.search(r"/threads/([^/]+)/runs", route.path)
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(_asked(body)),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=chosen(body, _PARAMS),
            links=Links(conversation_id=thread[1] if thread else ""),
            metadata=object_of(body.get("metadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of `thread.*` events."""
        return RunStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The run's status, the calls it waits for, its messages where they were streamed."""
        reply = Reader(body)
        parts = tuple(_answer(body))
        status = reply.text("status")
        detail = text_of(object_of(body.get("incomplete_details")).get("reason"))
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, _raw(body)),) if parts else (),
            finish_reasons=(status,) if status else (),
            finish_reason=_finish(status),
            finish_detail=detail,
            usage=_usage(body, reply.notes),
            failure=_failure(body.get("last_error")),
            notes=tuple(reply.notes),
        )


def _asked(body: JsonObject) -> list[Message]:
    messages = [
        Message("system", tuple(parts_of(body[key])), {"role": "system", "content": body[key]})
        for key in ("instructions", "additional_instructions")
        if body.get(key)
    ]
    thread = object_of(body.get("thread"))
    for turn in [*list_of(body.get("additional_messages")), *list_of(thread.get("messages"))]:
        fields = object_of(turn)
        parts = tuple(parts_of(fields.get("content")))
        messages.append(Message(role_of(fields.get("role")), parts, fields))
    for output in list_of(body.get("tool_outputs")):
        fields = object_of(output)
        result = ToolResultPart(text_of(fields.get("tool_call_id")), fields.get("output"))
        messages.append(Message("tool", (result,), fields))
    return messages


def _answer(body: JsonObject) -> list[Part]:
    parts: list[Part] = []
    for message in list_of(body.get("messages")):
        for block in list_of(object_of(message).get("content")):
            parts += parts_of([_plain(object_of(block))])
    return [*parts, *tool_calls_of(_wanted(body))]


def _plain(block: JsonObject) -> JsonObject:
    """A block as chat has it: the text of a thread's message is an object."""
    text = block.get("text")
    return {"type": "text", "text": text.get("value")} if isinstance(text, dict) else block


def _wanted(body: JsonObject) -> JsonObject:
    return object_of(object_of(body.get("required_action")).get("submit_tool_outputs"))


def _raw(body: JsonObject) -> Json:
    return [body.get("messages"), body.get("required_action")]


def _finish(status: str) -> str:
    return {"requires_action": "tool_calls", "incomplete": "length"}.get(status) or normalized(
        status
    )


def _failure(error: Json) -> Failure | None:
    if not isinstance(error, dict):
        return None
    return Failure(code=text_of(error.get("code")), message=text_of(error.get("message")))


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    # The wire's own spelling; a later one would agree with the other details.
    read = counts.object("prompt_token_details")
    return usage(
        raw,
        notes,
        input_tokens=counts.count("prompt_tokens"),
        output_tokens=counts.count("completion_tokens"),
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=read.count("cached_tokens"),
        reasoning_tokens=counts.count("completion_tokens_details", "reasoning_tokens"),
    )
