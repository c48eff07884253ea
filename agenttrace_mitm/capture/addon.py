"""The mitmproxy addon: watches exchanges with provider hosts, and lets them pass.

Hooks never wait and never raise; bodies flow through callables that return what they were given,
whatever happens to the copy.  What a frame holds has no credentials in it any more.  Works in
our own master and under `mitmdump -s`.
"""

import functools
import ipaddress
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from mitmproxy import connection, http, tcp, tls
from mitmproxy.proxy import server_hooks

from .. import access, clock
from ..errors import SettingsError
from ..frames import Blind, Ended, Note, Opened, Pairs, RequestEnded, Responded
from . import policy
from .faithful import LEFT_BY
from .gate import Gate
from .handover import Handover, Held
from .process import Lookup, Process

log = logging.getLogger(__name__)

type Ending = Literal["complete", "client_left", "upstream_left", "interrupted"]

WATCH = "agenttrace.watch"
"""Key in `flow.metadata` of the exchange's `Watch`."""

TAG = "x-agenttrace-tag-"
CALLER_FIELDS = {
    "x-agenttrace-agent": "agent",
    "x-agenttrace-session": "session",
    "x-agenttrace-trace": "trace",
}
MAX_COMPLAINTS = 20


class Complaints:
    """Our own failures, said in the log a few times and no more."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, where: str) -> None:
        """Note the exception being handled."""
        self.count += 1
        if self.count <= MAX_COMPLAINTS:
            log.error("recording failed in %s; traffic goes on", where, exc_info=True)


complaints = Complaints()


def harmless[**P](hook: Callable[P, None]) -> Callable[P, None]:
    """A hook whose failure costs the recording and never the request."""
    where = hook.__qualname__

    @functools.wraps(hook)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception:
            if "PYTEST_CURRENT_TEST" in os.environ:
                raise
            complaints.add(where)

    return guarded


@dataclass(frozen=True, slots=True)
class Run:
    """What everything that comes in through one listener belongs to."""

    id: str = ""
    agent: str = ""
    session: str = ""
    tags: dict[str, str] = field(default_factory=dict)


NO_RUN = Run()


class Peer:
    """What is known about a client connection."""

    __slots__ = ("address", "agent", "process", "run", "session")

    def __init__(self, address: str, run: Run) -> None:
        self.address = address
        self.run = run
        self.agent = run.agent
        self.session = run.session
        self.process: Process | None = None

    @property
    def process_name(self) -> str:
        """The name of the process, empty while it is not known."""
        return self.process.name if self.process else ""

    @property
    def client(self) -> str:
        """Which client this is, as far as the connection tells."""
        return f"{self.address} {self.run.id}" if self.run.id else self.address

    def caller(self) -> dict[str, str]:
        """The caller fields of an `Opened` frame."""
        told = {
            "address": self.address,
            "agent": self.agent,
            "session": self.session,
            "run_id": self.run.id,
        }
        if self.process:
            told["pid"] = str(self.process.pid)
            told["process"] = self.process.name
            told["cwd"] = self.process.cwd
        return {key: value for key, value in told.items() if value}


class Watch:
    """One exchange under way."""

    __slots__ = (
        "announced",
        "ended",
        "held",
        "may_have_trailers",
        "request_size",
        "response_size",
    )

    def __init__(self, held: Held) -> None:
        self.held = held
        self.request_size = 0
        self.response_size = 0
        self.announced = -1  # the response's Content-Length, -1 when it has none
        self.ended = False
        self.may_have_trailers = False


class RequestTap:
    """Hands a copy of each piece of a request body over."""

    __slots__ = ("_handover", "_watch")

    def __init__(self, handover: Handover, watch: Watch) -> None:
        self._handover = handover
        self._watch = watch

    def __call__(self, data: bytes) -> bytes:
        """The piece, as it came."""
        if data:
            self._copy(data)
        return data

    @harmless
    def _copy(self, data: bytes) -> None:
        watch = self._watch
        watch.request_size += len(data)
        if not watch.ended:
            self._handover.put_request(watch.held, data)


class ResponseTap:
    """Hands a copy of each piece of a response body over."""

    __slots__ = ("_handover", "_watch", "_when_whole")

    def __init__(
        self, handover: Handover, watch: Watch, when_whole: Callable[[Watch], None]
    ) -> None:
        self._handover = handover
        self._watch = watch
        self._when_whole = when_whole

    def __call__(self, data: bytes) -> bytes:
        """The piece, as it came."""
        if data:
            self._copy(data)
        return data

    @harmless
    def _copy(self, data: bytes) -> None:
        watch = self._watch
        watch.response_size += len(data)
        if watch.ended:
            return
        self._handover.put_response(watch.held, data)
        if watch.response_size == watch.announced:
            # The client is about to see the last byte: first the copy has to be out of our hands.
            self._when_whole(watch)


class Runs(Protocol):
    """What the addon asks of those around it."""

    def run_of(self, client: connection.Client) -> Run:
        """The run that a client connection belongs to."""
        ...


class NoRuns:
    """There are no runs: everybody comes in through the same door."""

    def run_of(self, client: connection.Client) -> Run:
        """Nobody's."""
        return NO_RUN


