"""Moderation and classification: OpenAI's and Mistral's, which share path and shape.

OpenAI's is free and reports no usage; Mistral's counts its prompt.
"""

import re

from ..model import JsonObject, Message, Part, Reply, UnknownPart, Usage
from ..wire.jsonio import Reader
from .adapter import Route
from .chat_content import parts_of, role_of
from .endpoint import Endpoint
from .usage import usage


class OpenAIModerations(Endpoint):
    """`openai.moderations`: `POST /v1/moderations`."""

    dialect = "openai.moderations"
    path = re.compile(r"/moderations$")
    does = "moderation"

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """What is judged: texts, blocks, or a conversation."""
        given = body.get("input")
        items = given if isinstance(given, list) else [given]
        return tuple(_judged(item) for item in items if item is not None)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The judgements, as they came."""
        reply = Reader(body)
        verdicts: list[Part] = [UnknownPart(verdict) for verdict in reply.list("results")]
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", tuple(verdicts)),) if verdicts else (),
            usage=_usage(body, reply.notes),
            notes=tuple(reply.notes),
        )


class MistralModerations(OpenAIModerations):
    """`mistral.moderations`: of texts and of chats, and the same for classifiers."""

    dialect = "mistral.moderations"
    providers = ("mistral",)
    path = re.compile(r"/v1/(chat/)?(moderations|classifications)$")


def _judged(item: object) -> Message:
    if isinstance(item, list):  # Mistral judges a list of conversations
        return Message("user", tuple(UnknownPart(turn) for turn in item), item)
    if isinstance(item, dict) and "role" in item:
        return Message(role_of(item["role"]), tuple(parts_of(item.get("content"))), item)
    return Message("user", tuple(parts_of([item])), item)


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    return usage(
        raw,
        notes,
        input_tokens=counts.count("prompt_tokens"),
        output_tokens=counts.count("completion_tokens"),
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=counts.count("prompt_tokens_details", "cached_tokens"),
    )
