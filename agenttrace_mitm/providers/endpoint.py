"""What the small dialects share: one path, one kind of call, events that end with a whole.

A dialect below says where it is spoken and how its request and reply are read; the rest is here.
"""

import re
from collections.abc import Callable, Collection

from ..model import Ask, JsonObject, Kind, Message, Reply, TextPart
from ..wire.jsonio import Reader, text_of
from .adapter import Framing, ReplyStream, Route
from .params import chosen


class Endpoint:
    """Base of adapters for one POSTed endpoint: a billed model call, unless told otherwise."""

    dialect = ""
    providers: Collection[str] = ()
    """Who speaks it; empty: everybody."""
    path: re.Pattern[str] = re.compile("$^")
    does = "other"
    params: tuple[str, ...] = ()

    def matches(self, route: Route) -> bool:
        """True where something is POSTed to the path."""
        return route.is_post and self._is_here(route)

    def operation(self, route: Route) -> str:
        """Always the same."""
        return self.does

    def kind(self, route: Route) -> Kind:
        """A model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Server-sent events, where it streams at all."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Model, parameters, and what was put in."""
        request = Reader(body)
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") in (True, "true"),
            messages=self.read_input(body),
            params=chosen(body, self.params),
            notes=tuple(request.notes),
        )

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """What the model was given, as messages."""
        return ()

    def open_stream(self) -> ReplyStream:
        """A fold that takes the last event for the whole."""
        return LastEvent()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """What a whole response says."""
        return Reply(model=text_of(body.get("model")))

    def _is_here(self, route: Route) -> bool:
        spoken = not self.providers or route.provider in self.providers
        return spoken and self.path.search(route.path) is not None


class LastEvent:
    """Folds a stream whose terminal event is the whole answer.

    *ends* says which events are terminal, *generates* which carry content.
    """

    def __init__(
        self,
        ends: Callable[[str], bool] = lambda kind: kind.endswith((".completed", ".done")),
        generates: Callable[[str], bool] = lambda kind: kind.endswith((".delta", "partial_image")),
    ) -> None:
        self.complete = False
        self.usage_is_final = False
        self._ends = ends
        self._generates = generates
        self._last: JsonObject = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        kind = text_of(event.get("type")) or name
        if self._ends(kind) or event.get("error"):
            self._last = event
            self.complete = True
            self.usage_is_final = "error" not in event
        return self._generates(kind)

    def done(self) -> None:
        """The stream said `[DONE]`."""
        self.complete = True

    def whole(self) -> JsonObject:
        """The terminal event, empty before it came."""
        return dict(self._last)


def said_by_user(text: str, raw: object) -> tuple[Message, ...]:
    """*text* as the one message of a request, none when it is empty."""
    return (Message("user", (TextPart(text),), raw),) if text else ()


def answered(text: str, raw: object) -> tuple[Message, ...]:
    """*text* as the one message of a reply, none when it is empty."""
    return (Message("assistant", (TextPart(text),), raw),) if text else ()
