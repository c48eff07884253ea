"""Clients that no proxy wants: garbage, wrong protocols, half-open handshakes, endless headers.

Each is a coroutine that gets a port and a seeded source of chance, misbehaves for a moment, and
leaves.  None waits for long: what they test is that nobody else notices them.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

PATIENCE_S = 0.3
HELLO = bytes.fromhex("16030100") + b"\xc8\x01\x00\x00\xc4\x03\x03" + bytes(196)

type Client = Callable[[int, random.Random], Awaitable[None]]


async def garbage(port: int, chance: random.Random) -> None:
    """Random bytes, in random pieces."""
    await _say(port, *(chance.randbytes(chance.randint(1, 4000)) for _ in range(4)))


async def wrong_protocols(port: int, chance: random.Random) -> None:
    """SSH, SMTP, SOCKS, Redis, HTTP/2 without TLS, a TLS record: greetings for others."""
    greetings = (
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO me\r\n",
        b"\x05\x02\x00\x02",
        b"\x04\x01\x01\xbb\x7f\x00\x00\x01me\x00",
        b"*1\r\n$4\r\nPING\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        HELLO,
        b"\x00" * 64,
    )
    await _say(port, chance.choice(greetings))


async def mangled_requests(port: int, chance: random.Random) -> None:
    """Nearly HTTP: broken lines, wrong lengths, forbidden letters, doubled framing."""
    requests = (
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT HTTP/1.1\r\n\r\n",
        b"CONNECT api.openai.com:99999 HTTP/1.1\r\n\r\n",
        b"CONNECT [::1 HTTP/1.1\r\n\r\n",
        b"CONNECT \xff\xfe:443 HTTP/1.1\r\n\r\n",
        b"GET http://\x00/ HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /v1/\r\nX: y\r\n\r\n",
        b"GET  /v1/x  HTTP/1.1\r\n: novalue\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nx-target-url: http://169.254.169.254/\r\n\r\n",
    )
    request = bytearray(chance.choice(requests))
    for _ in range(chance.randint(0, 3)):
        request[chance.randrange(len(request))] = chance.randrange(256)
    await _say(port, bytes(request))


async def header_bomb(port: int, chance: random.Random) -> None:
    """A head that does not end: many fields, or one that is very long."""
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(500))
    long = b"X: " + b"z" * 500_000
    await _say(port, b"GET /v1/models HTTP/1.1\r\n", chance.choice((lines, long)))


async def slow_loris(port: int, chance: random.Random) -> None:
    """A request, letter by letter, never whole."""
    await _say(port, *(b"%c" % letter for letter in b"CONNECT api.openai.com:443 HTTP/1"))


async def half_open_tls(port: int, chance: random.Random) -> None:
    """A tunnel in which the handshake stops, or turns out to be none."""
    rest = chance.choice((HELLO[: chance.randint(1, len(HELLO))], chance.randbytes(300), b""))
    await _say(port, b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n", rest)


async def broken_http2(port: int, chance: random.Random) -> None:
    """TLS as agreed, and then frames that are none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE_S * 10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(context, server_hostname="api.openai.com")
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(500))
            await reader.read(1000)
            writer.transport.abort()


async def silent(port: int, chance: random.Random) -> None:
    """Connects, says nothing, and resets the connection."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        await asyncio.sleep(chance.random() * PATIENCE_S)
        writer.transport.abort()


CLIENTS: tuple[Client, ...] = (
    garbage,
    wrong_protocols,
    mangled_requests,
    header_bomb,
    slow_loris,
    half_open_tls,
    broken_http2,
    silent,
)


async def _say(port: int, *pieces: bytes) -> None:
    """Send *pieces*, see whether there is an answer, and hang up."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S * 4):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                async with asyncio.timeout(PATIENCE_S):
                    await reader.read(65536)
            finally:
                writer.transport.abort()
