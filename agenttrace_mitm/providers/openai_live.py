"""OpenAI Live: sessions billed by the second, and the responses delegated from them.

The session is one turn, which ends when it closes; `usage.seconds` grows and the last one counts.
What it delegates to a model comes back as nested Responses events: each delegation is a turn of
its own, billed apart.
"""

from ..model import Ask, JsonObject, Kind, Message, Reply, SocketMessage, TextPart, Usage
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .turns import Draft, Turn, TurnReader, open_number_of
from .usage import splits

_KEPT = ("session.usage.updated", "session.closed", "transport.failed", "error")
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def session_turns(route: Route) -> TurnReader | None:
    """A reader for sockets below `/live/sessions`."""
    return OpenAILiveTurns() if "/live/sessions" in route.path else None


class OpenAILiveTurns:
    """The session, and the delegations, of a Live socket."""

    def __init__(self) -> None:
        self._session: Draft | None = None
        self._delegated: dict[str, Draft] = {}

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in how the session starts."""
        if event.get("type") == "session.start":
            config = object_of(event.get("session")) or {
                key: value for key, value in event.items() if key != "type"
            }
            self._session = Draft(message.number, message.at_us, config)
        return []

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in usage, transcripts and what delegations answer."""
        kind = text_of(event.get("type"))
        if self._session is None:
            self._session = Draft(message.number, message.at_us, {})
        if kind == "session.delegation.created":
            self._delegate(message, event)
        elif kind == "response.event":
            return self._answer(message, event)
        elif kind in _KEPT or "transcript" in kind:
            self._session.add(message, event)
            if kind == "session.closed":
                session, self._session = self._session, None
                return [session.turn(kind="session")]
        return []

    def open_number(self) -> int | None:
        """Delegations under way; the session is remembered by its first messages."""
        return open_number_of(list(self._delegated.values()))

    def close(self) -> list[Turn]:
        """The session, if it was not closed, and delegations without an end."""
        left = [d.turn(complete=False, kind="delegation") for d in self._delegated.values()]
        self._delegated.clear()
        if self._session and self._session.events:
            left.append(self._session.turn(complete=False, kind="session"))
        self._session = None
        return left

    def _delegate(self, message: SocketMessage, event: JsonObject) -> None:
        told = object_of(event.get("delegation")) or event
        if event.get("target", told.get("target")) == "client":
            return
        name = text_of(event.get("delegation_id")) or text_of(told.get("id"))
        self._delegated[name] = Draft(
            message.number, message.at_us, {"model": told.get("model"), "input": told.get("input")}
        )

    def _answer(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        name = text_of(event.get("delegation_id"))
        inner = object_of(event.get("event"))
        draft = self._delegated.setdefault(name, Draft(message.number, message.at_us, {}))
        draft.add(message, inner)
        if inner.get("type") not in _TERMINAL:
            return []
        return [self._delegated.pop(name).turn(kind="delegation")]


class OpenAILive:
    """`openai.live`: a whole session."""

    dialect = "openai.live"

    def matches(self, route: Route) -> bool:
        """True for the session of a Live socket."""
        return route.turn == "session"

    def operation(self, route: Route) -> str:
        """A conversation, spoken."""
        return "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Turns are kept as lines of JSON."""
        return "ndjson"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model and the instructions that the session started with."""
        words = text_of(body.get("instructions"))
        message = Message("system", (TextPart(words),), {"role": "system", "content": words})
        model = text_of(body.get("model")) or route.query.get("model", "")
        return Ask(model=model, streamed=True, messages=(message,) if words else ())

    def open_stream(self) -> ReplyStream:
        """A fold of session events."""
        return LiveStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """How long the session was, what was said in it, and why it ended."""
        reply = Reader(body)
        raw = object_of(body.get("usage"))
        seconds = Reader(raw, reply.notes, "usage").number("seconds")
        parts = tuple(TextPart(text, "transcript") for text in (reply.text("said"),) if text)
        reason = reply.text("reason")
        spent = Usage(detail=splits(session_seconds=seconds), raw=raw, source="reported")
        return Reply(
            messages=(Message("assistant", parts, body.get("said")),) if parts else (),
            finish_reasons=(reason,) if reason else (),
            finish_reason="stop" if body.get("closed") is True else "",
            usage=spent if raw else Usage(),
            notes=tuple(reply.notes),
        )


class LiveStream:
    """Folds session events: the last usage counts, output transcripts add up."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._fields: JsonObject = {}
        self._said: list[str] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        kind = text_of(event.get("type"))
        if isinstance(event.get("usage"), dict):
            self._fields["usage"] = event["usage"]
        if kind == "session.closed":
            self.complete = self.usage_is_final = True
            self._fields |= {"closed": True, "reason": event.get("reason")}
        if kind in ("error", "transport.failed"):
            self._fields["error"] = event.get("error") or {"type": kind}
        words = event.get("delta") if kind == "session.output_transcript.delta" else None
        if isinstance(words, str) and words:
            self._said.append(words)
            return True
        return False

    def done(self) -> None:
        """Live has no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The session as far as it came."""
        return {**self._fields, "said": "".join(self._said)}
