"""Gemini's contents and parts in the shared words.

Function calls have no ids unless the client made some up: they are told apart by name and order.
Requests may spell every key in camelCase or in snake_case.
"""

import re
from collections.abc import Iterator

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
from ..wire.jsonio import list_of, object_of, text_of
from . import media
from .chat_content import arguments_of

_UPPER = re.compile(r"(?<!^)([A-Z])")
_SNAKE = {
    name: _UPPER.sub(r"_\1", name).lower()
    for name in (
        "systemInstruction",
        "generationConfig",
        "toolConfig",
        "functionCallingConfig",
        "functionDeclarations",
        "serviceTier",
        "cachedContent",
        "functionCall",
        "functionResponse",
        "inlineData",
        "fileData",
        "mimeType",
        "fileUri",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
        "toolType",
        "generateContentRequest",
        "request",
    )
}


def field(body: JsonObject, name: str) -> Json:
    """The value of *name*, in either spelling."""
    value = body.get(name)
    return body.get(_SNAKE[name]) if value is None else value


def messages_of(system: Json, contents: Json) -> Iterator[Message]:
    """The messages of a request: the system instruction, then the contents."""
    if system is not None:
        yield Message("system", tuple(parts_of(system)), system)
    for content in contents if isinstance(contents, list) else [contents]:
        if content is None:
            continue
        parts = tuple(parts_of(content))
        only_results = bool(parts) and all(isinstance(p, ToolResultPart) for p in parts)
        role = text_of(object_of(content).get("role"))
        if role == "model":
            yield Message("assistant", parts, content)
        else:
            yield Message("tool" if only_results or role == "function" else "user", parts, content)


def parts_of(content: Json) -> Iterator[Part]:
    """The parts of a content; a bare string, list or part stands for a content of its own."""
    if isinstance(content, str):
        yield TextPart(content)
        return
    parts = content.get("parts") if isinstance(content, dict) else content
    if isinstance(content, dict) and parts is None and content.keys() - {"role"}:
        parts = [content]
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(part, dict):
            yield from _part(part)
        elif part is not None:
            yield TextPart(part) if isinstance(part, str) else UnknownPart(part)


def _part(part: JsonObject) -> Iterator[Part]:
    text = part.get("text")
    if part.get("thought") is True:
        yield ReasoningPart(text_of(text))
    elif isinstance(text, str):
        if text:
            yield TextPart(text)
    elif isinstance(call := field(part, "functionCall"), dict):
        yield _call(call)
    elif isinstance(answer := field(part, "functionResponse"), dict):
        yield _answer(answer)
    elif isinstance(data := field(part, "inlineData"), dict):
        mime_type = text_of(field(data, "mimeType"))
        yield media.from_base64(media.modality_of(mime_type), mime_type, data.get("data"))
    elif isinstance(file := field(part, "fileData"), dict):
        mime_type = text_of(field(file, "mimeType"))
        uri = text_of(field(file, "fileUri"))
        yield media.at(media.modality_of(mime_type), mime_type, uri)
    elif isinstance(code := field(part, "executableCode"), dict):
        name = text_of(code.get("language")) or "code"
        arguments = text_of(code.get("code"))
        yield ToolCallPart(text_of(code.get("id")), name, arguments, server=True)
    elif isinstance(result := field(part, "codeExecutionResult"), dict):
        failed = text_of(result.get("outcome")) not in ("", "OUTCOME_OK")
        call_id, output = text_of(result.get("id")), text_of(result.get("output"))
        yield ToolResultPart(call_id, output, is_error=failed, server=True)
    elif isinstance(call := field(part, "toolCall"), dict):
        arguments = arguments_of(call.get("args"))
        yield ToolCallPart(text_of(call.get("id")), _tool(call), arguments, server=True)
    elif isinstance(answer := field(part, "toolResponse"), dict):
        content = answer.get("response")
        yield ToolResultPart(text_of(answer.get("id")), content, _tool(answer), server=True)
    elif part:
        yield UnknownPart(part)


def _tool(part: JsonObject) -> str:
    """The name of a tool that ran at Google: `GOOGLE_SEARCH_WEB` ..."""
    return text_of(field(part, "toolType")).lower()


def _call(call: JsonObject) -> ToolCallPart:
    arguments = call.get("args")
    if arguments is None and call.get("partialArgs"):
        arguments = _joined(list_of(call.get("partialArgs")))
    return ToolCallPart(
        text_of(call.get("id")),
        text_of(call.get("name")),
        "{}" if arguments is None else arguments_of(arguments),
    )


def _answer(answer: JsonObject) -> ToolResultPart:
    content = answer.get("response")
    if isinstance(content, dict):
        # The SDKs wrap whatever a function returned in `result` or `output`.
        inner = [content[key] for key in ("result", "output") if key in content]
        if len(content) == 1 and inner and isinstance(inner[0], str):
            content = inner[0]
    failed = isinstance(content, dict) and set(content) == {"error"}
    name = text_of(answer.get("name"))
    return ToolResultPart(text_of(answer.get("id")), content, name, failed)


def _joined(pieces: list[Json]) -> JsonObject:
    """Streamed arguments from their pieces: strings grow, other values are set."""
    arguments: JsonObject = {}
    for piece in map(object_of, pieces):
        name = text_of(piece.get("jsonPath")).removeprefix("$.")
        given = [v for k, v in piece.items() if k.endswith("Value")]
        value = given[0] if given else None
        before = arguments.get(name)
        joins = isinstance(before, str) and isinstance(value, str)
        if given:
            arguments[name] = f"{before}{value}" if joins else value
    return arguments
