"""A client that sends recorded requests, byte for byte, through a forward proxy."""

import asyncio
import ssl
from collections.abc import Mapping

from tests import corpus_cases as corpus

from .upstream import RECORD_HEADER

SESSION_HEADER = "x-agenttrace-session"


class Tunnel:
    """A TLS connection to one host through the proxy's CONNECT; requests go one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunked = False

    @classmethod
    async def open(cls, proxy_port: int, host: str, trust: ssl.SSLContext) -> "Tunnel":
        """Connect to *host*:443.  Raises `OSError` when the proxy does not let us."""
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy_port, limit=2**24)
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise OSError(f"CONNECT {host}: {answer[:80]!r}")
        await writer.start_tls(trust, server_hostname=host)
        return cls(reader, writer)

    async def exchange(
        self, record: corpus.Record, told: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send the request of *record*; the status and body that came back.

        *told* are headers for AgentTrace; without, the record's id is the session.  Of a body in
        chunks the end is not waited for, once the record's bytes are there: see `end`.
        """
        body = corpus.request_bytes(record)
        target = record["path"] + (f"?{record['query']}" if record["query"] else "")
        headers = [
            *corpus.request_headers(record),
            *(told or {SESSION_HEADER: record["id"]}).items(),
            (RECORD_HEADER, record["id"]),
            ("content-length", str(len(body))),
        ]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        start = f"{record['method']} {target} HTTP/1.1\r\n{head}\r\n"
        self._writer.write(start.encode("utf-8", "surrogatepass") + body)
        await self._writer.drain()
        wanted = 0 if record["method"] == "HEAD" else len(corpus.response_bytes(record))
        return await self._answer(wanted, without_body=record["method"] == "HEAD")

    async def end(self) -> None:
        """Wait for the end of the answer, where its body came in chunks."""
        while self._chunked:
            await self._chunk()

    async def _answer(self, wanted: int, *, without_body: bool) -> tuple[int, bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        status = int(start.split(" ")[1])
        if not without_body and "transfer-encoding: chunked" in map(str.lower, lines):
            self._chunked, body = True, b""
            while self._chunked and len(body) < wanted:
                body += await self._chunk()
            return status, body
        lengths = [ln for ln in lines if ln.lower().startswith("content-length:")]
        length = int(lengths[0].partition(":")[2]) if lengths and not without_body else 0
        return status, await self._reader.readexactly(length)

    async def _chunk(self) -> bytes:
        """The next chunk; the last is empty."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        data = await self._reader.readexactly(size + 2)
        self._chunked = size > 0
        return data[:size]

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()
