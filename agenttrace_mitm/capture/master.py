# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""The proxy itself: a small mitmproxy master with our gate, our certificates and our listeners.

Only what a proxy needs is loaded, which makes a request cost half of what mitmdump takes.
Listening sockets are opened before mitmproxy sees them: a port that is taken is known at once,
ports may be ephemeral, and several workers can share one.
"""

import asyncio
import contextlib
import inspect
import socket
from abc import ABCMeta
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

import psutil  # type: ignore[import-untyped]  # has no stubs of its own
from cryptography import x509
from mitmproxy import addonmanager, certs, connection, hooks, master, options, tls
from mitmproxy.addons import (
    core,
    disable_h2c,
    next_layer,
    proxyserver,
    tlsconfig,
    upstream_auth,
)
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, context, events, layer, mode_servers, mode_specs
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import _upstream_proxy
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer, parse_client_hello

from ..errors import CaptureError
from .addon import NO_RUN, AgentTrace, Run, is_local
from .gate import Gate

BACKLOG = 1024
SILENCE_S = 86400  # long reasoning is silent for minutes; mitmproxy would hang up after ten

_sockets: dict[str, socket.socket] = {}
"""Open listening sockets by the mode that will use them."""

M = TypeVar("M", bound=mode_specs.ProxyMode)


class CaptureMode(mode_specs.ProxyMode):
    """The explicit proxy."""

    description: ClassVar[str] = "AgentTrace proxy"
    transport_protocol: ClassVar[Any] = "tcp"

    def __post_init__(self) -> None:
        pass


class SniMode(mode_specs.ProxyMode):
    """TLS from programs that were told to dial us; the ClientHello says where it should go."""

    description: ClassVar[str] = "AgentTrace SNI listener"
    transport_protocol: ClassVar[Any] = "tcp"

    def __post_init__(self) -> None:
        self.via = _via(self.data) if self.data else None


class ChainedMode(mode_specs.UpstreamMode):
    """The explicit proxy, with another proxy behind it."""


class _Opened(mode_servers.AsyncioServerInstance[M], metaclass=ABCMeta):
    """A server on a socket that is open already."""

    async def listen(self, host: str, port: int) -> list[asyncio.Server]:  # type: ignore[override]
        listening = _sockets.pop(self.mode.full_spec)
        return [await asyncio.start_server(self.handle_stream, sock=listening, backlog=BACKLOG)]


class CaptureInstance(_Opened[CaptureMode]):
    """Serves `CaptureMode`."""

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        return modes.HttpProxy(context)


class ChainedInstance(_Opened[ChainedMode]):
    """Serves `ChainedMode`."""

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        return modes.HttpUpstreamProxy(context)


class SniInstance(_Opened[SniMode]):
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


class GatedNextLayer(next_layer.NextLayer):
    """Chooses layers like mitmproxy's own, but decrypts what the gate says and nothing else."""

    name = "nextlayer"

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def _next_layer(
        self, context: context.Context, data_client: bytes, data_server: bytes
    ) -> layer.Layer | None:
        target = self._gate.target(_address(context))
        if (
            target
            and target.scheme == "http"
            and starts_like_tls_record(data_client)
            and not isinstance(context.layers[-1], ClientTLSLayer)
        ):
            # The server behind this name speaks no TLS; the client does.
            return ClientTLSLayer(context)
        return super()._next_layer(context, data_client, data_server)

    def _ignore_connection(
        self, context: context.Context, data_client: bytes, data_server: bytes
    ) -> bool | None:
        address = _address(context)
        if address is None:
            return False  # the client has not said yet where it wants to go
        if len(context.layers) > 1 and isinstance(
            context.layers[-1], ClientTLSLayer | ServerTLSLayer
        ):
            return False  # decided when TLS began
        hello = self._get_client_hello(context, data_client)  # NeedsMoreData passes through
        name = hello.sni if hello and hello.sni else address[0]
        return address[1] != 443 or self._gate.provider(name) is None


