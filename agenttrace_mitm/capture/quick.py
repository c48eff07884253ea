"""How pieces of a body get through mitmproxy 12.2, made shorter.

A streamed answer is hundreds of small chunks.  mitmproxy takes each through all its layers, looks
the transfer coding up in the head again for each, copies an option for each, and writes each as a
TLS record of its own, also those that came in one packet.  Here what came together goes on
together (where one chunk ends and the next begins means nothing: RFC 9112, 7.1), and pieces take
the short way where the head and our tap say that it is the same.

Applied after `faithful`, and only in our own master: it does without `store_streamed_bodies`.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import h11
from mitmproxy import version
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpStream, SendHttp, _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData

from .faithful import SUPPORTED, TrailerReader
from .taps import RequestTap, ResponseTap

type Method = Callable[[Any, Any], Iterable[Any]]

_APPLIED = "_agenttrace_quick"


def apply() -> None:
    """Shorten the way; other versions than the known are left as they are."""
    if not version.VERSION.startswith(SUPPORTED) or getattr(_http1, _APPLIED, False):
        return
    connection: Any = _http1.Http1Connection
    connection.read_body = _joining(connection.read_body)
    server: Any = _http1.Http1Server
    server.send = _writing_data(server.send, ResponseData, "response")
    client: Any = _http1.Http1Client
    client.send = _writing_data(client.send, RequestData, "request")
    stream: Any = HttpStream
    stream.state_stream_response_body = _tapping(
        stream.state_stream_response_body, ResponseData, ResponseTap, "response", "client"
    )
    stream.state_stream_request_body = _tapping(
        stream.state_stream_request_body, RequestData, RequestTap, "request", "server"
    )
    module: Any = _http1
    module.ChunkedReader = JoiningReader
    setattr(_http1, _APPLIED, True)


class JoiningReader(TrailerReader):
    """Reads a chunked body, all that has come of it at once."""

    _next: h11.EndOfMessage | h11.ProtocolError | None = None

    def ready(self, buffer: Any) -> bytes:
        """The data in *buffer*, without the framing; what follows it is for the next call."""
        pieces = []
        try:
            while isinstance(event := super().__call__(buffer), h11.Data):
                pieces.append(event.data)
            self._next = event
        except h11.ProtocolError as error:
            self._next = error  # what came before it is good
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def is_over(self) -> bool:
        """Whether an end, good or bad, follows what was ready."""
        return self._next is not None

    def __call__(self, buffer: Any) -> Any:
        """The next event, like h11's own."""
        if self._next is None:
            return super().__call__(buffer)
        event, self._next = self._next, None
        if isinstance(event, h11.ProtocolError):
            raise event
        return event


def _joining(read_body: Method) -> Method:
    @functools.wraps(read_body)  # states are shown by their names
    def patched(self: Any, event: Any) -> Iterable[Any]:
        reader = self.body_reader
        if type(reader) is not JoiningReader or type(event) is not events.DataReceived:
            yield from read_body(self, event)
            return
        if data := reader.ready(self.buf):
            yield ReceiveHttp(self.ReceiveData(self.stream_id, bytes(data)))
        if reader.is_over:
            yield from read_body(self, event)

    return patched


def _writing_data(send: Method, data: Any, message: str) -> Method:
    """`send`, which for *data* asks the head of *message* only once whether it goes in chunks."""

    def patched(self: Any, event: Any) -> Iterable[Any]:
        if type(event) is not data:
            return send(self, event)
        assert event.stream_id == self.stream_id
        head = getattr(self, message)
        known, is_chunked = getattr(self, "_agenttrace_chunked", (None, False))
        if known is not head:
            is_chunked = "chunked" in head.headers.get("transfer-encoding", "").lower()
            self._agenttrace_chunked = head, is_chunked
        raw = event.data
        if is_chunked:
            raw = b"%x\r\n%b\r\n" % (len(raw), raw)
        return (commands.SendData(self.conn, raw),) if raw else ()

    return patched


def _tapping(state: Method, data: Any, tap: Any, message: str, peer: str) -> Method:
    """*state*, which for *data* knows that our tap returns what it is given."""

    @functools.wraps(state)
    def patched(self: Any, event: Any) -> Iterable[Any]:
        if type(event) is data:
            stream = getattr(self.flow, message).stream
            if type(stream) is tap:
                stream(event.data)
                return (SendHttp(event, getattr(self.context, peer)),)
        return state(self, event)

    return patched
