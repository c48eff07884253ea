"""A fast provider on loopback, as a process of its own: `python -m benchmarks.upstream FOLDER`.

Prints its port.  Answers as the header `x-bench-answer` says; bodies are made once and reused,
so that what is measured is the proxy.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.support.fake_upstream import TestAuthority

from . import traffic


class _Server(asyncio.Protocol):
    """One connection of HTTP/1.1 with keep-alive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._missing = 0
        self._wanted = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing <= 0:
                self._answer()
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        self._wanted = fields.get(traffic.ANSWER, "whole")
        self._missing = int(fields.get("content-length", 0)) - (len(self._buffer) - end - 4)
        self._buffer.clear()
        if self._missing <= 0:
            self._answer()

    def _answer(self) -> None:
        self._missing = 0
        assert self._transport
        if self._wanted == "whole":
            self._transport.write(_next_whole())
            return
        _, chunks, delay_ms = self._wanted.split(" ")
        loop = asyncio.get_running_loop()
        self._transport.write(_STREAM_HEAD)
        pieces = [b"%x\r\n%s\r\n" % (len(e), e) for e in traffic.events(0, int(chunks))]
        pieces[-1] += b"0\r\n\r\n"
        for number, piece in enumerate(pieces, 1):
            loop.call_later(number * float(delay_ms) / 1000, self._transport.write, piece)


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WHOLE = [traffic.answer(number) for number in range(200)]
_served = 0


def _next_whole() -> bytes:
    """An answer whose id nobody had before."""
    global _served  # noqa: PLW0603 - a counter, in a process with one thread
    _served += 1
    body = _WHOLE[_served % len(_WHOLE)]
    id_ = b"chatcmpl-%012d" % _served
    body = body[:8] + id_ + body[8 + len(id_) :]
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


async def _main(folder: Path) -> None:
    context = TestAuthority(folder).context((traffic.HOST,))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Server, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the parent goes
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
