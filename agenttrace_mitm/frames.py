"""What capture tells the recorder, and what the recorder answers: messages on a local stream.

Each frame is a msgpack array behind a 4-byte big-endian length.  An exchange is one `Opened`,
any number of `RequestData`/`ResponseData`/`Message`, at most one `Responded`, at most one
`RequestTail` and one `ResponseTail`, and one `Ended`.
The recorder answers `Ack` once the exchange is committed or spooled; what was not acknowledged
is sent again after a reconnect, and ids make the repeat harmless.  A WebSocket lives long: its
turns are calls of their own, and `Settled` frees their messages before the socket ends.

Times are microseconds since the epoch, UTC.
"""

from typing import Literal

import msgspec

MAX_FRAME_BYTES = 64 * 1024 * 1024

type Pairs = list[tuple[str, str]]


class Frame(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Base of all frames; the tag is the class name."""


class Hello(Frame, frozen=True):
    """First frame of a capture connection: who speaks, and which protocol."""

    protocol: int
    worker: str
    pid: int


class Opened(Frame, frozen=True):
    """A request head arrived.  Credentials are gone; `target` has no query secrets."""

    id: str
    at_us: int
    provider: str
    host: str
    method: str
    target: str
    http_version: str
    headers: Pairs
    caller: dict[str, str]
    """Keys: address, agent, session, trace, run_id, pid, process, cwd, started,
    started_by, repository, branch; absent when unknown."""
    tags: dict[str, str]
    credential_digests: list[tuple[int, str]]
    source: str
    speaks: str = ""
    """Whose dialect it is, where *provider* does not say so."""


class RequestData(Frame, frozen=True):
    """A piece of the request body, as on the wire."""

    id: str
    at_us: int
    data: bytes


class RequestEnded(Frame, frozen=True):
    """The request body is complete.  `size` counts its bytes on the wire."""

    id: str
    at_us: int
    size: int


class Responded(Frame, frozen=True):
    """The response head arrived."""

    id: str
    at_us: int
    status: int
    headers: Pairs


class ResponseData(Frame, frozen=True):
    """A piece of the response body, as on the wire."""

    id: str
    at_us: int
    data: bytes


class RequestTail(Frame, frozen=True):
    """The end of a request body of which only the beginning was handed over.

    It is without its content encoding, from byte `offset` of what the body says; in the `unquoted`
    bytes before that there is no quotation mark.
    """

    id: str
    at_us: int
    offset: int
    data: bytes
    unquoted: int = 0


class ResponseTail(Frame, frozen=True):
    """The same of a response body."""

    id: str
    at_us: int
    offset: int
    data: bytes
    unquoted: int = 0


class Message(Frame, frozen=True):
    """A message on a WebSocket, whole and decompressed; `number` counts them from 0."""

    id: str
    number: int
    at_us: int
    from_client: bool
    is_text: bool
    data: bytes


class Ended(Frame, frozen=True):
    """The exchange is over; `size` counts the response body's bytes on the wire."""

    id: str
    at_us: int
    ending: Literal["complete", "client_left", "upstream_left", "interrupted"]
    note: str
    size: int
    trailers: Pairs
    dropped_bytes: int
    """Body bytes not handed over because a bound was reached."""
    caller: dict[str, str] = {}
    """What was found out about the caller after `Opened`; keys as there."""


class Blind(Frame, frozen=True):
    """A connection to an LLM host that was not decrypted, and why."""

    at_us: int
    host: str
    reason: str
    client: str


class Note(Frame, frozen=True):
    """Something an operator should know: drops, restarts, patches that did not apply."""

    at_us: int
    kind: str
    detail: str


UNREACHED = "provider_unreachable"
"""The kind of a note that a connection to a provider's host failed before any call."""


class Submitted(Frame, frozen=True):
    """Calls and events that came through the API: JSON lists of `LlmCall` and `StoredEvent`."""

    id: str
    calls: bytes
    events: bytes


class Mark(Frame, frozen=True):
    """Capture to recorder: say when everything handed over before this is safe."""

    id: str


class Marked(Frame, frozen=True):
    """Recorder to capture: it is; `trouble` is what keeps it from the database, "" for nothing."""

    id: str
    trouble: str


class Remove(Frame, frozen=True):
    """Pages to recorder: delete the calls of a trace in *database*, and what hangs on them."""

    id: str
    database: str
    trace_id: str


class Removed(Frame, frozen=True):
    """Recorder to pages: the rows that went, by table; None when it could not be done."""

    id: str
    rows: dict[str, int] | None


class Settled(Frame, frozen=True):
    """Recorder to capture: messages of this socket below `number` are safe, forget them."""

    id: str
    number: int


class Ack(Frame, frozen=True):
    """Recorder to capture: these exchanges are safe, forget them."""

    ids: list[str]


type AnyFrame = (
    Hello
    | Opened
    | RequestData
    | RequestEnded
    | RequestTail
    | Responded
    | ResponseData
    | ResponseTail
    | Message
    | Ended
    | Blind
    | Note
    | Submitted
    | Mark
    | Marked
    | Remove
    | Removed
    | Settled
    | Ack
)

PROTOCOL = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyFrame)


def encode(frame: Frame) -> bytes:
    """The frame with its length in front, ready for the wire."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(4, "big") + body


class FrameDecoder:
    """Frames from bytes, however they were cut.  Raises `ValueError` on what is not a frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[AnyFrame]:
        """The frames that *data* completed."""
        self._buffer += data
        frames: list[AnyFrame] = []
        start = 0
        while len(self._buffer) - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4], "big")
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"frame of {length} bytes")
            end = start + 4 + length
            if len(self._buffer) < end:
                break
            frames.append(_decoder.decode(memoryview(self._buffer)[start + 4 : end]))
            start = end
        del self._buffer[:start]
        return frames
