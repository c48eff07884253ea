"""The steps of an interaction as messages and parts.

A step is what a user said, what a model said or thought, or a call and its result.  Older
answers list contents where newer ones list steps; both are read.
"""

from collections.abc import Iterable, Iterator

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
from ..wire.jsonio import encode, list_of, object_of, text_of
from . import media
from .chat_content import arguments_of

_FRAME = ("type", "id", "signature", "call_id", "name", "is_error", "result")


def messages_of(instruction: Json, given: Json) -> Iterator[Message]:
    """The messages of a request: the instruction, then its input, whatever shape that has."""
    if instruction is not None:
        words = tuple(_contents(instruction))
        yield Message("system", words, {"role": "system", "content": instruction})
    if isinstance(given, str):
        yield Message("user", (TextPart(given),), {"role": "user", "content": given})
        return
    for item in given if isinstance(given, list) else filter(None, [given]):
        yield (
            _message(object_of(item))
            if isinstance(item, dict)
            else Message("user", tuple(_contents(item)), item)
        )


def parts_of(steps: Iterable[Json]) -> Iterator[Part]:
    """The parts of an answer, in the order of its steps."""
    for step in steps:
        yield from _step(step) if isinstance(step, dict) else (UnknownPart(step),)


def _message(item: JsonObject) -> Message:
    if "role" in item:  # turns, as contents of generateContent have them
        role = text_of(item.get("role"))
        parts = tuple(_contents(item.get("content") or item.get("parts")))
        return Message("assistant" if role == "model" else "user", parts, item)
    kind = text_of(item.get("type"))
    parts = tuple(_step(item))
    if kind == "user_input":
        results = all(isinstance(part, ToolResultPart) for part in parts) and parts
        return Message("tool" if results else "user", parts, item)
    if kind.endswith("_result"):
        return Message("tool", parts, item)
    said = kind in ("model_output", "thought") or kind.endswith("_call")
    return Message("assistant" if said else "user", parts, item)


def _step(step: JsonObject) -> Iterable[Part]:
    kind = text_of(step.get("type"))
    match kind:
        case "user_input" | "model_output":
            return _contents(step.get("content"))
        case "thought":
            words = [text_of(object_of(one).get("text")) for one in list_of(step.get("summary"))]
            # Without a summary the thought is only signed: the part says that there was one.
            return [ReasoningPart("\n\n".join(filter(None, words)))]
        case "function_call":
            call_id, name = text_of(step.get("id")), text_of(step.get("name"))
            return [ToolCallPart(call_id, name, arguments_of(step.get("arguments")))]
        case "function_result":
            return [_result(step, kind, server=False)]
        case _ if kind.endswith("_call"):
            return [_server_call(step, kind)]
        case _ if kind.endswith("_result"):
            return [_result(step, kind, server=True)]
        case _:
            return _contents([step])


def _server_call(step: JsonObject, kind: str) -> ToolCallPart:
    what = step.get("arguments")
    if what is None:
        what = {key: value for key, value in step.items() if key not in _FRAME}
    name = text_of(step.get("name")) or kind.removesuffix("_call")
    return ToolCallPart(text_of(step.get("id")), name, encode(what), server=True)


def _result(step: JsonObject, kind: str, *, server: bool) -> ToolResultPart:
    name = text_of(step.get("name")) or kind.removesuffix("_result")
    failed = step.get("is_error") is True
    return ToolResultPart(text_of(step.get("call_id")), step.get("result"), name, failed, server)


def _contents(content: Json) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    if isinstance(content, dict):
        content = [content]
    parts: list[Part] = []
    for block in list_of(content):
        parts += _content(block) if isinstance(block, dict) else [UnknownPart(block)]
    return parts


def _content(block: JsonObject) -> Iterable[Part]:
    kind = text_of(block.get("type"))
    match kind:
        case "text" | "" if "text" in block:
            return [TextPart(text_of(block.get("text")))]
        case "image" | "audio" | "video" | "document":
            return [_medium(block)]
        case "thought" | "user_input" | "model_output":
            return _step(block)
        case _ if kind.endswith(("_call", "_result")):
            return _step(block)
        case _:
            return [UnknownPart(block)]


def _medium(block: JsonObject) -> MediaPart:
    mime_type = text_of(block.get("mime_type"))
    modality = media.modality_of(mime_type or f"{block.get('type')}/")
    if block.get("data"):
        return media.from_base64(modality, mime_type, block.get("data"))
    return media.at(modality, mime_type, text_of(block.get("uri")))
