"""Where mitmproxy 12.2 would change what crosses the wire, made to let it pass.

- HTTP/1 trailers: mitmproxy raises in the middle of the message; here they are forwarded.
- HTTP/1 interim responses (103, 102, 100): taken for the final one; here they are forwarded to
  an HTTP/1 client and skipped for others, which do not wait for them.
- `Expect: 100-continue`: mitmproxy answers it itself and takes it away; here the upstream is
  asked, and its answer, 100 or a refusal, is what the client gets.
- Heads of answers that are wrong and clear all the same (a length twice, a blank behind a name, a
  length beside chunks): mitmproxy refuses them; here they pass as RFC 9112 tells proxies to.  Of
  requests it refuses them still: two readers who part them differently can be played off.
- An upstream that fails inside a tunnel we opened: mitmproxy invents a 502 page; here the client
  sees what it would have seen, a connection (or stream) that ends.
- Who broke an exchange off is written into `flow.metadata`: the message alone does not say.

Each patch wraps one method of mitmproxy and is applied once.  Other versions are left as they
are, and a note says so.
"""

from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any

import h11
from h11._readers import ChunkedReader
from mitmproxy import http, version
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpStream, _http1, _http2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestEndOfMessage,
    RequestProtocolError,
    RequestTrailers,
    ResponseEndOfMessage,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook

SUPPORTED = "12.2."
LEFT_BY = "agenttrace.left_by"
"""Key in `flow.metadata`: "client" or "upstream"."""

type Commands = Iterator[Any]
# mitmproxy's generators receive answers to their blocking commands; those wrapped here have none.
type Method = Callable[[Any, Any], Commands]

type Fields = tuple[tuple[bytes, bytes], ...]

_LENGTH, _CODING = b"content-length", b"transfer-encoding"
_APPLIED = "_agenttrace_faithful"


def apply() -> list[str]:
    """Make mitmproxy faithful; what could not be done is returned, a sentence each."""
    if not version.VERSION.startswith(SUPPORTED):
        return [
            f"mitmproxy {version.VERSION} is not {SUPPORTED}x: HTTP/1 trailers and interim "
            "responses are not forwarded"
        ]
    if not getattr(_http1, _APPLIED, False):
        _forward_trailers()
        _forward_interim_responses()
        _forward_expectations()
        _take_clear_heads()
        _pass_failures_on()
        _tell_who_left()
        setattr(_http1, _APPLIED, True)
    return []


class TrailerReader(ChunkedReader):
    """Reads a chunked body and keeps its trailers aside."""

    trailers: http.Headers | None = None

    def __call__(self, buffer: Any) -> Any:
        """The next piece, like h11's own, but an end never carries trailers."""
        event = super().__call__(buffer)
        if isinstance(event, h11.EndOfMessage) and event.headers:
            self.trailers = http.Headers(event.headers.raw_items())
            return h11.EndOfMessage()
        return event


def _forward_trailers() -> None:
    module: Any = _http1
    module.ChunkedReader = TrailerReader  # what make_body_reader() makes
    connection: Any = _http1.Http1Connection
    connection.read_body = _announcing_trailers(connection.read_body)
    server: Any = _http1.Http1Server
    server.send = _sending_trailers(server.send, ResponseTrailers, ResponseEndOfMessage, "response")
    client: Any = _http1.Http1Client
    client.send = _sending_trailers(client.send, RequestTrailers, RequestEndOfMessage, "request")


def _announcing_trailers(read_body: Method) -> Method:
    """`read_body`, with an event for the trailers just before the end of the message."""

    def patched(self: Any, event: Any) -> Commands:
        for command in read_body(self, event):
            if isinstance(command, ReceiveHttp) and isinstance(
                command.event, RequestEndOfMessage | ResponseEndOfMessage
            ):
                trailers = getattr(self.body_reader, "trailers", None)
                is_request = isinstance(command.event, RequestEndOfMessage)
                if trailers:
                    kind = RequestTrailers if is_request else ResponseTrailers
                    peer = self.context.server if is_request else self.context.client
                    if peer.alpn == b"h2":  # names are in lower case there
                        fields = [(name.lower(), value) for name, value in trailers.fields]
                        trailers = http.Headers(fields)
                    yield ReceiveHttp(kind(self.stream_id, trailers))
            yield command

    return patched


def _sending_trailers(send: Method, trailers: type, end: type, message: str) -> Method:
    """`send`, with the trailers kept until the end, where they follow the last chunk."""

    def patched(self: Any, event: Any) -> Commands:
        if isinstance(event, trailers):
            self.pending_trailers = event.trailers  # type: ignore[attr-defined]
            return iter(())
        if getattr(self, "pending_trailers", None) is None or not isinstance(event, end):
            return send(self, event)
        return with_trailers(self, event)

    def with_trailers(self: Any, event: Any) -> Commands:
        pending, self.pending_trailers = self.pending_trailers, None
        fields = b"".join(b"%s: %s\r\n" % field for field in pending.fields)
        head = getattr(self, message)
        is_chunked = "chunked" in head.headers.get("transfer-encoding", "").lower()
        for command in send(self, event):
            if is_chunked and isinstance(command, commands.SendData):
                command = commands.SendData(command.connection, b"0\r\n%s\r\n" % fields)  # noqa: PLW2901
            yield command

    return patched


def _forward_interim_responses() -> None:
    client: Any = _http1.Http1Client
    client.read_headers = _taking_interim_responses(client.read_headers)


