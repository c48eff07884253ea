"""A load generator: connections that stay open, one call at a time on each, every byte timed."""

import asyncio
import functools
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import traffic


@dataclass
class Answer:
    """What came back, and when."""

    status: int
    began: float
    arrivals: list[float] = field(default_factory=list)
    """Of body bytes; the last is the end."""

    @property
    def seconds(self) -> float:
        """From the first byte sent to the last received."""
        return self.arrivals[-1] - self.began


@dataclass(frozen=True)
class Route:
    """How to get to the upstream: through *proxy*, or to *address* directly."""

    ca: Path
    address: tuple[str, int]
    proxy: int | None = None
    named: bool = True
    """Ask the proxy for the provider's name; else for the address."""


@functools.cache
def _context(ca: Path) -> ssl.SSLContext:
    """Trusts *ca*.  Made once: to read a bundle of all public roots takes 24 ms."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connection(asyncio.Protocol):
    """One TLS connection that calls one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._missing = -1  # bytes of a body of known length, -1 before the head is read
        self._answer: Answer | None = None
        self._done: asyncio.Future[Answer] | None = None
        self.is_lost = False
        """It went, maybe while nobody called."""

    @classmethod
    async def open(cls, route: Route) -> "Connection":
        """A connection along *route*.  Raises `OSError` when there is none."""
        loop = asyncio.get_running_loop()
        context = _context(route.ca)
        if route.proxy is None:
            host, port = route.address
            made = loop.create_connection(
                cls, host, port, ssl=context, server_hostname=traffic.HOST
            )
            return (await made)[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", route.proxy)
        name = f"{traffic.HOST}:443" if route.named else "{}:{}".format(*route.address)
        writer.write(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        try:
            said = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("closed at CONNECT") from None
        if b" 200 " not in said.split(b"\r\n")[0]:
            raise ConnectionRefusedError(said[:60].decode("latin-1"))
        self = cls()
        writer.transport.set_protocol(self)
        transport = await loop.start_tls(
            writer.transport, self, context, server_hostname=traffic.HOST
        )
        assert transport is not None
        self.connection_made(transport)
        self._keep = (reader, writer)  # a StreamWriter that is collected closes its transport
        return self

    async def call(self, body: bytes, answer: str = "whole", extra: str = "") -> Answer:
        """Send and wait for the whole answer.  Raises `OSError` when it breaks off."""
        assert self._transport
        self._done = asyncio.get_running_loop().create_future()
        self._missing = -1
        self._answer = Answer(0, time.perf_counter())
        self._transport.write(traffic.head(len(body), answer, extra) + body)
        return await self._done

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio has a transport for us."""
        self._transport = transport  # type: ignore[assignment]  # TCP or TLS, both write

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone, in the middle of a call perhaps."""
        self.is_lost = True
        if self._done and not self._done.done():
            self._done.set_exception(ConnectionResetError("the connection went in the middle"))

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        answer = self._answer
        if answer is None or self._done is None or self._done.done():
            return
        now = time.perf_counter()
        self._buffer += data
        if self._missing == -1 and not self._read_head(answer):
            return
        if self._missing == -2:
            if b"data: " in self._buffer:
                answer.arrivals.append(now)
            over = self._buffer.endswith(b"0\r\n\r\n")
            self._buffer.clear()
        else:
            over = len(self._buffer) >= self._missing
        if over:
            answer.arrivals.append(now)
            self._buffer.clear()
            self._done.set_result(answer)

    def _read_head(self, answer: Answer) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        answer.status = int(head[9:12])
        _, _, length = head.partition(b"content-length: ")
        self._missing = int(length.split(b"\r\n")[0]) if length else -2
        del self._buffer[: end + 4]
        return True
