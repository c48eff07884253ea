"""The mitmproxy addon: watches exchanges with provider hosts, and lets them pass.

Hooks never wait and never raise; bodies flow through callables that return what they were given,
whatever happens to the copy.  Works in our own master and under `mitmdump -s`.
"""

import asyncio
from pathlib import Path

from mitmproxy import connection, http, tcp, tls
from mitmproxy.proxy import server_hooks

from .. import clock
from ..frames import Blind, Note
from .complaints import complaints, harmless
from .exchanges import Exchanges, Served, how_closed, provider_host, watch_of, who_left
from .gate import Gate
from .handover import Handover
from .heads import login_of, pairs, take_ours
from .peers import NoRuns, Peers, Runs
from .process import Lookup
from .taps import Watch
from .unreached import TELL_EVERY_S, Unreached


class AgentTrace:
    """Watches exchanges with the hosts of *gate* and hands them over.

    *takes_login* says that a proxy login in a request is for us, and must not go on.  With a
    *token_file*, clients of other machines need the token in it as their password.  Beyond
    *most_clients* connections new ones are closed, before they could fail for want of a file.
    """

    name = "agenttrace"

    def __init__(
        self,
        gate: Gate,
        handover: Handover,
        runs: Runs | None = None,
        lookup: Lookup | None = None,
        *,
        takes_login: bool = True,
        token_file: Path | None = None,
        most_clients: int | None = None,
    ) -> None:
        self._gate = gate
        self._most_clients = most_clients
        self._clients: set[str] = set()
        self._refused = 0
        self._takes_login = takes_login
        self._handover = handover
        self._peers = Peers(runs or NoRuns(), lookup, token_file)
        self._exchanges = Exchanges(handover)
        self._unreached = Unreached()
        self._telling: asyncio.TimerHandle | None = None
        self._original: dict[str, tuple[str, int]] = {}

    @property
    def live(self) -> dict[str, Watch]:
        """Exchanges that have not ended, by id."""
        return self._exchanges.live

    def under_way(self, run: str) -> int:
        """How many exchanges of *run* have not ended."""
        return sum(watch.run == run for watch in self.live.values())

    def figures(self) -> dict[str, float]:
        """How capture fares."""
        exchanges, handover = self._exchanges, self._handover
        return {
            "proxied_calls": exchanges.ended,
            "request_bytes": exchanges.request_bytes,
            "response_bytes": exchanges.response_bytes,
            "running_calls": len(exchanges.live),
            "held_calls": handover.pending,
            "held_bytes": handover.kept_bytes,
            "lag_seconds": handover.lag_s,
            "dropped_calls": handover.drops.calls,
            "dropped_bytes": handover.drops.bytes,
            "complaints": complaints.count,
            "connections": len(self._clients),
            "refused_connections": self._refused,
        }

    def interrupt(self) -> None:
        """End what is under way in the record: we are about to end it on the wire."""
        self._exchanges.interrupt()

    def note(self, kind: str, detail: str) -> None:
        """Tell the operator something."""
        self._handover.report(Note(clock.now_us(), kind, detail))

    # Connections

    @harmless
    def client_connected(self, client: connection.Client) -> None:
        """Start finding out who that is."""
        if self._most_clients is not None and len(self._clients) >= self._most_clients:
            client.error = "too many connections"
            self._refused += 1
            if self._refused & (self._refused - 1) == 0:  # 1, 2, 4, 8 ...: not a line for each
                self.note("connections_refused", f"{self._refused} connections beyond the bound")
            return
        self._clients.add(client.id)
        self._peers.of(client)

    @harmless
    def client_disconnected(self, client: connection.Client) -> None:
        """Forget them."""
        self._clients.discard(client.id)
        self._peers.forget(client)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Read the proxy user: `agent` or `agent+session`.  Strangers are turned away."""
        credential = flow.request.headers.get("proxy-authorization", "")
        # Not `harmless`: a bug here must not open the proxy to everybody.
        if not self._peers.is_welcome(flow.client_conn, credential):
            flow.response = http.Response.make(
                407, b"", {"Proxy-Authenticate": 'Basic realm="AgentTrace"'}
            )
        elif credential:
            self._introduce(flow.client_conn, credential)

    @harmless
    def _introduce(self, client: connection.Client, credential: str) -> None:
        self._peers.introduce(client, credential)

    @harmless
    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Send connections to a mapped host elsewhere."""
        address = data.server.address
        target = self._gate.target(address[:2] if address else None)
        if target and address and not data.server.error:
            self._original[data.server.id] = address
            data.server.address = (target.host, target.port)

    @harmless
    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Give the connection its name back: TLS and the Host header go by that."""
        self._restore(data.server)

    @harmless
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """The same when it failed, which is told: there may be no call to show it."""
        self._restore(data.server)
        self._failed(data.client, data.server)

    @harmless
    def tls_failed_server(self, data: tls.TlsData) -> None:
        """Whoever answered there is not whom the name says, or speaks no TLS."""
        self._failed(data.context.client, data.context.server)

    @harmless
    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Tunnel those who did not take our certificate."""
        context = data.context
        host = data.client_hello.sni or (context.server.address or ("", 0))[0]
        if self._gate.provider(host) is None:
            return
        if self.is_tunnelled(context.client, host):
            data.ignore_connection = True
            self._blind(host, "tunnelled after it did not accept our certificate", context.client)

    @harmless
    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A client does not take our certificate: leave its connections to that host alone."""
        context = data.context
        host = context.client.sni or (context.server.address or ("", 0))[0]
        if self._gate.provider(host) is None:
            return
        peer = self._peers.of(context.client)
        target = self._gate.target(context.server.address)
        if target is None or target.scheme == "https":  # without TLS there is nothing to tunnel to
            self._gate.refuse(host, peer.client, peer.process_name)
        reason = data.conn.error or "TLS handshake failed"
        self._blind(host, f"the client refused our certificate: {reason}", context.client)

    @harmless
    def unread(self, client: connection.Client, host: str, reason: str) -> None:
        """A connection to a provider host passes undecrypted, for a reason known elsewhere."""
        self._blind(host, reason, client)

    def blind(self, host: str, reason: str, who: str) -> None:
        """The same for one that does not even reach us."""
        self._handover.report(Blind(clock.now_us(), host, reason, who))

    def is_tunnelled(self, client: connection.Client, host: str) -> bool:
        """Whether *client* does not take our certificate for *host*."""
        peer = self._peers.of(client)
        return self._gate.is_tunnelled(host, peer.client, peer.process_name)

    # Exchanges

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin an exchange; take away what only concerns us."""
        client = flow.client_conn
        asks = self._peers.wants_token and not client.tls_established
        if asks and not self._peers.is_welcome(client, login_of(flow.request)):
            flow.kill()  # type: ignore[no-untyped-call]  # mitmproxy's
            return
        self._begin(flow)

    @harmless
    def _begin(self, flow: http.HTTPFlow) -> None:
        flow.request.stream = True
        told = take_ours(flow.request, login=self._takes_login)
        host = provider_host(flow)
        provider = self._gate.provider(host) if host else None
        if not host:
            host, port = flow.request.host, flow.request.port
            provider = self._gate.plain_provider(host, port)
        if provider is not None and not flow.error:
            peer = self._peers.of(flow.client_conn)
            served = Served(provider, host, self._gate.speaks(host, flow.request.port))
            self._exchanges.open(flow, served, peer, told)

    @harmless
    def request(self, flow: http.HTTPFlow) -> None:
        """The request is complete."""
        watch = watch_of(flow)
        if watch:
            self._exchanges.asked(watch)

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The answer begins."""
        response = flow.response
        if response is None:
            return
        response.stream = True
        watch = watch_of(flow)
        if watch:
            self._exchanges.answered(watch, response)

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        """The answer is complete; the client has not seen its end yet."""
        watch = watch_of(flow)
        if watch is None or flow.websocket is not None:  # a socket's answer ends when it closes
            return
        trailers = flow.response.trailers if flow.response else None
        self._exchanges.end(watch, "complete", "", pairs(trailers.fields)[0] if trailers else [])

    @harmless
    def error(self, flow: http.HTTPFlow) -> None:
        """Somebody broke the exchange off."""
        watch = watch_of(flow)
        if watch:
            note = flow.error.msg if flow.error else ""
            left = who_left(flow, note)
            self._exchanges.end(watch, left, note)
            if left != "client_left":
                self._failed_behind(flow, note)

    @harmless
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Hand a copy over, and keep mitmproxy from keeping them all."""
        if flow.websocket is None:
            return
        messages = list(flow.websocket.messages)
        flow.websocket.messages.clear()
        if watch := watch_of(flow):
            for message in messages:
                self._exchanges.said(watch, message)

    @harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket closed, whoever closed it."""
        watch = watch_of(flow)
        if watch:
            self._exchanges.end(watch, *how_closed(flow))

    @harmless
    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        """Keep mitmproxy from keeping what connections say that became something else."""
        flow.messages.clear()

    def _blind(self, host: str, reason: str, client: connection.Client) -> None:
        peer = self._peers.of(client)
        self.blind(host, reason, f"{peer.address} {peer.process_name}".strip())

    def _failed(self, client: connection.Client, server: connection.Server) -> None:
        host, port = (server.address or ("", 0))[:2]
        name = server.sni or host
        if self._gate.provider(name) is None or port != 443:
            if self._gate.plain_provider(host, port) is None:
                return
            name = f"{host}:{port}"
        self._tell_unreached(client, name, server.error or "connection failed")

    def _failed_behind(self, flow: http.HTTPFlow, reason: str) -> None:
        """The proxy behind us was not there, or let nobody through: its connection has no name."""
        server, is_tls = flow.server_conn, flow.request.scheme == "https"
        if server.via and is_tls and server.timestamp_tls_setup is None and flow.response is None:
            proxy = ":".join(map(str, server.via[1]))  # the login stands elsewhere
            where = "" if proxy in reason else f", by way of the proxy {proxy}"
            self._tell_unreached(flow.client_conn, flow.request.host, reason + where)

    def _tell_unreached(self, client: connection.Client, name: str, reason: str) -> None:
        peer = self._peers.of(client)
        who = f"{peer.address} {peer.process_name}".strip()
        if note := self._unreached.failed(name, reason, who):
            self._handover.report(note)
        elif self._telling is None:
            self._tell_later()

    def _tell_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._telling = loop.call_later(TELL_EVERY_S, self._tell_counted)

    @harmless
    def _tell_counted(self) -> None:
        """Tell of connections that were only counted."""
        self._telling = None
        for note in self._unreached.due():
            self._handover.report(note)
        if self._unreached.waits:
            self._tell_later()

    def _restore(self, server: connection.Server) -> None:
        address = self._original.pop(server.id, None)
        if address:
            # Server refuses a new address on an open connection; this is its old one.
            object.__setattr__(server, "address", address)
