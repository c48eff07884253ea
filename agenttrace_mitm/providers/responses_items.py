"""The items of the Responses API as messages and parts.

Calls whose result the client owes are client calls; those that ran at OpenAI are `server` ones.
What a server tool answered stays in the item, as the arguments' neighbour: items are kept whole
where we have no part for them.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from ..model import (
    Json,
    JsonObject,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)
from ..wire.jsonio import encode, list_of, object_of, text_of
from . import media, tool_results
from .chat_content import arguments_of, parts_of, role_of
from .finish import normalized

# Typed calls that the client runs -> the field that says what to run.
_CLIENT_CALLS = {
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
    "computer_call": "action",
}
# Calls that ran at OpenAI -> the field that says what ran.
_SERVER_CALLS = {
    "web_search_call": "action",
    "file_search_call": "queries",
    "code_interpreter_call": "code",
    "image_generation_call": "revised_prompt",
    "mcp_call": "arguments",
    "mcp_list_tools": "server_label",
    "mcp_approval_request": "arguments",
    "tool_search_call": "arguments",
}
_SERVER_RESULTS = {
    "web_search_call": "results",
    "file_search_call": "results",
    "code_interpreter_call": "outputs",
    "mcp_call": "output",
}
# Why Realtime cancels a response: somebody spoke in between, or the client stopped it.
_INTERRUPTED = ("turn_detected", "client_cancelled")
# How Codex words what one agent of a team tells another (0.171.0, November 2026).
_TASK = "Message Type: NEW_TASK"
_PAYLOAD = "\nPayload:\n"


def messages_of(instructions: Json, items: Json) -> Iterator[Message]:
    """The messages of a request: instructions first, then one for each input item."""
    if instructions is not None:
        yield Message(
            "system", tuple(_words(instructions)), {"role": "system", "content": instructions}
        )
    if isinstance(items, str):
        yield Message("user", tuple(parts_of(items)), {"role": "user", "content": items})
        return
    for item in list_of(items):
        yield _message(item)


def output_parts(items: Iterable[Json]) -> Iterator[Part]:
    """The parts of a reply, in the order of its output items."""
    for item in items:
        yield from _parts(object_of(item)) if isinstance(item, dict) else (UnknownPart(item),)


def finish_of(status: str, detail: str, parts: Iterable[Part]) -> str:
    """Why a response ended, in the shared words: its status, the detail of it, what it held."""
    if status == "incomplete":
        return normalized(detail) or "length"
    if status == "cancelled" and detail in _INTERRUPTED:
        return "aborted"
    if status == "completed":
        parts = tuple(parts)
        if any(isinstance(part, TextPart) and part.kind == "refusal" for part in parts):
            return "content_filter"
        if any(isinstance(part, ToolCallPart) and not part.server for part in parts):
            return "tool_calls"
    return normalized(status)


def _words(instructions: Json) -> list[Part]:
    if isinstance(instructions, list):  # as a response echoes them
        return [part for item in instructions for part in _message(item).parts]
    return parts_of(instructions)


def _message(item: Json) -> Message:
    if not isinstance(item, dict):
        return Message("user", tuple(parts_of([item])), item)
    return Message(_role(item), tuple(_parts(item)), item)


def _role(item: JsonObject) -> Literal["system", "user", "assistant", "tool"]:
    kind = text_of(item.get("type")) or "message"
    if kind == "message":
        return role_of(item.get("role"))
    if kind == "agent_message":  # another agent speaks, in the place of a user
        return "user"
    if kind.endswith("_output") or kind == "mcp_approval_response":
        return "tool"
    return "system" if kind in ("additional_tools", "configuration_update") else "assistant"


def _parts(item: JsonObject) -> Iterable[Part]:
    kind = text_of(item.get("type")) or "message"
    match kind:
        case "message":
            return parts_of(item.get("content"))
        case "agent_message":
            return _between_agents(item)
        case "reasoning":
            return _thoughts(item)
        case "function_call" | "custom_tool_call":
            return [_client_call(item)]
        case _ if kind in _CLIENT_CALLS:
            what = item.get(_CLIENT_CALLS[kind]) or item.get("actions")
            return [_typed_call(item, kind, what, server=False)]
        case "tool_search_call" if item.get("execution") == "client":
            return [_typed_call(item, kind, item.get("arguments"), server=False)]
        case _ if kind in _SERVER_CALLS:
            return _server_call(item, kind)
        case "tool_search_output":
            ran_there = item.get("execution") == "server"
            tools = item.get("tools")
            return [
                ToolResultPart(text_of(item.get("call_id")), tools, "tool_search", False, ran_there)
            ]
        case _ if kind.endswith("_call_output"):
            return [_result(item)]
        case _:
            return [UnknownPart(item)]


def _between_agents(item: JsonObject) -> list[Part]:
    """What an agent tells another: of a task, how it is addressed and what it says.

    A task's words are those of the tool call that sent them, encrypted by the provider or not.
    All else is a model's reply again: kept whole, to be dropped where replies are.
    """
    blocks = [object_of(block) for block in list_of(item.get("content"))]
    said = "".join(text_of(b.get("text")) or text_of(b.get("encrypted_content")) for b in blocks)
    head, mark, task = said.partition(_PAYLOAD)
    if said.startswith(_TASK) and task:
        return [TextPart(head + mark), TextPart(task)]
    return [UnknownPart(item)]


def _thoughts(item: JsonObject) -> list[Part]:
    blocks = [*list_of(item.get("summary")), *list_of(item.get("content"))]
    texts = [text_of(object_of(block).get("text")) for block in blocks]
    # Without a summary the thought is encrypted or withheld: the part says that there was one.
    return [ReasoningPart("\n\n".join(filter(None, texts)))]


def _client_call(item: JsonObject) -> ToolCallPart:
    given = item.get("arguments") if "arguments" in item else item.get("input")
    call_id, item_id = text_of(item.get("call_id")), text_of(item.get("id"))
    name = text_of(item.get("name"))
    return ToolCallPart(call_id or item_id, name, arguments_of(given), item_id)


def _typed_call(item: JsonObject, kind: str, what: Json, *, server: bool) -> ToolCallPart:
    item_id = text_of(item.get("id"))
    return ToolCallPart(
        text_of(item.get("call_id")) or item_id,
        text_of(item.get("name")) or kind.removesuffix("_call"),
        arguments_of(what),
        item_id,
        server,
        typed=not server,
    )


def _server_call(item: JsonObject, kind: str) -> Iterator[Part]:
    call = _typed_call(item, kind, item.get(_SERVER_CALLS[kind]), server=True)
    yield call
    if kind == "image_generation_call" and item.get("result"):
        yield media.from_base64("image", "image/png", item.get("result"))
    answer = item.get(_SERVER_RESULTS.get(kind, ""))
    failed = item.get("error")
    if answer or failed:
        content = answer if isinstance(answer, str) else answer or encode(failed)
        yield ToolResultPart(call.id, content, call.name, bool(failed), server=True)


def _result(item: JsonObject) -> ToolResultPart:
    return ToolResultPart(
        text_of(item.get("call_id")) or text_of(item.get("id")),
        tool_results.content_of(item.get("output"), parts_of),
        is_error=item.get("status") == "failed",
    )