class ProviderTls(tlsconfig.TlsConfig):
    """Certificates for DNS names only: the authority may sign nothing else."""

    name = "tlsconfig"

    def tls_clienthello(self, tls_clienthello: tls.ClientHelloData) -> None:
        """Speak with the client what its server speaks."""
        super().tls_clienthello(tls_clienthello)
        client, server = tls_clienthello.context.client, tls_clienthello.context.server
        if not server.tls and b"http/1.1" in client.alpn_offers:
            client.alpn = b"http/1.1"

    def get_cert(self, conn_context: context.Context) -> certs.CertStoreEntry:
        """The certificate for the name that the client asked for."""
        server = conn_context.server.address
        name = conn_context.client.sni or (server[0] if server else "")
        try:
            ascii_name = name.encode("idna").decode() if not name.isascii() else name
            names = [x509.DNSName(ascii_name)]
        except ValueError:
            return super().get_cert(conn_context)
        return self.certstore.get_cert(ascii_name, names, None, None)


class DirectAddons(addonmanager.AddonManager):
    """Calls the addons that have a hook, without asking the others each time.

    mitmproxy looks through all addons twice for each of the seven hooks of a request; that was a
    sixth of its cost.
    """

    def __init__(self, master: master.Master) -> None:
        super().__init__(master)
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

    def add(self, *addons: object) -> None:
        """Add addons at the end of the chain."""
        super().add(*addons)
        self._hooks.clear()

    def remove(self, addon: object) -> None:
        """Take an addon out of the chain."""
        super().remove(addon)
        self._hooks.clear()

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Trigger *event*.  Nobody here listens for `update`, which mitmproxy lets follow."""
        await self.trigger_event(event)

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call whoever has the hook, in the order of the chain."""
        called = self._hooks.get(event.name)
        if called is None:
            called = self._hooks[event.name] = [
                hook for addon in self.chain for _, hook in self._iter_hooks(addon, event)
            ]
        if not called:
            return
        arguments = event.args()
        for hook in called:
            with addonmanager.safecall():
                answer = hook(*arguments)
                if answer is not None and inspect.isawaitable(answer):
                    await answer


