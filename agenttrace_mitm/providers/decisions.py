"""Decisions: questions answered with probabilities, at OpenAI and at Google.

OpenAI counts like Responses, Google like Interactions.
"""

import re

from ..model import JsonObject, Message, Reply, UnknownPart
from ..wire.jsonio import Reader, list_of
from .adapter import Route
from .endpoint import Endpoint
from .gemini_interactions import usage_of as interactions_usage
from .openai_responses import usage_of as responses_usage


class OpenAIDecisions(Endpoint):
    """`openai.decisions`: `POST /v1/decisions`."""

    dialect = "openai.decisions"
    providers = ("openai",)
    path = re.compile(r"/decisions$")
    does = "decision"

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """What is to be decided, as it came."""
        given = {key: value for key, value in body.items() if key not in ("model", "stream")}
        return (Message("user", (UnknownPart(given),), given),) if given else ()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The answers, as they came, and what they took."""
        reply = Reader(body)
        counted = responses_usage if route.provider == "openai" else interactions_usage
        answers = list_of(body.get("output")) or list_of(body.get("decisions"))
        parts = tuple(UnknownPart(answer) for answer in answers)
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts),) if parts else (),
            usage=counted(body, reply.notes),
            notes=tuple(reply.notes),
        )


class GeminiDecisions(OpenAIDecisions):
    """`gemini.decisions`: `POST /v1beta/decisions`."""

    dialect = "gemini.decisions"
    providers = ("google",)
