# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""The SNI listener: TLS whose ClientHello says where it should go."""

from typing import Any, ClassVar

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, context, events, layer, mode_specs
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.layers.tls import parse_client_hello

from .modes import Opened
from .peers import is_local
from .upstream import via


class SniMode(mode_specs.ProxyMode):
    """TLS from programs that were told to dial us; the ClientHello says where it should go."""

    description: ClassVar[str] = "AgentTrace SNI listener"
    transport_protocol: ClassVar[Any] = "tcp"

    def __post_init__(self) -> None:
        self.via = via(self.data) if self.data else None


class SniInstance(Opened[SniMode]):
    """Serves `SniMode`."""

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        return SniProxy(context)


class SniProxy(layer.Layer):
    """Reads the ClientHello, takes its server name for the destination, and steps aside."""

    def __init__(self, context: context.Context) -> None:
        super().__init__(context)
        self._buffer = b""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            if not is_local(self.context.client):  # there is no login here to ask for
                yield from self._give_up()
        elif isinstance(event, events.DataReceived):
            self._buffer += event.data
            yield from self._look()
        elif isinstance(event, events.ConnectionClosed):
            yield from self._give_up()

    def _look(self) -> layer.CommandGenerator[None]:
        hello = None
        if len(self._buffer) > 2:
            if not starts_like_tls_record(self._buffer):
                yield from self._give_up()
                return
            try:
                hello = parse_client_hello(self._buffer)
            except ValueError:
                yield from self._give_up()
                return
        if hello is None:
            return
        if not hello.sni:
            yield commands.Log("A client of the SNI listener named no server.")
            yield from self._give_up()
            return
        yield from self._go_on(hello.sni)

    def _go_on(self, host: str) -> layer.CommandGenerator[None]:
        server, mode = self.context.server, self.context.client.proxy_mode
        server.address = (host, 443)
        child: layer.Layer
        if isinstance(mode, SniMode) and mode.via:
            server.via = mode.via
            child = _upstream_proxy.HttpUpstreamProxy.make(self.context, True)[0]
        else:
            if (yield commands.OpenConnection(server)):
                yield from self._give_up()
                return
            child = layer.NextLayer(self.context)
        self._handle_event = child.handle_event  # type: ignore[method-assign]
        yield from child.handle_event(events.Start())
        yield from child.handle_event(events.DataReceived(self.context.client, self._buffer))
        self._buffer = b""

    def _give_up(self) -> layer.CommandGenerator[None]:
        self._handle_event = self._done  # type: ignore[method-assign]
        yield commands.CloseConnection(self.context.client)

    def _done(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()
