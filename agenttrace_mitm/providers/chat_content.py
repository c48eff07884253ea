"""Content blocks and tool calls in the shape that OpenAI's chat made common.

Mistral and Cohere v2 speak the same shapes with a few blocks of their own; Responses adds
`input_*` and `output_*` names.  Comes in: `content` of a message.  Goes out: parts.
"""

from collections.abc import Iterator
from typing import Literal

from ..model import (
    Json,
    JsonObject,
    MediaPart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    UnknownPart,
)
from ..wire.jsonio import encode, list_of, object_of, text_of
from . import media

_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def role_of(value: Json) -> Literal["system", "user", "assistant", "tool"]:
    """The shared name of a role; who is not known speaks as a user."""
    return _ROLES.get(text_of(value), "user")


def parts_of(content: Json) -> list[Part]:
    """The parts of a message's `content`: a string, a list of blocks, or nothing."""
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    if isinstance(content, list):
        return [_block(block) for block in content]
    return [] if content is None else [UnknownPart(content)]


def _block(block: Json) -> Part:
    if isinstance(block, str):
        return TextPart(block)
    if not isinstance(block, dict):
        return UnknownPart(block)
    match block.get("type"):
        case "text" | "output_text" | "input_text" | "summary_text" | "reasoning_text":
            return TextPart(text_of(block.get("text")))
        case "refusal":
            return TextPart(text_of(block.get("refusal")), "refusal")
        case "thinking":
            return ReasoningPart(_thought(block.get("thinking")))
        case "image_url" | "input_image":
            return _image(block)
        case "input_audio":
            return _audio(block.get("input_audio"))
        case "file" | "input_file":
            return _file(object_of(block.get("file")) or block)
        case "document_url":
            return media.from_url("document", block.get("document_url"))
        case "video_url":
            return media.from_url("video", _url(block.get("video_url")))
        case _:
            return UnknownPart(block)


def _thought(value: Json) -> str:
    """Mistral lists the pieces of a thought, Cohere writes it out."""
    if isinstance(value, list):
        return "".join(text_of(object_of(piece).get("text")) for piece in value)
    return text_of(value)


def _url(value: Json) -> Json:
    return value.get("url") if isinstance(value, dict) else value


def _image(block: JsonObject) -> MediaPart:
    url = _url(block.get("image_url"))
    if url is None:
        return MediaPart("image", uri=text_of(block.get("file_id")))
    return media.from_url("image", url)


def _audio(value: Json) -> MediaPart:
    if isinstance(value, str):  # Mistral: base64 or a URL
        if value.startswith(("http://", "https://", "data:")):
            return media.from_url("audio", value)
        return media.from_base64("audio", "", value)
    audio = object_of(value)
    mime_type = f"audio/{text_of(audio.get('format'))}".rstrip("/")
    return media.from_base64("audio", mime_type, audio.get("data"))


def _file(file: JsonObject) -> MediaPart:
    data = text_of(file.get("file_data"))
    if data.startswith("data:"):
        return media.from_url("file", data)
    if data:
        return media.from_base64("file", "", data)
    return MediaPart("file", uri=text_of(file.get("file_url")) or text_of(file.get("file_id")))


def arguments_of(value: Json) -> str:
    """Tool arguments as text: the wire's own, or the JSON that it nests."""
    if isinstance(value, str):
        return value
    return "" if value is None else encode(value)


def tool_calls_of(message: JsonObject) -> Iterator[ToolCallPart]:
    """The calls of an assistant message, the deprecated single `function_call` too."""
    for call in list_of(message.get("tool_calls")):
        if isinstance(call, dict):
            yield _tool_call(call)
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        yield ToolCallPart("", text_of(legacy.get("name")), arguments_of(legacy.get("arguments")))


def _tool_call(call: JsonObject) -> ToolCallPart:
    custom = call.get("custom")
    if isinstance(custom, dict):
        name, arguments = custom.get("name"), custom.get("input")
    else:
        function = object_of(call.get("function"))
        name, arguments = function.get("name"), function.get("arguments")
    return ToolCallPart(text_of(call.get("id")), text_of(name), arguments_of(arguments))


def tool_names(tools: Json) -> tuple[str, ...]:
    """The names of the tools offered; built-in ones go by their type."""
    names = []
    for tool in list_of(tools):
        fields = object_of(tool)
        inner = object_of(fields.get("function") or fields.get("custom"))
        name = inner.get("name") or fields.get("name") or fields.get("type")
        names.append(text_of(name))
    return tuple(filter(None, names))
