"""Gemini Interactions: a conversation that the server keeps, one call for each step asked of it.

Create, fetch and cancel.  A call may hold several turns of the model where tools ran at Google.
Thoughts and tool results are counted beside input and output, and are added to them here.
`gemini_interactions_stream` folds streams.
"""

import re

from ..model import (
    Ask,
    JsonObject,
    Kind,
    Links,
    Message,
    Part,
    Reply,
    ToolCallPart,
    Usage,
)
from ..wire.jsonio import Reader, object_of
from .adapter import Framing, ReplyStream, Route
from .chat_content import tool_names
from .finish import normalized
from .gemini_interactions_stream import InteractionStream
from .gemini_steps import messages_of, parts_of
from .params import chosen
from .usage import cached_splits, splits, total_of, usage, with_thoughts

_CREATE = re.compile(r"/interactions$")
_ONE = re.compile(r"/interactions/[^/]+(/cancel)?$")
_PARAMS = (
    "temperature",
    "top_p",
    "top_k",
    "max_output_tokens",
    "stop_sequences",
    "seed",
    "thinking_level",
    "thinking_summaries",
    "tool_choice",
)


class GeminiInteractions:
    """`gemini.interactions`: everything that answers with an interaction."""

    dialect = "gemini.interactions"

    def matches(self, route: Route) -> bool:
        """True for the endpoint itself and for what is done with one interaction."""
        if route.provider != "google":
            return False
        if route.is_post and _CREATE.search(route.path):
            return True
        return route.method in ("GET", "POST") and _ONE.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """Generating, or what is done with an interaction instead."""
        if _CREATE.search(route.path):
            return "generate_content"
        return "cancel" if route.path.endswith("/cancel") else "retrieve"

    def kind(self, route: Route) -> Kind:
        """Only creating one asks a model."""
        return "llm" if _CREATE.search(route.path) else "admin"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Model or agent, instruction, input, tools and parameters."""
        request = Reader(body)
        params = chosen(object_of(body.get("generation_config")), _PARAMS)
        params |= chosen(body, ("agent", "store", "background", "service_tier"))
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True or route.query.get("stream") == "true",
            messages=tuple(messages_of(body.get("system_instruction"), body.get("input"))),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=params,
            links=Links(previous_response_id=request.text("previous_interaction_id")),
            metadata=object_of(body.get("labels")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of steps."""
        return InteractionStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The steps the model took, the interaction's status, and what it read and wrote."""
        reply = Reader(body)
        steps = reply.list("steps") or reply.list("outputs")
        parts = tuple(parts_of(steps))
        status = reply.text("status")
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, steps),) if parts else (),
            finish_reasons=(status,) if status else (),
            finish_reason=_finish(status, parts),
            usage=usage_of(body, reply.notes),
            service_tier=reply.text("service_tier"),
            notes=tuple(reply.notes),
        )


def _finish(status: str, parts: tuple[Part, ...]) -> str:
    called = any(isinstance(part, ToolCallPart) and not part.server for part in parts)
    if called and status in ("requires_action", "completed"):
        return "tool_calls"
    return "length" if status == "incomplete" else normalized(status)


def usage_of(body: JsonObject, notes: list[str]) -> Usage:
    """The `usage` of an interaction."""
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    thoughts = counts.count("total_thought_tokens")
    tools = counts.count("total_tool_use_tokens")
    asked = total_of(counts.count("total_input_tokens"), tools)
    written, total = counts.count("total_output_tokens"), counts.count("total_tokens")
    tools_used = list(counts.objects("grounding_tool_count"))
    searches = [tool.count("count") for tool in tools_used if tool.text("type") == "google_search"]
    maps = [tool.count("count") for tool in tools_used if tool.text("type") == "google_maps"]
    cached = counts.count("total_cached_tokens")
    read = _modalities(counts, "input")
    return usage(
        raw,
        notes,
        input_tokens=asked,
        output_tokens=with_thoughts(asked, written, thoughts, total),
        total_tokens=total,
        cache_read_tokens=cached,
        reasoning_tokens=thoughts,
        detail={
            **read,
            **_modalities(counts, "output"),
            **cached_splits(cached, _by_modality(counts, "cached"), read),
            **splits(
                input_tool=tools,
                web_searches=total_of(*searches),
                map_searches=total_of(*maps),
            ),
        },
    )


def _modalities(counts: Reader, side: str) -> dict[str, int | float]:
    return {
        f"{side}_{modality}": tokens
        for modality, tokens in _by_modality(counts, side).items()
        if modality in ("text", "image", "audio", "video", "document") and tokens
    }


def _by_modality(counts: Reader, side: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in counts.objects(f"{side}_tokens_by_modality"):
        modality, tokens = entry.text("modality").lower(), entry.count("tokens")
        if tokens is not None:
            found[modality] = found.get(modality, 0) + tokens
    return found
