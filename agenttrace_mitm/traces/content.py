"""Messages as plain values: the form in which content is fingerprinted, redacted and stored.

A message's content is a list of parts, each a dict with a `type` of the OpenTelemetry GenAI
message schema.  `text` is the same content as words, for search.
"""

from typing import Any, Literal, assert_never, cast

import msgspec

from ..model import (
    Json,
    JsonObject,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UnknownPart,
)

type Role = Literal["system", "user", "assistant", "tool"]


def render(message: Message) -> list[JsonObject]:
    """The parts of *message* as JSON values."""
    return [_part(part) for part in message.parts]


def parsed(role: str, content: list[JsonObject]) -> Message:
    """The message that `render` made *content* of, as far as content tells."""
    return Message(cast("Role", role), tuple(_parsed_part(part) for part in content))


def plain_text(content: list[JsonObject]) -> str:
    """What a person could search for in rendered *content*: words, arguments, results."""
    return "\n".join(filter(None, (_words(part) for part in content)))


def _part(part: Part) -> JsonObject:
    match part:
        case TextPart():
            value: JsonObject = {"type": "text", "content": part.text}
            return value if part.kind == "text" else value | {"kind": part.kind}
        case ReasoningPart():
            return {"type": "reasoning", "content": part.text}
        case ToolCallPart():
            value = {
                "type": "tool_call",
                "id": part.id,
                "name": part.name,
                "arguments": part.arguments,
            }
            return value | {"server": True} if part.server else value
        case ToolResultPart():
            value = {"type": "tool_call_response", "id": part.tool_call_id}
            if part.name:
                value["name"] = part.name
            value["response"] = part.content
            if part.is_error:
                value["is_error"] = True
            return value | {"server": True} if part.server else value
        case MediaPart():
            return _media(part)
        case UnknownPart():
            return {"type": "unknown", "raw": part.raw}
        case _:
            assert_never(part)


def _parsed_part(value: Any) -> Part:
    match value["type"]:
        case "text":
            return TextPart(value["content"], value.get("kind", "text"))
        case "reasoning":
            return ReasoningPart(value["content"])
        case "tool_call":
            server = value.get("server", False)
            return ToolCallPart(value["id"], value["name"], value["arguments"], server=server)
        case "tool_call_response":
            return ToolResultPart(
                value["id"],
                value["response"],
                value.get("name", ""),
                value.get("is_error", False),
                value.get("server", False),
            )
        case "uri" | "blob":
            told = {name: value[name] for name in _MEDIA_KEYS if name in value}
            return MediaPart(value["modality"], **told)
    return UnknownPart(value.get("raw"))


_MEDIA_KEYS = ("uri", "mime_type", "size", "sha256")


def _media(part: MediaPart) -> JsonObject:
    value: JsonObject = {"type": "uri" if part.uri else "blob", "modality": part.modality}
    for name in _MEDIA_KEYS:
        if known := getattr(part, name):
            value[name] = known
    return value


def _words(part: JsonObject) -> str:
    match part["type"]:
        case "text" | "reasoning":
            return str(part["content"])
        case "tool_call":
            return f"{part['name']} {part['arguments'] or ''}"
        case "tool_call_response":
            return _as_text(part["response"])
        case "uri":
            return str(part["uri"])
    return ""


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
