# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""Connections of a program in a network of its own: whoever it dials, it reaches us.

The listening sockets were opened inside that network and are handed over; what is accepted there
has the dialled address for its own name, and what we connect to leaves through ours.  Recorded
hosts are recognised by the server name in TLS, everything else is passed on untouched.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, context, events, layer, mode_servers, mode_specs
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.layers.tls import parse_client_hello

from ..errors import CaptureError
from ..listening import BACKLOG
from .names import NameServer
from .quic import QuicDoor
from .upstream import via

SILENCE_S = 1.0
"""How long a client may say nothing on port 443 before its server is taken to speak first.

Not where a recorded host is: a busy Java takes longer than this to begin.
"""
QUIC = "it tried HTTP/3 (QUIC), which we do not read; it was told to use TCP instead"
MOST_DESCRIPTORS = 253
TAKEN_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Handed:
    """The sockets of a program's network, and which names are recorded."""

    listeners: list[socket.socket]
    names: socket.socket
    quic: socket.socket
    statistics: socket.socket
    """A netlink socket that can say whose a connection in there is."""
    is_recorded: Callable[[str], bool]
    blind: Callable[[str, str, str], None]
    """Is told of a connection that we cannot read: host, reason, client."""

    @classmethod
    def take(
        cls,
        path: str,
        is_recorded: Callable[[str], bool],
        blind: Callable[[str, str, str], None],
    ) -> "Handed":
        """Ask for them at the socket *path*.  Raises `CaptureError`."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                other.settimeout(TAKEN_WITHIN_S)
                other.connect(path)
                _, descriptors, _, _ = socket.recv_fds(other, 16, MOST_DESCRIPTORS)
        except OSError as error:
            raise CaptureError(
                f"The program's network cannot be reached ({error.strerror})", ""
            ) from None
        *listeners, quic, names, statistics = descriptors
        return cls(
            [_tcp(each) for each in listeners],
            socket.socket(fileno=names),
            socket.socket(fileno=quic),
            socket.socket(fileno=statistics),
            is_recorded,
            blind,
        )


handed: dict[str, Handed] = {}
"""What was handed over, by the mode that will use it."""
answering: dict[str, NameServer] = {}
"""Who answers name queries there."""


def _tcp(descriptor: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is given: 40 ms an answer.
    listening = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor
    )
    listening.setblocking(False)
    return listening


class NamespaceMode(mode_specs.ProxyMode):
    """A network whose every address is ours."""

    description: ClassVar[str] = "AgentTrace namespace"
    transport_protocol: ClassVar[Any] = "tcp"

    def __post_init__(self) -> None:
        self.via = via(self.data) if self.data else None


class NamespaceInstance(mode_servers.AsyncioServerInstance[NamespaceMode]):
    """Serves `NamespaceMode`."""

    @property
    def listen_addrs(self) -> tuple[Any, ...]:
        """None in our own network: mitmproxy must not take the host's services for itself."""
        return ()

    async def listen(self, host: str, port: int) -> list[Any]:
        """Serve on the sockets that were handed over."""
        sockets = handed[self.mode.full_spec]
        loop = asyncio.get_running_loop()
        sockets.names.setblocking(False)
        server = answering[self.mode.full_spec] = NameServer(sockets.is_recorded)
        names, _ = await loop.create_datagram_endpoint(lambda: server, sock=sockets.names)
        told: set[str] = set()

        def tried(client: str, address: str) -> None:
            if (host := server.recorded_at(address)) and host not in told:
                told.add(host)
                sockets.blind(host, QUIC, client)

        door = QuicDoor(sockets.quic, tried)
        servers = [
            await asyncio.start_server(self.handle_stream, sock=each, backlog=BACKLOG)
            for each in sockets.listeners
        ]
        return [*servers, names, door]

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        mode = context.client.proxy_mode.full_spec
        address = context.client.sockname[0]
        is_known = bool(answering[mode].recorded_at(address))
        return Dialled(context, handed[mode].is_recorded, speaks_first=is_known)


class Dialled(layer.Layer):
    """Finds out whether a connection is for a recorded host, and steps aside.

    *speaks_first* says that the client is known to, however long it takes.
    """

    def __init__(
        self, context: context.Context, is_recorded: Callable[[str], bool], *, speaks_first: bool
    ) -> None:
        super().__init__(context)
        self._speaks_first = speaks_first
        self._is_recorded = is_recorded
        self._buffer = b""
        self._child: layer.Layer | None = None
        self._silence: commands.Command | None = None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup) and event.command is self._silence:
            if self._child is None:
                yield from self._pass_on()
        elif self._child is not None:
            yield from self._child.handle_event(event)
        elif isinstance(event, events.Start):
            yield from self._begin()
        elif isinstance(event, events.DataReceived):
            self._buffer += event.data
            yield from self._look()
        elif isinstance(event, events.ConnectionClosed):
            yield from self._pass_on()
            yield from self._give(event)

    def _begin(self) -> layer.CommandGenerator[None]:
        host, port = self.context.client.sockname[:2]
        # A service of this machine may listen on either family.
        self.context.server.address = ("localhost" if host.startswith("127.") else host, port)
        if port != 443 or host.startswith("127."):
            yield from self._pass_on()
        elif not self._speaks_first:
            self._silence = commands.RequestWakeup(SILENCE_S)
            yield self._silence

    def _look(self) -> layer.CommandGenerator[None]:
        if len(self._buffer) < 3:
            return
        name: str | None = ""
        if starts_like_tls_record(self._buffer):
            try:
                hello = parse_client_hello(self._buffer)
            except ValueError:
                pass  # it only began like TLS
            else:
                if hello is None:
                    return  # the rest of it is still to come
                name = hello.sni
        if name and self._is_recorded(name):
            yield from self._record(name)
        else:
            yield from self._pass_on()

    def _record(self, name: str) -> layer.CommandGenerator[None]:
        server = self.context.server
        server.address = (name, 443)
        child: layer.Layer
        if proxy := self._proxy():
            server.via = proxy
            child = _upstream_proxy.HttpUpstreamProxy.make(self.context, True)[0]
        else:
            if (yield commands.OpenConnection(server)):
                self._child = _Gone(self.context)
                yield commands.CloseConnection(self.context.client)
                return
            child = layer.NextLayer(self.context)
        yield from self._step_aside(child)

    def _pass_on(self) -> layer.CommandGenerator[None]:
        server = self.context.server
        proxy = self._proxy()
        if proxy and server.address and server.address[0] != "localhost":
            server.via = proxy
            stack = _upstream_proxy.HttpUpstreamProxy.make(self.context, True)
            stack /= TCPLayer(self.context, ignore=True)
            yield from self._step_aside(stack[0])
            return
        yield from self._step_aside(TCPLayer(self.context, ignore=True))

    def _step_aside(self, child: layer.Layer) -> layer.CommandGenerator[None]:
        self._child = child
        yield from child.handle_event(events.Start())
        if self._buffer:
            received, self._buffer = self._buffer, b""
            yield from self._give(events.DataReceived(self.context.client, received))

    def _give(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._child is not None:
            yield from self._child.handle_event(event)

    def _proxy(self) -> Any:
        mode = self.context.client.proxy_mode
        return mode.via if isinstance(mode, NamespaceMode) else None


class _Gone(layer.Layer):
    """Nothing comes any more."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()