def _taking_interim_responses(read_headers: Method) -> Method:
    """`read_headers`, with complete 1xx heads taken off the buffer before it looks.

    101 is final.  An interim head goes to the client as it came: HTTP/1 has no other place for
    it, and the connection below is ours to write to until the final head.
    """

    def patched(self: Any, event: Any) -> Commands:
        if isinstance(event, events.DataReceived) and self.request:
            while _starts_with_interim(start := bytes(self.buf)):
                length = start.find(b"\r\n\r\n") + 4
                if length < 4:
                    return  # the rest of it is still to come
                self.buf.maybe_extract_at_most(length)
                if self.context.client.alpn != b"h2" and not self.request.is_http2:
                    yield commands.SendData(self.context.client, start[:length])
        yield from read_headers(self, event)

    return patched


def _starts_with_interim(head: bytes) -> bool:
    return head.startswith(b"HTTP/1.") and head[8:10] == b" 1" and not head.startswith(b"101", 9)


def _forward_expectations() -> None:
    stream: Any = HttpStream
    stream.state_wait_for_request_headers = _asking_upstream(stream.state_wait_for_request_headers)


def _asking_upstream(wait: Method) -> Callable[[Any, Any], Generator[Any, Any, None]]:
    """`state_wait_for_request_headers`, which does not see an `Expect` of an HTTP/1 request.

    It looks for one in the step after the hook; before its next command the field is back where
    it was.  HTTP/2 has no interim answers here, so there the client is still answered at once.
    """

    @wraps(wait)
    def patched(self: Any, event: Any) -> Generator[Any, Any, None]:
        steps: Any = wait(self, event)
        reply = hidden = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            finally:
                if hidden is not None:
                    self.flow.request.headers.fields = hidden
                    hidden = None
            reply = yield command
            if isinstance(command, HttpRequestHeadersHook) and not self.flow.request.is_http2:
                fields = self.flow.request.headers.fields
                kept = tuple(field for field in fields if field[0].lower() != b"expect")
                if len(kept) < len(fields):
                    hidden, self.flow.request.headers.fields = fields, kept

    return patched


def _take_clear_heads() -> None:
    module: Any = http1
    module.read_response_head = _clearing(module.read_response_head)


def _clearing(read: Callable[[list[bytes]], http.Response]) -> Callable[[Any], http.Response]:
    def patched(lines: list[bytes]) -> http.Response:
        response = read(lines)
        fields = response.headers.fields
        clear = cleared(fields)
        if clear != fields:
            response.headers.fields = clear
        return response

    return patched


def cleared(fields: Fields) -> Fields:
    """*fields* of an answer without what must not be passed on, where what is meant is clear.

    A blank between name and colon goes (RFC 9112, 5.1); so does a length where chunks say it
    (6.3), and one that only repeats another (RFC 9110, 8.6).
    """
    names = [name.rstrip(b" \t").lower() for name, _ in fields]
    named = list(zip(names, fields, strict=True))
    lengths = {value for name, (_, value) in named if name == _LENGTH}
    coded = (value.lower() for name, (_, value) in named if name == _CODING)
    wanted = 0 if any(value.endswith(b"chunked") for value in coded) else 1
    if len(lengths) > 1 and wanted:
        return fields
    kept = []
    for name, (spelled, value) in named:
        if name == _LENGTH:
            if not wanted:
                continue
            wanted = 0
        kept.append((spelled.rstrip(b" \t"), value))
    return tuple(kept)


def _pass_failures_on() -> None:
    server1: Any = _http1.Http1Server
    server1.send = _closing_instead_of_502(server1.send)
    server2: Any = _http2.Http2Server
    server2._handle_event = _resetting_instead_of_502(server2._handle_event)


UPSTREAM_FAILED = (
    ErrorCode.GENERIC_SERVER_ERROR,
    ErrorCode.CONNECT_FAILED,
    ErrorCode.RESPONSE_VALIDATION_FAILED,
)


def _is_upstream_failure(self: Any, event: Any) -> bool:
    """Whether *event* would make mitmproxy answer for a server that only the client knows."""
    return (
        isinstance(event, ResponseProtocolError)
        and event.code in UPSTREAM_FAILED
        and bool(self.context.client.tls_established)
    )


def _closing_instead_of_502(send: Method) -> Method:
    def patched(self: Any, event: Any) -> Commands:
        if _is_upstream_failure(self, event):
            return iter((commands.CloseConnection(self.conn),))
        return send(self, event)

    return patched


def _resetting_instead_of_502(handle: Method) -> Method:
    def patched(self: Any, event: Any) -> Commands:
        if _is_upstream_failure(self, event) and not self.is_closed(event.stream_id):
            self.h2_conn.reset_stream(event.stream_id, 2)  # INTERNAL_ERROR
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())
            return
        yield from handle(self, event)

    return patched


def _tell_who_left() -> None:
    stream: Any = HttpStream
    stream.handle_protocol_error = _naming_who_left(stream.handle_protocol_error)


def _naming_who_left(handle: Method) -> Method:
    def patched(self: Any, event: Any) -> Commands:
        who = "client" if isinstance(event, RequestProtocolError) else "upstream"
        flow = getattr(self, "flow", None)
        if flow is not None:
            flow.metadata.setdefault(LEFT_BY, who)
        return handle(self, event)  # it sends answers back in: hand on the generator itself

    return patched