class AgentTrace:
    """Watches exchanges with the hosts of *gate* and hands them over.

    *takes_login* says that a proxy login in a request is for us, and must not go on.  With a
    *token_file*, clients of other machines need the token in it as their password.
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
    ) -> None:
        self._gate = gate
        self._token_file = token_file
        self._takes_login = takes_login
        self._handover = handover
        self._runs = runs or NoRuns()
        self._lookup = lookup
        self._peers: dict[str, Peer] = {}
        self._original: dict[str, tuple[str, int]] = {}
        self.live: dict[str, Watch] = {}
        """Exchanges that have not ended, by id."""

    def interrupt(self) -> None:
        """End what is under way in the record: we are about to end it on the wire."""
        for watch in list(self.live.values()):
            self._end(watch, "interrupted", "the proxy stopped")

    # Connections

    @harmless
    def client_connected(self, client: connection.Client) -> None:
        """Start finding out who that is."""
        self._peer(client)

    @harmless
    def client_disconnected(self, client: connection.Client) -> None:
        """Forget them."""
        self._peers.pop(client.id, None)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Read the proxy user: `agent` or `agent+session`.  Strangers are turned away."""
        credential = flow.request.headers.get("proxy-authorization", "")
        # Not `harmless`: a bug here must not open the proxy to everybody.
        if not self._is_welcome(flow.client_conn, credential):
            flow.response = http.Response.make(
                407, b"", {"Proxy-Authenticate": 'Basic realm="AgentTrace"'}
            )
        elif credential:
            self._introduce(flow.client_conn, credential)

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
        """The same when it failed."""
        self._restore(data.server)

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
        peer = self._peer(context.client)
        target = self._gate.target(context.server.address)
        if target is None or target.scheme == "https":  # without TLS there is nothing to tunnel to
            self._gate.refuse(host, peer.client, peer.process_name)
        reason = data.conn.error or "TLS handshake failed"
        self._blind(host, f"the client refused our certificate: {reason}", context.client)

    def is_tunnelled(self, client: connection.Client, host: str) -> bool:
        """Whether *client* does not take our certificate for *host*."""
        peer = self._peer(client)
        return self._gate.is_tunnelled(host, peer.client, peer.process_name)

    # Exchanges

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin an exchange; take away what only concerns us."""
        if self._token_file and not flow.client_conn.tls_established:
            credential = flow.request.headers.get("proxy-authorization", "")
            if not self._is_welcome(flow.client_conn, credential):
                flow.kill()  # type: ignore[no-untyped-call]  # mitmproxy's
                return
        self._begin(flow)

    @harmless
    def _begin(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        flow.request.stream = True
        told = _take_ours(request, login=self._takes_login)
        host = _provider_host(flow)
        provider = self._gate.provider(host) if host else None
        if provider is None or flow.error:
            return
        at_us = clock.now_us()
        id_ = clock.new_id(at_us)
        peer = self._peer(flow.client_conn)
        headers, found = _pairs(request.headers.fields)
        target, in_query = policy.without_secrets(request.path)
        opened = Opened(
            id=id_,
            at_us=at_us,
            provider=provider,
            host=host,
            method=request.method,
            target=target,
            http_version=request.http_version,
            headers=headers,
            caller=peer.caller() | told.caller if told.caller else peer.caller(),
            tags={**peer.run.tags, **told.tags},
            credential_digests=found + in_query,
            source="proxy",
        )
        watch = Watch(self._handover.open(id_, opened))
        self.live[id_] = watch
        flow.metadata[WATCH] = watch
        request.stream = RequestTap(self._handover, watch)

    @harmless
    def request(self, flow: http.HTTPFlow) -> None:
        """The request is complete."""
        watch = _watch(flow)
        if watch:
            frame = RequestEnded(watch.held.id, clock.now_us(), watch.request_size)
            self._handover.put(watch.held, frame)

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The answer begins."""
        response = flow.response
        if response is None:
            return
        response.stream = True
        watch = _watch(flow)
        if watch is None:
            return
        response.stream = ResponseTap(self._handover, watch, self._whole)
        length = response.headers.get("content-length", "")
        watch.announced = int(length) if length.isdigit() else -1
        watch.may_have_trailers = not response.http_version.startswith("HTTP/1")
        headers, _ = _pairs(response.headers.fields)
        frame = Responded(watch.held.id, clock.now_us(), response.status_code, headers)
        self._handover.put(watch.held, frame)

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        """The answer is complete; the client has not seen its end yet."""
        watch = _watch(flow)
        if watch is None:
            return
        if flow.websocket is not None:
            return  # over when the socket closes
        trailers = flow.response.trailers if flow.response else None
        self._end(watch, "complete", "", _pairs(trailers.fields)[0] if trailers else [])

    @harmless
    def error(self, flow: http.HTTPFlow) -> None:
        """Somebody broke the exchange off."""
        watch = _watch(flow)
        if watch:
            note = flow.error.msg if flow.error else ""
            self._end(watch, _who_left(flow, note), note)

    @harmless
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Keep mitmproxy from keeping them all."""
        if flow.websocket:
            flow.websocket.messages.clear()

    @harmless
    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        """The same for connections that became something else."""
        flow.messages.clear()

    @harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket closed, whoever closed it."""
        watch = _watch(flow)
        if watch:
            self._end(watch, "complete", "")

    def note(self, kind: str, detail: str) -> None:
        """Tell the operator something."""
        self._handover.report(Note(clock.now_us(), kind, detail))

    def _whole(self, watch: Watch) -> None:
        """All bytes of an answer of known length have come; the client has not got the last."""
        if watch.may_have_trailers:
            self._handover.flush()  # the end itself comes with them
        else:
            self._end(watch, "complete", "")

    def _end(self, watch: Watch, ending: Ending, note: str, trailers: Pairs | None = None) -> None:
        if watch.ended:
            return
        watch.ended = True
        held = watch.held
        self.live.pop(held.id, None)
        frame = Ended(
            id=held.id,
            at_us=clock.now_us(),
            ending=ending,
            note=note,
            size=watch.response_size,
            trailers=trailers or [],
            dropped_bytes=held.dropped,
        )
        self._handover.end(held, frame)

    def _peer(self, client: connection.Client) -> Peer:
        peer = self._peers.get(client.id)
        if peer is None:
            address = client.peername[0] if client.peername else ""
            peer = self._peers[client.id] = Peer(address, self._runs.run_of(client))
            if self._lookup and client.peername and client.sockname:
                found = functools.partial(setattr, peer, "process")
                self._lookup.begin(client.peername[:2], client.sockname[:2], found)
        return peer

    def _is_welcome(self, client: connection.Client, credential: str) -> bool:
        if self._token_file is None or is_local(client):
            return True
        _, password = policy.basic(credential)
        try:
            token = access.read_or_create_token(self._token_file)
        except SettingsError:
            return False  # mitmproxy would log it and let the stranger in
        return access.is_token(token, password)

    @harmless
    def _introduce(self, client: connection.Client, credential: str) -> None:
        peer = self._peer(client)
        user, _ = policy.basic(credential)
        agent, _, session = user.partition("+")
        peer.agent = agent or peer.agent
        peer.session = session or peer.session

    def _blind(self, host: str, reason: str, client: connection.Client) -> None:
        peer = self._peer(client)
        who = f"{peer.address} {peer.process_name}".strip()
        self._handover.report(Blind(clock.now_us(), host, reason, who))

    def _restore(self, server: connection.Server) -> None:
        address = self._original.pop(server.id, None)
        if address:
            # Server refuses a new address on an open connection; this is its old one.
            object.__setattr__(server, "address", address)


