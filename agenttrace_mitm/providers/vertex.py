"""Vertex AI's raw endpoints: the vendors' own dialects, the model in the path.

Google's models there are read by the `gemini.*` dialects, whose paths end alike.
"""

import re

from msgspec.structs import replace

from ..model import Ask, JsonObject, Kind
from .adapter import Route
from .anthropic_messages import AnthropicMessages
from .mistral import MistralChat

_PATH = re.compile(
    r"/publishers/(?P<vendor>[^/]+)/models/(?P<model>[^/:]+):(rawPredict|streamRawPredict)$"
)
_COUNT = "count-tokens"


def _found(route: Route, *vendors: str) -> re.Match[str] | None:
    found = _PATH.search(route.path) if route.is_post else None
    return found if found and found["vendor"] in vendors else None


def _named(ask: Ask, route: Route) -> Ask:
    found = _PATH.search(route.path)
    return replace(ask, model=ask.model or found["model"]) if found else ask


class VertexAnthropic(AnthropicMessages):
    """`anthropic.messages` under `publishers/anthropic`."""

    def matches(self, route: Route) -> bool:
        """True for Anthropic's models on Vertex."""
        return _found(route, "anthropic") is not None

    def operation(self, route: Route) -> str:
        """A chat, or a count."""
        found = _found(route, "anthropic")
        return "count_tokens" if found and found["model"] == _COUNT else "chat"

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if self.operation(route) == "count_tokens" else "llm"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """A messages request whose model stands in the path."""
        return _named(super().read_request(body, route), route)


class VertexMistral(MistralChat):
    """`mistral.chat` under `publishers/mistralai`."""

    def matches(self, route: Route) -> bool:
        """True for Mistral's models on Vertex."""
        return _found(route, "mistralai") is not None

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """A chat request whose model may stand in the path alone."""
        return _named(super().read_request(body, route), route)
