"""HTTP/2 in mitmproxy 12.2, made to hold a fast peer back where the other one is slow.

mitmproxy opens windows of 2 GiB to both sides, acknowledges what comes at once, and keeps what the
other side's window does not take.  Here windows are a few megabytes, and while more than one of a
stream waits for the slow peer, the fast one's data is not acknowledged: it stops by itself, and the
streams beside it go on.  Both sides speak HTTP/2 or neither does: the client's offer is passed on.
"""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import h2.exceptions
from mitmproxy import connection, version
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import SendHttp, _http2
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from .faithful import SUPPORTED

WINDOW_BYTES = 4 * 1024 * 1024
"""What a peer may send on a stream before anything is acknowledged."""
CROWDED_BYTES = 1024 * 1024
"""What may wait for the slow peer of a stream."""
MANY_PIECES = 1000

type Commands = Iterator[Any]

_APPLIED = "_agenttrace_pressure"
_LAYERS = "_agenttrace_http2"


class Relieved(HttpEvent):
    """The other side takes data of this stream again."""


def apply() -> None:
    """Hold fast peers back; to be applied before `faithful`, which wraps what this replaces."""
    if not version.VERSION.startswith(SUPPORTED) or getattr(_http2, _APPLIED, False):
        return
    _narrow_windows(BufferedH2Connection)
    _wait_for_relief(_http2.Http2Connection)
    setattr(_http2, _APPLIED, True)


def _narrow_windows(kind: Any) -> None:
    init, acknowledge = kind.__init__, kind.acknowledge_received_data

    def narrow(self: Any, *given: Any) -> None:
        init(self, *given)
        self.local_settings.initial_window_size = WINDOW_BYTES
        self.local_settings.acknowledge()
        self.held = Counter()  # bytes that are not acknowledged yet, by stream
        self.layer = None

    def patched(self: Any, size: int, stream_id: int) -> None:
        if size and self.layer is not None and _is_crowded_beyond(self.layer, stream_id):
            self.increment_flow_control_window(size)  # other streams go on
            self.held[stream_id] += size
        else:
            acknowledge(self, size, stream_id)

    kind.__init__ = narrow
    kind.acknowledge_received_data = patched


def _wait_for_relief(kind: Any) -> None:
    init, handle = kind.__init__, kind._handle_event

    def introduced(self: Any, context: Any, conn: Any) -> None:
        init(self, context, conn)
        self.h2_conn.layer = self
        context.client.__dict__.setdefault(_LAYERS, []).append(self)

    def patched(self: Any, event: Any) -> Commands:
        if type(event) is Relieved:
            if data := _acknowledged(self.h2_conn, event.stream_id):
                yield commands.SendData(self.conn, data)
            return
        yield from handle(self, event)
        if type(event) is events.DataReceived:
            yield from _relief(self)

    kind.__init__ = introduced
    kind._handle_event = patched


def _acknowledged(h2_conn: Any, stream_id: int) -> bytes:
    """The frames that say so, for what was held of a stream."""
    size = h2_conn.held.pop(stream_id, 0)
    if size:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the stream has ended
            h2_conn.increment_flow_control_window(size, stream_id)
    return bytes(h2_conn.data_to_send())


def _relief(slow: Any) -> Commands:
    """Tell the fast peers of streams whose data *slow* has taken."""
    for fast in _layers(slow.context.client):
        if fast is slow or not fast.h2_conn.held or not fast.conn.connected:
            continue
        for own in list(fast.h2_conn.held):
            stream_id = fast.their_stream_id.get(own) if _is_upstream(fast) else own
            if stream_id is None:
                fast.h2_conn.held.pop(own)
            elif not _is_crowded(slow, stream_id):
                yield SendHttp(Relieved(stream_id), fast.conn)


def _is_crowded_beyond(fast: Any, own: int) -> bool:
    """Whether data of *fast*'s stream *own* waits for the peer on the other side."""
    stream_id = fast.their_stream_id.get(own) if _is_upstream(fast) else own
    return any(
        _is_crowded(slow, stream_id)
        for slow in _layers(fast.context.client)
        if _is_upstream(slow) is not _is_upstream(fast)
    )


def _is_crowded(slow: Any, stream_id: int | None) -> bool:
    """Whether much waits for *slow*; streams go by the client's numbers."""
    waiting: Any = ()
    if _is_upstream(slow):
        waiting = slow.stream_queue.get(stream_id, ())  # the server takes no more streams
        stream_id = slow.our_stream_id.get(stream_id)
    buffered = slow.h2_conn.stream_buffers.get(stream_id, ())
    if len(waiting) + len(buffered) > MANY_PIECES:
        return True
    sizes = (len(getattr(piece, "data", b"")) for piece in itertools.chain(waiting, buffered))
    return sum(sizes) > CROWDED_BYTES


def _is_upstream(layer: Any) -> bool:
    return isinstance(layer, _http2.Http2Client)


def _layers(client: connection.Client) -> list[Any]:
    """The HTTP/2 layers of all connections that serve *client*."""
    found: list[Any] = client.__dict__.get(_LAYERS, [])
    return found