def is_local(client: connection.Client) -> bool:
    """Whether *client* is on this machine."""
    host = client.peername[0].partition("%")[0] if client.peername else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or host == client.sockname[0]


@dataclass(slots=True)
class _Told:
    """What the client said about itself in headers meant for us."""

    caller: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def _take_ours(request: http.Request, *, login: bool) -> _Told:
    """Remove the headers meant for us, the proxy *login* among them, and read them."""
    told = _Told()
    ours = set()
    for raw_name, value in request.headers.fields:
        lower = raw_name.lower()
        if lower.startswith(b"x-agenttrace-"):
            name, text = lower.decode("ascii", "replace"), value.decode("utf-8", "replace").strip()
            if name in CALLER_FIELDS:
                told.caller[CALLER_FIELDS[name]] = text
            elif name.startswith(TAG):
                told.tags[name.removeprefix(TAG)] = text
        elif not (login and lower == b"proxy-authorization"):
            continue
        ours.add(lower)
    if ours:
        fields = request.headers.fields
        request.headers.fields = tuple(f for f in fields if f[0].lower() not in ours)
    return told


def _provider_host(flow: http.HTTPFlow) -> str:
    """The host of a decrypted exchange, as the client named it; "" for everything else."""
    if flow.request.scheme != "https" and not flow.client_conn.tls_established:
        return ""
    return flow.client_conn.sni or flow.request.host


def _pairs(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[Pairs, list[policy.Digest]]:
    """Header fields without credentials, and the digests of those."""
    pairs: Pairs = []
    digests: list[policy.Digest] = []
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("utf-8", "replace"), raw_value.decode("utf-8", "replace")
        lower = name.lower()
        if policy.is_credential(lower):
            digests += policy.digests(lower, value)
            value = policy.REDACTED
        pairs.append((name, value))
    return pairs, digests


def _watch(flow: http.HTTPFlow) -> Watch | None:
    """The exchange of *flow* while it is watched."""
    watch = cast(Watch | None, flow.metadata.get(WATCH))
    return watch if watch is not None and not watch.ended else None


def _who_left(flow: http.HTTPFlow, note: str) -> Ending:
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
