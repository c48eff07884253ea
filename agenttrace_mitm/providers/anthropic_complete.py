"""Anthropic's legacy text completions, which report no usage."""

from ..model import Ask, JsonObject, Kind, Links, Message, Reply, TextPart
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .finish import normalized
from .params import chosen

_PARAMS = ("max_tokens_to_sample", "temperature", "top_p", "top_k", "stop_sequences")


class AnthropicCompletionStream:
    """Folds `completion` events; the oldest servers repeated the whole text, the later ones not."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._texts: list[str] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        text = text_of(event.get("completion"))
        if text:
            self._texts.append(text)
        if event.get("type") != "ping" and name != "ping":
            self._head |= {k: v for k, v in event.items() if v is not None}
        if event.get("stop_reason"):
            self.complete = True
        return bool(text)

    def done(self) -> None:
        """There is no `[DONE]` here."""

    def whole(self) -> JsonObject:
        """The completion as far as it came."""
        return {**self._head, "completion": "".join(self._texts)}


class AnthropicComplete:
    """`anthropic.complete`: `POST /v1/complete`."""

    dialect = "anthropic.complete"

    def matches(self, route: Route) -> bool:
        """True for the path of old clients."""
        return route.is_post and route.provider == "anthropic" and route.path.endswith("/complete")

    def operation(self, route: Route) -> str:
        """Always a text completion."""
        return "text_completion"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The prompt, turns and all, as one user's message."""
        request = Reader(body)
        prompt = request.text("prompt")
        raw = {"role": "user", "content": prompt}
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=(Message("user", (TextPart(prompt),), raw),) if prompt else (),
            params=chosen(body, _PARAMS),
            links=Links(end_user=text_of(object_of(body.get("metadata")).get("user_id"))),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of completion events."""
        return AnthropicCompletionStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The completion and why it stopped."""
        reply = Reader(body)
        text, stop = reply.text("completion"), reply.text("stop_reason")
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", (TextPart(text),), text),) if text else (),
            finish_reasons=(stop,) if stop else (),
            finish_reason=normalized(stop),
            finish_detail=reply.text("stop"),
            notes=tuple(reply.notes),
        )
