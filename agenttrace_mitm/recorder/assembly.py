"""Exchanges put together from frames, whole or cut short.

Frames of many exchanges come interleaved.  An exchange is done when its `Ended` came, or when the
capture process that told of it has gone; then what was seen is all there is.
"""

from dataclasses import dataclass, field

from msgspec import structs

from ..frames import (
    Ended,
    Message,
    Opened,
    RequestData,
    RequestEnded,
    RequestTail,
    Responded,
    ResponseData,
    ResponseTail,
)
from ..model import (
    NOT_KEPT,
    Arrival,
    Body,
    Caller,
    Ending,
    Exchange,
    Headers,
    SocketMessage,
    Tail,
)
from ..providers import turns_of
from ..wire.encodings import content_of
from .sockets import Socket

type ExchangeFrame = (
    Opened
    | RequestData
    | RequestTail
    | RequestEnded
    | Responded
    | ResponseData
    | ResponseTail
    | Message
    | Ended
)

_NONE = Headers()

LOST = "capture ended before the exchange did"


@dataclass(slots=True)
class _Pieces:
    """A body as it grows."""

    data: bytearray = field(default_factory=bytearray)
    arrivals: list[Arrival] = field(default_factory=list)
    size: int | None = None
    tail: Tail | None = None

    def add(self, at_us: int, data: bytes) -> None:
        self.data += data
        self.arrivals.append(Arrival(at_us, len(self.data)))

    def add_tail(self, frame: RequestTail | ResponseTail) -> None:
        self.tail = Tail(frame.data, frame.offset, frame.unquoted)
        self.arrivals.append(Arrival(frame.at_us, len(self.data)))

    def body(self, headers: Headers, complete: bool) -> Body:
        size = len(self.data) if self.size is None else self.size
        body = Body(bytes(self.data), size, tuple(self.arrivals), complete, self.tail)
        if self.tail is None or "content-encoding" in headers:
            return body
        # At once, so that what was not whole in it takes no memory while the rest is read.
        return structs.replace(body, data=content_of(body, headers).data or b"", tail=None)


@dataclass(slots=True)
class _Open:
    opened: Opened
    request: _Pieces = field(default_factory=_Pieces)
    response: _Pieces = field(default_factory=_Pieces)
    responded: Responded | None = None
    socket: Socket | None = None

    def exchange(
        self,
        ended_us: int,
        ending: Ending,
        note: str,
        notes: tuple[str, ...],
        trailers: Headers = _NONE,
    ) -> Exchange:
        head, answer = self.opened, self.responded
        asked = Headers(tuple(head.headers))
        answered = Headers(tuple(answer.headers)) if answer else Headers()
        arrivals = self.response.arrivals
        return Exchange(
            id=head.id,
            provider=head.provider,
            host=head.host,
            method=head.method,
            target=head.target,
            started_us=head.at_us,
            ended_us=ended_us,
            request_headers=asked,
            request=self.request.body(asked, complete=self.request.size is not None),
            status=answer.status if answer else None,
            response_headers=answered,
            response=self.response.body(answered, complete=ending == "complete"),
            first_byte_us=answer.at_us if answer else arrivals[0].at_us if arrivals else None,
            http_version=head.http_version,
            ending=ending,
            ending_note=note,
            caller=_caller(head),
            source=head.source,
            speaks=head.speaks,
            credential_digests=tuple(head.credential_digests),
            notes=notes,
            trailers=trailers,
        )


