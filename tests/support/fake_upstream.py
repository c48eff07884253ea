"""A provider under a test: a TLS server on loopback that is any host, and does what it is told.

    async with Upstream(tmp_path, answer) as upstream:
        ...  # upstream_map={"api.openai.com": upstream.address}, upstream_ca=upstream.ca

*answer* is a coroutine function that gets an `Exchange` (HTTP/1) or `H2Exchange`; it may wait for
events of the test between two writes, so that tests tell order by events and not by a clock.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROVIDERS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
    "api.cohere.com",
)
OTHERS = ("example.com", "localhost")

type Pairs = list[tuple[str, str]]


_MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class TestAuthority:
    """An authority for tests: its root is `ca`, its certificates are for any host.

    It has nothing in common with the one under test but the shape of its files.
    """

    __test__ = False  # pytest: not a test class

    def __init__(self, folder: Path, name: str = "Test root") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "test-root.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name)
        self._root = (
            _begun(subject, subject, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_MAY_SIGN, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(self._root.public_bytes(serialization.Encoding.PEM))

    def certificate(self, hosts: Iterable[str]) -> Path:
        """A file with key and certificate for *hosts*."""
        hosts = list(hosts)
        target = self._folder / f"{hosts[0]}-{len(hosts)}.pem"
        leaf(target, hosts, self._key, self._root)
        return target

    def context(
        self, hosts: Iterable[str] = (*PROVIDERS, *OTHERS), alpn: Iterable[str] = ("http/1.1",)
    ) -> ssl.SSLContext:
        """What a server for *hosts* needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(hosts))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def leaf(
    target: Path,
    hosts: list[str],
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    *chain: x509.Certificate,
) -> None:
    """Write key, certificate for *hosts* signed by *issuer*, and *chain* to *target*."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun(_named(hosts[0]), issuer.subject, key)
        .add_extension(x509.SubjectAlternativeName([_alt(h) for h in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    target.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + b"".join(each.public_bytes(pem) for each in (certificate, *chain))
    )


def _alt(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


@dataclass
class Request:
    """What the server got."""

    method: str
    target: str
    headers: Pairs
    raw_head: bytes = b""
    body: bytes = b""
    server_name: str | None = None

    def header(self, name: str) -> str:
        """The first value of *name*, or nothing."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")


