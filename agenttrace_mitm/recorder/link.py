"""The connection of a capture process: what it said is heard to the end, however it ended.

A process that was killed cannot be told anything, but what it said may still be unread.  asyncio
takes that away: a failed `write` closes its transport and forgets what came, and a reset, which is
how a peer ends that has not read everything, empties its reader.  Hence a second descriptor of the
same socket for what goes out, and a reader for which a reset is an end.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

log = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
"""Unsent acknowledgements, of a process that does not read; it sends again what lacks one."""


async def serve(
    path: Path, talk: Callable[[asyncio.StreamReader, "Link"], Awaitable[None]], limit: int
) -> asyncio.Server:
    """Accept capture processes at the socket *path*, each with a *talk* of its own."""
    loop = asyncio.get_running_loop()

    async def connected(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        await talk(reader, Link(stream))

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(Hearing(limit=limit, loop=loop), connected, loop=loop)

    return await loop.create_unix_server(protocol, path)


class Hearing(asyncio.StreamReader):
    """Reads what came before the connection broke, too; then it is the end."""

    def set_exception(self, exc: BaseException) -> None:
        """The connection broke."""
        log.info("a capture process is gone: %s", exc)
        self.feed_eof()


class Link:
    """Writes to the peer of *stream* as long as there is one; nobody waits for it."""

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        peer = stream.get_extra_info("socket")
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(peer.fileno()))
        self._socket.setblocking(False)
        self._unsent = bytearray()

    def write(self, data: bytes) -> None:
        """Send *data*, now or as soon as the peer takes it; dropped when it has gone."""
        if self._socket is None or len(self._unsent) > MOST_BYTES:
            return
        was_empty = not self._unsent
        self._unsent += data
        if was_empty:
            self._send()

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        self._stream.close()

    def _send(self) -> None:
        assert self._socket
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            log.info("a capture process hears nothing any more: %s", error)
            self._hang_up()
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._socket, self._send)
        else:
            self._loop.remove_writer(self._socket)

    def _hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before us
                self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
            self._unsent.clear()
