"""Token counts for calls of which the provider reported nothing: a rule of thumb, kept apart.

The rule: one token for four bytes of UTF-8, four more for each message; reasoning that was not
shown is not in it, so the output is rather a lower bound.  Estimates stand in the usage's detail,
never in the counts themselves: no sum of counts can take one for a reported figure.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ..model import (
    Ask,
    Json,
    Message,
    Part,
    ReasoningPart,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from ..wire.jsonio import encode

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
INPUT, OUTPUT = "estimated_input_tokens", "estimated_output_tokens"


def with_estimates(reply: Reply, ask: Ask, tools: Json) -> Reply:
    """*reply*, its usage completed where the provider left it out or was cut off.

    *tools* are the request's tool definitions, which the model reads as well.
    """
    usage = reply.usage
    written = sum(map(_tokens, _written(reply.messages)))
    if not written:
        return reply
    if usage.source == "none":
        detail = {**usage.detail, INPUT: _read(ask, tools), OUTPUT: written}
        return replace(reply, usage=replace(usage, detail=detail, source="estimated"))
    if usage.source == "partial" and written > (usage.output_tokens or 0):
        # What was counted before the cut stays; Anthropic's first count is a placeholder.
        detail = {**usage.detail, OUTPUT: written}
        return replace(reply, usage=replace(usage, detail=detail))
    return reply


def _read(ask: Ask, tools: Json) -> int:
    words = sum(map(_tokens, (_words(part) for said in ask.messages for part in said.parts)))
    defined = _tokens(encode(tools)) if tools else 0
    return words + defined + TOKENS_PER_MESSAGE * len(ask.messages)


def _written(messages: Iterable[Message]) -> Iterable[str]:
    return (_words(part) for message in messages for part in message.parts)


def _words(part: Part) -> str:
    match part:
        case TextPart() | ReasoningPart():
            return part.text
        case ToolCallPart():
            return part.name + part.arguments
        case ToolResultPart():
            return part.content if isinstance(part.content, str) else encode(part.content)
        case _:
            return ""


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