class CaptureMaster(master.Master):
    """mitmproxy, as small as a proxy can be."""

    def __init__(
        self,
        gate: Gate,
        agenttrace: AgentTrace,
        *,
        ca_folder: Path,
        upstream_roots: Path,
        upstream_login: str | None = None,
    ) -> None:
        # The folder has to be known before addons load: TlsConfig makes its own authority
        # wherever it finds none.
        given = options.Options(
            confdir=str(ca_folder),
            mode=[],
            upstream_cert=False,
            ssl_verify_upstream_trusted_ca=str(upstream_roots),
            tcp_timeout=SILENCE_S,
        )
        super().__init__(given, event_loop=asyncio.get_running_loop(), with_termlog=False)
        self.addons = DirectAddons(self)
        self.started = asyncio.Event()
        self.proxyserver = proxyserver.Proxyserver()
        self.addons.add(
            core.Core(),
            disable_h2c.DisableH2C(),
            self.proxyserver,
            GatedNextLayer(gate),
            ProviderTls(),
            agenttrace,
            upstream_auth.UpstreamAuth(),  # after ours, which takes the client's own login away
        )
        given.update(
            stream_large_bodies="1", connection_strategy="eager", upstream_auth=upstream_login
        )

    async def running(self) -> None:
        """Say that everything is up."""
        await super().running()
        self.started.set()

    def serve(self, specs: list[str]) -> None:
        """Listen for exactly these modes."""
        self.options.update(mode=specs)

    def stop_listening(self) -> None:
        """Take no new connections; those that exist go on."""
        self.options.update(server=False)

    async def hang_up(self, timeout_s: float) -> None:
        """Close every connection, and wait until they are."""
        connections = self.proxyserver.connections
        for handler in list(connections.values()):
            io = handler.transports.get(handler.client)
            if io and io.handler:
                io.handler.cancel("the proxy stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while connections:
                    await asyncio.sleep(0.01)

    @property
    def is_written(self) -> bool:
        """Whether everything meant for clients and servers has left for them."""
        return not any(
            io.writer.transport.get_write_buffer_size()
            for handler in self.proxyserver.connections.values()
            for io in handler.transports.values()
            if isinstance(io.writer, asyncio.StreamWriter)
        )


class Doors:
    """The listeners, and the runs that came in through them.

    *upstream_proxy* is `http://[user:password@]host:port`, or None.
    """

    def __init__(self, host: str, upstream_proxy: str | None) -> None:
        self._host = host
        self._behind, self.login = _behind(upstream_proxy) if upstream_proxy else ("", None)
        self._runs: dict[str, Run] = {}
        self._specs: dict[str, list[str]] = {}

    @property
    def specs(self) -> list[str]:
        """The modes of all doors."""
        return [spec for specs in self._specs.values() for spec in specs]

    def open(self, run: Run, proxy: socket.socket, sni: socket.socket) -> tuple[int, int]:
        """Let *run* in through two listening sockets; their ports."""
        behind = f":{self._behind}" if self._behind else ""
        kind = "chained" if behind else "capture"
        specs = [
            f"{name}{behind}@{_joined(listening)}"
            for name, listening in ((kind, proxy), ("sni", sni))
        ]
        for spec, listening in zip(specs, (proxy, sni), strict=True):
            _sockets[spec] = listening
            self._runs[spec] = run
        self._specs[run.id] = specs
        return proxy.getsockname()[1], sni.getsockname()[1]

    def close(self, run_id: str) -> None:
        """No new connections for the run; those that exist keep its label."""
        self._specs.pop(run_id, None)

    def run_of(self, client: connection.Client) -> Run:
        """The run that a client connection belongs to."""
        return self._runs.get(client.proxy_mode.full_spec, NO_RUN)


def listener(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket.  Raises `CaptureError` when the port is taken, saying by whom."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CaptureError(
            f"The proxy cannot listen on {host} ({error.strerror})", "Correct proxy_host"
        ) from None
    # asyncio turns Nagle's algorithm off only where the protocol is given: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CaptureError(
            f"The proxy cannot listen on {host}:{port} ({error.strerror}{_holder(port)})",
            "Stop what uses the port, or choose another one with --proxy-port",
        ) from None
    listening.setblocking(False)
    return listening


def inherited(descriptor: int) -> socket.socket:
    """The listening socket behind a file descriptor that the parent left open."""
    try:
        found = socket.socket(fileno=descriptor)
        family = found.family
        listening = socket.socket(
            family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=found.detach()
        )
    except OSError as error:
        raise CaptureError(
            f"File descriptor {descriptor} is no socket ({error.strerror})", ""
        ) from None
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def _holder(port: int) -> str:
    """Who listens on *port*, as far as we may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return f": process {each.pid}, {psutil.Process(each.pid).name()}"
    return ""


def _address(context: context.Context) -> tuple[str, int] | None:
    address = context.server.address
    return (address[0], address[1]) if address else None


def _joined(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{host}:{port}"


def _behind(upstream_proxy: str) -> tuple[str, str | None]:
    """Address and login of the proxy behind us."""
    wrong = CaptureError(
        "The setting upstream_proxy is not a proxy's URL",
        "Use for example http://user:password@proxy.example.com:3128",
    )
    try:
        parts = urlsplit(upstream_proxy if "://" in upstream_proxy else f"http://{upstream_proxy}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = None
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"{parts.scheme}://{host}:{port}", login


def _via(spec: str) -> Any:
    parts = urlsplit(spec)
    return parts.scheme, (parts.hostname, parts.port)


def check_combination(upstream_proxy: str | None, targets: Mapping[str, object]) -> None:
    """Raise `CaptureError` for settings that contradict each other."""
    if upstream_proxy and targets:
        raise CaptureError(
            "upstream_proxy and upstream_map cannot be used together", "Unset one of them"
        )
