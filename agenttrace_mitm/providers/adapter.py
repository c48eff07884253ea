"""The seam between the wire and its dialects: what one dialect has to know how to read."""

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import msgspec

from ..model import Ask, JsonObject, Kind, Reply, TurnKind

Framing = Literal["sse", "ndjson", "json-array", "event-stream", "grpc", "vertex-grpc"]


class Route(msgspec.Struct, frozen=True):
    """Where a request went: what decides which dialect is spoken."""

    provider: str
    method: str
    path: str
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    turn: TurnKind = ""
    """What a turn on a WebSocket is; empty for plain requests."""

    @property
    def is_post(self) -> bool:
        """True for the method by which models are asked."""
        return self.method == "POST"


class ReplyStream(Protocol):
    """Folds the events of a streamed reply into the whole response they stand for.

    `complete` turns true with the terminal event, `usage_is_final` once no later event can
    change the usage.  `whole()` may be asked at any moment.
    """

    complete: bool
    usage_is_final: bool

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        ...

    def done(self) -> None:
        """Takes in the `[DONE]` that ends some streams."""
        ...

    def whole(self) -> JsonObject:
        """The response object, as if it had not been streamed."""
        ...


@runtime_checkable
class EndsUnsaid(Protocol):
    """A fold of streams that some servers end without the terminal event."""

    @property
    def has_ended(self) -> bool:
        """True once everything was said that such a stream has to say."""
        ...


class Adapter(Protocol):
    """Reads one wire dialect."""

    dialect: str

    def matches(self, route: Route) -> bool:
        """True when this dialect is spoken at *route*."""
        ...

    def operation(self, route: Route) -> str:
        """What is done at *route*, in OpenTelemetry's words where it has one."""
        ...

    def kind(self, route: Route) -> Kind:
        """What a call at *route* is for."""
        ...

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """How a streamed reply is cut into events where its headers do not say."""
        ...

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """What the request wants."""
        ...

    def open_stream(self) -> ReplyStream:
        """A fold for a streamed reply."""
        ...

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """What a whole response says; failures and their wording are left to `failures`."""
        ...


@runtime_checkable
class ReadsContent(Protocol):
    """An adapter whose replies may be something else than JSON: text, sound, a file."""

    def read_content(self, data: bytes, content_type: str) -> Reply:
        """What a reply says that is not JSON."""
        ...


@runtime_checkable
class Meters(Protocol):
    """An adapter whose replies leave out what the request has asked for, and is paid for."""

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with the meters that only *ask* tells."""
        ...