class Exchange:
    """One HTTP/1 request and the means to answer it, down to raw bytes."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer
        self.closed = False

    async def read_body(self) -> bytes:
        """The request body, framing removed; trailers are left in `request.raw_head`."""
        body = bytearray()
        if "chunked" in self.request.header("transfer-encoding").lower():
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while (line := await self.reader.readline()) != b"\r\n":
                self.request.raw_head += line
        else:
            body += await self.reader.readexactly(int(self.request.header("content-length") or 0))
        self.request.body = bytes(body)
        return self.request.body

    async def write(self, data: bytes) -> None:
        """These bytes, now."""
        self.writer.write(data)
        await self.writer.drain()

    async def respond(self, status: int = 200, body: bytes = b"ok", headers: Pairs = ()) -> None:  # type: ignore[assignment]
        """A whole answer of known length."""
        fields = "".join(f"{k}: {v}\r\n" for k, v in headers)
        head = f"HTTP/1.1 {status} .\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        await self.write(head.encode() + body)

    async def start_chunked(
        self, headers: Pairs = (("Content-Type", "text/event-stream"),)
    ) -> None:  # type: ignore[assignment]
        """The head of an answer in chunks."""
        fields = "".join(f"{k}: {v}\r\n" for k, v in headers)
        await self.write(f"HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        """One chunk; the empty one ends the answer."""
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self) -> None:
        """End the connection with a RST."""
        self.closed = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        """End the connection in peace."""
        self.closed = True
        self.writer.close()


class H2Exchange:
    """One HTTP/2 stream."""

    def __init__(self, request: Request, connection: "_H2", stream: int) -> None:
        self.request = request
        self._connection = connection
        self._stream = stream
        self.ended = asyncio.Event()
        """The request is complete."""
        self.reset_by_peer = asyncio.Event()

    async def respond(self, status: int = 200, body: bytes = b"ok", headers: Pairs = ()) -> None:  # type: ignore[assignment]
        """A whole answer."""
        await self.ended.wait()
        self.start(status, headers)
        self.data(body, end=True)

    def start(self, status: int = 200, headers: Pairs = (), *, end: bool = False) -> None:  # type: ignore[assignment]
        """The head of an answer."""
        fields = [(":status", str(status)), *headers]
        self._connection.h2.send_headers(self._stream, fields, end_stream=end)
        self._connection.flush()

    def data(self, data: bytes, *, end: bool = False) -> None:
        """A piece of the body."""
        self._connection.h2.send_data(self._stream, data, end_stream=end)
        self._connection.flush()

    def trailers(self, headers: Pairs) -> None:
        """Trailers, which end the answer."""
        self._connection.h2.send_headers(self._stream, headers, end_stream=True)
        self._connection.flush()

    def reset(self, code: int = 2) -> None:
        """Break the stream off."""
        self._connection.h2.reset_stream(self._stream, code)
        self._connection.flush()


type Answer = Callable[[Any], Awaitable[None]]


async def ok(exchange: Any) -> None:
    """Say `ok`."""
    if isinstance(exchange, Exchange):
        await exchange.read_body()
    await exchange.respond()


@dataclass
class Upstream:
    """A server on loopback; use it as an async context manager."""

    folder: Path
    answer: Answer = ok
    hosts: Iterable[str] = (*PROVIDERS, *OTHERS)
    alpn: Iterable[str] = ("http/1.1",)
    tls: bool = True
    listen: tuple[str, int] = ("127.0.0.1", 0)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.authority = TestAuthority(self.folder / "upstream-ca")
        self.failures: list[BaseException] = []
        self.takes = asyncio.Event()
        """Cleared, HTTP/2 requests are read and not acknowledged: windows stay closed."""
        self.takes.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def ca(self) -> Path:
        """The root that its clients have to trust."""
        return self.authority.ca

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        """Those it listens on."""
        return self._server.sockets

    def map(self, *hosts: str, scheme: str = "https") -> dict[str, str]:
        """The setting `upstream_map` that sends *hosts* (all providers when none) here."""
        return dict.fromkeys(hosts or PROVIDERS, f"{scheme}://{self.address}")

    async def __aenter__(self) -> "Upstream":
        context = self.authority.context(self.hosts, self.alpn) if self.tls else None
        self._server = await asyncio.start_server(
            self._serve, *self.listen, ssl=context, limit=1 << 20
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failures and error is None:
            raise self.failures[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._writers.add(writer)
        tls = writer.get_extra_info("ssl_object")
        try:
            if tls and tls.selected_alpn_protocol() == "h2":
                await _H2(self, reader, writer).run()
            else:
                await self._http1(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client left
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # a broken script must fail its test
            self.failures.append(error)
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            method, target, _ = first.split(" ", 2)
            headers = [(k, v.strip()) for k, _, v in (line.partition(":") for line in lines)]
            exchange = Exchange(Request(method, target, headers, head), reader, writer)
            self.requests.append(exchange.request)
            await self.answer(exchange)
            if exchange.closed:
                return


class _H2:
    """One HTTP/2 connection of the server."""

    def __init__(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._streams: dict[int, H2Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    async def run(self) -> None:
        self.h2.initiate_connection()
        self.flush()
        try:
            while data := await self._reader.read(65536):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        finally:
            for task in self._tasks:
                task.cancel()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                fields = dict(event.headers)
                headers = [(k, v) for k, v in event.headers if not k.startswith(":")]
                request = Request(fields[":method"], fields[":path"], headers)
                request.server_name = fields.get(":authority")
                exchange = H2Exchange(request, self, event.stream_id)
                self._streams[event.stream_id] = exchange
                self._upstream.requests.append(request)
                task = asyncio.ensure_future(self._answer(exchange))
                self._tasks.add(task)
            case h2.events.DataReceived():
                self._streams[event.stream_id].request.body += event.data
                taken = self._acknowledge(event.flow_controlled_length, event.stream_id)
                self._tasks.add(asyncio.ensure_future(taken))
            case h2.events.StreamEnded():
                self._streams[event.stream_id].ended.set()
            case h2.events.StreamReset():
                self._streams[event.stream_id].reset_by_peer.set()

    async def _acknowledge(self, size: int, stream: int) -> None:
        await self._upstream.takes.wait()
        self.h2.acknowledge_received_data(size, stream)
        self.flush()

    async def _answer(self, exchange: H2Exchange) -> None:
        try:
            await self._upstream.answer(exchange)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._upstream.failures.append(error)
