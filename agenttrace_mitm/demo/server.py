"""A small HTTP/1.1 server that plays a provider: takes whole requests, sends bodies in pieces."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; header names are in lower case."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: the head and each of the `pieces` of the body go out after `pause_s`.

    The body is chunked unless `headers` give a content-length.  The end of a chunked one, which
    its last piece does not tell, goes out `ends_after_s` later.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = ()
    pause_s: float = 0.0
    ends_after_s: float = 0.0


async def serve(
    context: ssl.SSLContext, answer: Callable[[Request], Answer]
) -> tuple[asyncio.Server, int]:
    """Listen on a free loopback port; the server and the port."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _request(reader)
                await _send(writer, answer(request), request.method)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=context, limit=2**20)
    return server, server.sockets[0].getsockname()[1]


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
    start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length") or 0))
    method, path, _ = start.split(" ", 2)
    return Request(method, headers.get("host", ""), path, headers, body)


async def _send(writer: asyncio.StreamWriter, answer: Answer, method: str) -> None:
    names = {name.lower() for name, _ in answer.headers}
    bodiless = method == "HEAD" or answer.status in (204, 304)
    chunked = not bodiless and "content-length" not in names
    lines = [f"HTTP/1.1 {answer.status} .", *(f"{k}: {v}" for k, v in answer.headers)]
    if chunked:
        lines.append("transfer-encoding: chunked")
    await asyncio.sleep(answer.pause_s)
    writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
    for piece in () if bodiless else answer.pieces:
        await asyncio.sleep(answer.pause_s)
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if chunked else piece)
        await writer.drain()
    if chunked:
        await asyncio.sleep(answer.ends_after_s)
        writer.write(b"0\r\n\r\n")
    await writer.drain()
