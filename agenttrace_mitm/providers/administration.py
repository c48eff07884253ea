"""What is kept, listed and arranged at the providers: no model answers here.

Files, batches, models, caches, stores, threads, agents ... each with a dialect name of its own, so
that they can be told apart.  The model a request names is read; an object that merely mentions a
model answered nothing, so it has no response model, and a total that a batch reports is kept as
it came but not counted: each line of its output is a call of its own (see `within`).
"""

import re
from dataclasses import dataclass

from ..model import Ask, JsonObject, Kind, Reply, Usage
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .endpoint import LastEvent
from .usage import splits


@dataclass(frozen=True, slots=True)
class _Kept:
    """Objects of one kind: whose, under which path, and what they are called."""

    provider: str
    dialect: str
    path: re.Pattern[str]
    does: str


def _kept(provider: str, name: str, path: str, does: str = "admin") -> _Kept:
    return _Kept(
        provider, f"{provider if provider != 'google' else 'gemini'}.{name}", _at(path), does
    )


def _at(path: str) -> re.Pattern[str]:
    return re.compile(rf"^(/upload|/download)?(/v\d\w*)?/{path}(/|:|$)")


_KEPT = (
    _kept("openai", "files", "(files|uploads)", "files"),
    _kept("openai", "batches", "batches"),
    _kept("openai", "models", "models", "models"),
    _kept("openai", "stored_responses", "responses/[^/]+"),
    _kept("openai", "conversations", "conversations"),
    _kept("openai", "stored_chat", "chat/completions"),
    _kept("openai", "assistants", "(assistants|threads)"),
    _kept("openai", "vector_stores", "vector_stores"),
    _kept("openai", "fine_tuning", "(fine_tuning|fine-tunes)"),
    _kept("openai", "videos", "videos"),
    _kept("openai", "audio", "audio"),
    _kept("openai", "organization", "organization"),
    _kept("openai", "evals", "evals"),
    _kept("openai", "containers", "containers"),
    _kept("openai", "realtime", "realtime"),
    _kept("openai", "live", "live"),
    _kept("openai", "agents", "agents"),
    _kept("anthropic", "batches", "messages/batches"),
    _kept("anthropic", "files", "files", "files"),
    _kept("anthropic", "models", "models", "models"),
    _kept("anthropic", "managed", "sessions"),
    _kept(
        "anthropic",
        "admin",
        "(agents|environments|deployments|deployment_runs|dreams|memory_stores|vaults|skills"
        "|user_profiles|tunnels|organizations)",
    ),
    _kept("google", "batches", r"(batches|models/[^/:]+:(batch|asyncBatch)\w+)"),
    _kept("google", "caches", "cachedContents"),
    _kept("google", "files", "(files|fileSearchStores|corpora)", "files"),
    _kept("google", "operations", "(operations|models/[^/]+/operations)"),
    _kept("google", "models", "(models|tunedModels)", "models"),
    _kept("google", "admin", "(agents|environments|triggers|credentials|webhooks|voices)"),
    _kept("mistral", "conversations", "conversations"),
    _kept("mistral", "batches", "batch/jobs"),
    _kept("mistral", "files", "files", "files"),
    _kept("mistral", "models", "(models|fine_tuning)", "models"),
    _kept("mistral", "audio", "audio"),
    _kept("mistral", "platform", "(agents|libraries|workflows|observability|rag|connectors)"),
    _kept("cohere", "batches", "batches"),
    _kept("cohere", "models", "(models|finetuning)", "models"),
    _kept("cohere", "admin", "(datasets|connectors|embed-jobs|check-api-key)"),
)
_MODEL = re.compile(r"/(?:models|tunedModels)/(?P<model>[^/]+?)(?::[A-Za-z]*[bB]atch[A-Za-z]+)?$")


class Administration:
    """One kind of object that a provider keeps."""

    def __init__(self, kept: _Kept) -> None:
        self.dialect = kept.dialect
        self._kept = kept

    def matches(self, route: Route) -> bool:
        """True under the path, whatever is done there."""
        here = route.provider == self._kept.provider
        return here and self._kept.path.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """What the table says."""
        return self._kept.does

    def kind(self, route: Route) -> Kind:
        """Never a model call."""
        return "admin"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Server-sent events, where it streams at all."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model it is about, of the body or of the path."""
        found = _MODEL.search(route.path)
        return Ask(model=text_of(body.get("model")) or (found["model"] if found else ""))

    def open_stream(self) -> ReplyStream:
        """A fold that keeps nothing but the last event."""
        return LastEvent()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Meters that are nobody's call: a batch's total, a cache's size."""
        raw = body.get("usage") or body.get("usageMetadata")
        if not isinstance(raw, dict):
            return Reply()
        size = Reader(object_of(body.get("usageMetadata"))).count("totalTokenCount")
        cached = size if self.dialect == "gemini.caches" else None
        return Reply(usage=Usage(raw=raw, detail=splits(cached_content_tokens=cached)))

    def read_content(self, data: bytes, content_type: str) -> Reply:
        """A file's content is nobody's answer."""
        return Reply()


ADMINISTRATION = tuple(Administration(kept) for kept in _KEPT)
