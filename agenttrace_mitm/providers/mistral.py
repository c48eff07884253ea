"""Mistral: chat, agents, fill-in-the-middle and embeddings, as deltas on OpenAI's shapes.

Chat differs in content blocks (which `chat_content` knows), in where cached tokens stand, and in
the tier, which stands in the usage.
"""

from msgspec.structs import replace

from ..model import Ask, JsonObject, Message, TextPart, Usage
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Route
from .openai_chat import OpenAIChat, usage_of
from .openai_embeddings import OpenAIEmbeddings
from .usage import splits


class MistralChat(OpenAIChat):
    """`mistral.chat`: `POST /v1/chat/completions`."""

    dialect = "mistral.chat"
    path = "/chat/completions"

    def matches(self, route: Route) -> bool:
        """True for this path at Mistral."""
        return route.is_post and route.provider == "mistral" and route.path.endswith(self.path)

    def read_usage(self, body: JsonObject, notes: list[str]) -> Usage:
        """Chat usage; older servers report `num_cached_tokens` instead of details."""
        raw = object_of(body.get("usage"))
        usage = usage_of(body.get("usage"), notes)
        counts = Reader(raw, notes, "usage")
        seconds = counts.number("prompt_audio_seconds")
        if usage.cache_read_tokens is None:
            usage = replace(usage, cache_read_tokens=counts.count("num_cached_tokens"))
        if seconds:
            usage = replace(usage, detail={**usage.detail, **splits(audio_seconds=seconds)})
        return usage

    def read_tier(self, body: JsonObject) -> str:
        """The tier as served."""
        return text_of(object_of(body.get("usage")).get("service_tier"))


class MistralAgents(MistralChat):
    """`mistral.agents`: the agent names the model, so the request does not."""

    dialect = "mistral.agents"
    path = "/agents/completions"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """A chat request, with the agent among its parameters."""
        ask = super().read_request(body, route)
        agent = text_of(body.get("agent_id"))
        return replace(ask, params={**ask.params, "agent_id": agent}) if agent else ask


class MistralFim(MistralChat):
    """`mistral.fim`: completes between a prompt and a suffix."""

    dialect = "mistral.fim"
    path = "/fim/completions"

    def operation(self, route: Route) -> str:
        """A text completion."""
        return "text_completion"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Prompt and suffix as one user's message of two parts."""
        ask = super().read_request(body, route)
        given = [text_of(body.get(key)) for key in ("prompt", "suffix")]
        parts = tuple(TextPart(text) for text in given if text)
        raw = {"role": "user", "content": given}
        return replace(ask, messages=(Message("user", parts, raw),) if parts else ())


class MistralEmbeddings(OpenAIEmbeddings):
    """`mistral.embeddings`: `POST /v1/embeddings`."""

    dialect = "mistral.embeddings"

    def matches(self, route: Route) -> bool:
        """True for this path at Mistral."""
        return super().matches(route) and route.provider == "mistral"
