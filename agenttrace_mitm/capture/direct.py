# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""Requests that are addressed to the proxy itself, sent on to the provider they are for.

A proxy is asked for a whole URL or a tunnel; a request for a mere path was meant for a server,
which a program with our port for its base URL takes us for.  What goes where is decided in
`baseurl`; here the decision becomes mitmproxy's.
"""

import json
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import context, events, layer
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from .baseurl import TARGET, Destination, UnknownDestinationError, destination
from .gate import Gate


class ProxyHttpLayer(HttpLayer):
    """HTTP as a proxy speaks it, and as the server that a base URL makes of it."""

    def __init__(self, context: context.Context, mode: HTTPMode, gate: Gate) -> None:
        super().__init__(context, mode)
        self._gate = gate

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        """One request and its answer."""
        stream = self.streams[stream_id] = _Stream(self.context.fork(), stream_id, self._gate)
        yield from self.event_to_child(stream, events.Start())


class _Stream(HttpStream):
    def __init__(self, context: context.Context, stream_id: int, gate: Gate) -> None:
        super().__init__(context, stream_id)
        self._gate = gate

    def state_wait_for_request_headers(self, event: RequestHeaders) -> layer.CommandGenerator[None]:
        request = event.request
        if not request.host and request.method != "CONNECT":
            headers = {k.lower(): v for k, v in request.headers.items()}
            try:
                _send_to(destination(self._gate, request.path, headers), self._gate, request)
            except UnknownDestinationError as reason:
                yield from self._refuse(str(reason))
                return
        yield from super().state_wait_for_request_headers(event)

    def _refuse(self, reason: str) -> layer.CommandGenerator[None]:
        answer = _misdirected(reason)
        client, id_ = self.context.client, self.stream_id
        yield SendHttp(ResponseHeaders(id_, answer, end_stream=False), client)
        yield SendHttp(ResponseData(id_, answer.content or b""), client)
        yield SendHttp(ResponseEndOfMessage(id_), client)
        self.client_state: Any = self.state_errored  # the rest of the request is read, and lost
        yield DropStream(id_)


def _send_to(there: Destination, gate: Gate, request: http.Request) -> None:
    target = gate.target((there.host, 443))
    request.data.scheme = target.scheme.encode() if target else b"https"
    request.data.host, request.data.port = there.host, 443
    request.path = there.target
    request.headers["Host"] = there.host
    request.headers.pop(TARGET, None)


def _misdirected(reason: str) -> http.Response:
    message = f"This is the AgentTrace proxy: {reason}."
    error = {"error": {"type": "misdirected_request", "message": message}}
    return http.Response.make(421, json.dumps(error).encode(), {"Content-Type": "application/json"})
