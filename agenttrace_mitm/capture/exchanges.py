"""The life of an exchange: opened, asked, answered, ended; each step a frame handed over.

Nothing here waits.  What a frame holds has no credentials in it any more.
"""

from typing import Any, Literal, NamedTuple, cast

from mitmproxy import connection, http, websocket

from .. import clock
from ..frames import Ended, Opened, Pairs, RequestEnded, Responded
from . import policy
from .faithful import LEFT_BY
from .handover import Handover
from .heads import Told, pairs
from .peers import Peer
from .taps import RequestTap, ResponseTap, Watch

type Ending = Literal["complete", "client_left", "upstream_left", "interrupted"]

WATCH = "agenttrace.watch"
"""Key in `flow.metadata` of the exchange's `Watch`."""


class Served(NamedTuple):
    """Who answers: a provider, by which host, in whose dialect (empty: the provider's own)."""

    provider: str
    host: str
    speaks: str = ""


class Exchanges:
    """The exchanges under way."""

    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self.live: dict[str, Watch] = {}
        """Exchanges that have not ended, by id."""
        self.ended = 0
        self.request_bytes = 0
        self.response_bytes = 0

    def open(self, flow: http.HTTPFlow, served: Served, peer: Peer, told: Told) -> None:
        """A request head arrived: watch what follows."""
        request = flow.request
        at_us = clock.now_us()
        id_ = clock.new_id(at_us)
        headers, found = pairs(request.headers.fields)
        target, in_query = policy.without_secrets(request.path)
        opened = Opened(
            id=id_,
            at_us=at_us,
            provider=served.provider,
            host=served.host,
            method=request.method,
            target=target,
            http_version=request.http_version,
            headers=headers,
            caller=peer.caller() | told.caller if told.caller else peer.caller(),
            tags={**peer.run.tags, **told.tags},
            credential_digests=found + in_query,
            source="proxy",
            speaks=served.speaks,
        )
        watch = Watch(self._handover.open(id_, opened), peer.run.id)
        watch.held.request_headers = request.headers
        if peer.process is None:
            watch.late = peer.caller
        self.live[id_] = watch
        flow.metadata[WATCH] = watch
        request.stream = RequestTap(self._handover, watch)

    def asked(self, watch: Watch) -> None:
        """The request is complete."""
        frame = RequestEnded(watch.held.id, clock.now_us(), watch.request_size)
        self._handover.end_request(watch.held, frame)

    def answered(self, watch: Watch, response: http.Response) -> None:
        """The answer begins."""
        response.stream = ResponseTap(self._handover, watch, self._whole)
        length = response.headers.get("content-length", "")
        watch.announced = int(length) if length.isdigit() else -1
        watch.held.response_headers = response.headers
        watch.may_have_trailers = not response.http_version.startswith("HTTP/1")
        headers, _ = pairs(response.headers.fields)
        frame = Responded(watch.held.id, clock.now_us(), response.status_code, headers)
        self._handover.put(watch.held, frame)

    def end(self, watch: Watch, ending: Ending, note: str, trailers: Pairs | None = None) -> None:
        """It is over, one way or the other; what comes later changes nothing."""
        if watch.ended:
            return
        watch.ended = True
        held = watch.held
        self.live.pop(held.id, None)
        self.ended += 1
        self.request_bytes += watch.request_size
        self.response_bytes += watch.response_size
        frame = Ended(
            id=held.id,
            at_us=clock.now_us(),
            ending=ending,
            note=note,
            size=watch.response_size,
            trailers=trailers or [],
            dropped_bytes=held.dropped,
            caller=watch.late() if watch.late else {},
        )
        self._handover.end(held, frame)

    def said(self, watch: Watch, message: websocket.WebSocketMessage) -> None:
        """A message on a WebSocket, on its way."""
        self._handover.put_message(
            watch.held,
            from_client=message.from_client,
            is_text=message.is_text,
            data=message.content,
        )

    def interrupt(self) -> None:
        """End what is under way in the record: we are about to end it on the wire."""
        for watch in list(self.live.values()):
            self.end(watch, "interrupted", "the proxy stopped")

    def _whole(self, watch: Watch) -> None:
        """All bytes of an answer of known length have come; the client has not got the last."""
        if watch.may_have_trailers:
            self._handover.flush()  # the end itself comes with them
        else:
            self.end(watch, "complete", "")


def watch_of(flow: http.HTTPFlow) -> Watch | None:
    """The exchange of *flow* while it is watched."""
    watch = cast(Watch | None, flow.metadata.get(WATCH))
    return watch if watch is not None and not watch.ended else None


def provider_host(flow: http.HTTPFlow) -> str:
    """The host of an exchange that is not for port 80, as the client named it; "" otherwise."""
    request = flow.request
    if request.scheme != "https" and request.port != 443 and not flow.client_conn.tls_established:
        return ""
    return flow.client_conn.sni or flow.request.host


def how_closed(flow: http.HTTPFlow) -> tuple[Ending, str]:
    """How a WebSocket ended: regularly, or broken off by one side."""
    socket = flow.websocket
    # 1000: done; 1001: going away; 1005: closed without saying why.
    if socket is None or socket.close_code in (None, 1000, 1001, 1005):
        return "complete", ""
    note = f"the socket closed with {socket.close_code} {socket.close_reason or ''}".strip()
    return "client_left" if socket.closed_by_client else "upstream_left", note


def who_left(flow: http.HTTPFlow, note: str) -> Ending:
    """Which side broke *flow* off."""
    left: Any = flow.metadata.get(LEFT_BY)
    if left == "client":
        return "client_left"
    if left == "upstream":
        return "upstream_left"
    # A mitmproxy that was not made faithful: guess by what is still open.
    if note.startswith("Client disconnected"):
        return "client_left"
    client_reads = flow.client_conn.state & connection.ConnectionState.CAN_READ
    return "upstream_left" if client_reads else "client_left"
