"""One request and its answer, as bytes and moments: what the wire said before anybody read it.

Bodies are kept as they crossed, content encoding included.  Credentials are already gone.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

Ending = Literal["complete", "client_left", "upstream_left", "interrupted"]
"""How an exchange ended: `client_left` and `upstream_left` closed early, `interrupted` was us."""


NOT_KEPT = "body bytes were not kept"
"""How the note ends of an exchange that was longer than what is held of one."""

TurnKind = Literal["", "response", "transcription", "session", "delegation"]
"""What a turn on a WebSocket is; empty for what is none."""


class Arrival(NamedTuple):
    """A piece of a body: when it came (microseconds, UTC) and the body's length after it."""

    at_us: int
    end: int


class Headers(msgspec.Struct, frozen=True, dict=True):
    """Header fields in wire order; names compare without case, repeated names are kept."""

    pairs: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _items(self) -> tuple[tuple[str, str], ...]:
        return tuple([(name.lower(), value) for name, value in self.pairs])

    @cached_property
    def _first(self) -> dict[str, str]:
        """The first value of each name, in lower case: they are asked dozens of times a call."""
        return dict(reversed(self._items))

    def get(self, name: str, default: str = "") -> str:
        """The first value of *name*, or *default*."""
        return self._first.get(name.lower(), default)

    def items(self) -> tuple[tuple[str, str], ...]:
        """All fields, names in lower case."""
        return self._items

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._first


class Tail(msgspec.Struct, frozen=True):
    """The end of a body of which the middle is not kept, without its content encoding.

    It begins with byte `offset` of what the body says; in the `unquoted` bytes before that there
    is no quotation mark.
    """

    data: bytes
    offset: int
    unquoted: int = 0


class Body(msgspec.Struct, frozen=True):
    """The bytes of one direction, still content-encoded.

    `size` counts what crossed the wire and exceeds `len(data)` where a bound cut the copy short;
    its end may be kept in `tail`.  `complete` is false when the message did not reach its end.
    """

    data: bytes = b""
    size: int = 0
    arrivals: tuple[Arrival, ...] = ()
    complete: bool = True
    tail: Tail | None = None

    @property
    def is_cut(self) -> bool:
        """True when bytes of the body are missing here, whoever is to blame."""
        return not self.complete or self.size > len(self.data)

    @classmethod
    def of(cls, data: bytes, at_us: int = 0) -> "Body":
        """A whole body that came in one piece."""
        return cls(data, len(data), (Arrival(at_us, len(data)),) if data else ())


class Caller(msgspec.Struct, frozen=True):
    """Who is on the client's end of the connection, as far as the connection itself tells."""

    address: str = ""
    agent: str = ""
    session: str = ""
    trace: str = ""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    run_id: str = ""
    pid: int | None = None
    process: str = ""
    cwd: str = ""
    started: str = ""
    """When the process started, in whatever unit: with the pid it is one process and no other."""
    started_by: str = ""
    repository: str = ""
    branch: str = ""


class SocketMessage(msgspec.Struct, frozen=True):
    """One message on a WebSocket, whole and decompressed; `number` counts them from 0."""

    number: int
    at_us: int
    from_client: bool
    data: bytes


class Exchange(msgspec.Struct, frozen=True):
    """One HTTP request to a provider host, and what came back.

    With a `turn` it is one turn on a WebSocket instead: the request body is one JSON object with
    what the turn asked, the response body is the server's events as NDJSON.

    `target` is the request target: path and query, secrets in the query already replaced.
    `status` is None when no response head arrived.  Times are microseconds, UTC; `ended_us` is
    the moment of the last byte or of the end that was noticed.
    """

    id: str
    provider: str
    host: str
    method: str
    target: str
    started_us: int
    ended_us: int
    request_headers: Headers = Headers()
    request: Body = Body()
    status: int | None = None
    response_headers: Headers = Headers()
    response: Body = Body()
    first_byte_us: int | None = None
    http_version: str = ""
    ending: Ending = "complete"
    ending_note: str = ""
    caller: Caller = Caller()
    source: str = "proxy"
    within: str = ""
    """Where this is a call that another exchange carried (a line of a batch): that one's target."""
    processing: Literal["", "batch"] = ""
    """How it was processed, where that decides the price and only the carrier tells."""
    credential_digests: tuple[tuple[int, str], ...] = ()
    """(length, SHA-256 hex) of each credential dropped before handover, to recognise an echo."""
    notes: tuple[str, ...] = ()
    trailers: Headers = Headers()
    turn: TurnKind = ""
    speaks: str = ""
    """Whose dialect it is, where the name of the provider does not say so."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def family(self) -> str:
        """Whose dialect is spoken."""
        return self.speaks or self.provider

    @property
    def query(self) -> str:
        """The query string, without the question mark."""
        return self.target.partition("?")[2]