class Assembly:
    """The open exchanges of one capture process."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    @property
    def count(self) -> int:
        """Exchanges whose end has not been told."""
        return len(self._open)

    def add(self, frame: ExchangeFrame) -> Exchange | None:
        """Take a frame; the exchange, when this one ended it.

        Frames of exchanges that were never opened are left out: their end was told before.
        """
        if isinstance(frame, Opened):
            before = self._open.get(frame.id)
            # A socket that is told again goes on where it was.
            self._open[frame.id] = _Open(frame, socket=before.socket if before else None)
            return None
        one = self._open.get(frame.id)
        if one is None:
            return None
        match frame:
            case RequestData():
                one.request.add(frame.at_us, frame.data)
            case RequestTail():
                one.request.add_tail(frame)
            case RequestEnded():
                one.request.size = frame.size
            case Responded():
                one.responded = frame
            case ResponseData():
                one.response.add(frame.at_us, frame.data)
            case ResponseTail():
                one.response.add_tail(frame)
            case Ended():
                return self._end(frame)
            case Message():
                pass
        return None

    def turns(self, frame: ExchangeFrame) -> list[Exchange]:
        """The turns on a WebSocket that *frame* ended; to be asked before `add` takes it."""
        one = self._open.get(frame.id)
        if one is None:
            return []
        match frame:
            case Message():
                if one.socket is None:
                    opened = one.exchange(frame.at_us, "complete", "", ())
                    one.socket = Socket(opened, turns_of(opened))
                return one.socket.add(
                    SocketMessage(frame.number, frame.at_us, frame.from_client, frame.data)
                )
            case Ended() if one.socket:
                return one.socket.close(frame.ending)
            case _:
                return []

    def unread(self, frame: ExchangeFrame) -> Exchange | None:
        """The socket that *frame* is the first message on, if nobody can read it."""
        one = self._open.get(frame.id)
        first = isinstance(frame, Message) and frame.number == 0
        if one and one.socket and one.socket.is_unknown and first:
            return one.exchange(frame.at_us, "complete", "", ())
        return None

    def settled(self, id_: str) -> int:
        """Messages of the socket *id_* below this number are needed by no turn to come."""
        one = self._open.get(id_)
        return one.socket.settled if one and one.socket else 0

    def lost(self, at_us: int) -> list[Exchange]:
        """What was open when capture went, each as complete as its bytes say."""
        ended = []
        for one in self._open.values():
            ending: Ending = "complete" if _is_whole(one) else "interrupted"
            last = one.response.arrivals[-1].at_us if one.response.arrivals else at_us
            if one.socket:
                ended += one.socket.close("interrupted")
            ended.append(one.exchange(last, ending, LOST, (LOST,)))
        self._open.clear()
        return ended

    def running(self, before_us: int) -> list[Exchange]:
        """Exchanges opened before *before_us* that have not ended."""
        return [
            one.exchange(before_us, "interrupted", "", ())
            for one in self._open.values()
            if one.opened.at_us < before_us
        ]

    def _end(self, frame: Ended) -> Exchange:
        one = self._open.pop(frame.id)
        if frame.caller:
            caller = {**frame.caller, **one.opened.caller}
            one.opened = structs.replace(one.opened, caller=caller)
        one.response.size = frame.size
        if one.socket:
            one.request.size = one.socket.sent_bytes
            one.response.size = one.socket.received_bytes
        notes = (f"{frame.dropped_bytes} {NOT_KEPT}",) if frame.dropped_bytes else ()
        if frame.ending != "complete" and _is_whole(one):
            # The connection went after the last byte had come: nothing is missing.
            return one.exchange(frame.at_us, "complete", frame.note, notes)
        if frame.note:
            notes = (*notes, frame.note)
        trailers = Headers(tuple(frame.trailers))
        return one.exchange(frame.at_us, frame.ending, frame.note, notes, trailers)


def _is_whole(one: _Open) -> bool:
    """True when the response has all bytes that its Content-Length announced."""
    if one.responded is None:
        return False
    length = Headers(tuple(one.responded.headers)).get("content-length")
    size = len(one.response.data) if one.response.size is None else one.response.size
    return length.isdigit() and int(length) == size > 0


def _caller(head: Opened) -> Caller:
    told = head.caller
    pid = told.get("pid", "")
    return Caller(
        address=told.get("address", ""),
        agent=told.get("agent", ""),
        session=told.get("session", ""),
        trace=told.get("trace", ""),
        tags=head.tags,
        run_id=told.get("run_id", ""),
        pid=int(pid) if pid.isdigit() else None,
        process=told.get("process", ""),
        cwd=told.get("cwd", ""),
        started=told.get("started", ""),
        started_by=told.get("started_by", ""),
        repository=told.get("repository", ""),
        branch=told.get("branch", ""),
    )
