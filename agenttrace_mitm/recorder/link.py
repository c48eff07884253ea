"""The connection of a capture process: what it said is heard to the end, however it ended.

A process that was killed cannot be told anything, but what it said may still be unread.  So a
thread takes what comes as it comes, also while the recorder is busy or waits for the database: what
capture still holds would go with it.  asyncio would take it away, too: a failed `write` closes its
transport and forgets what came, and a reset, which is how a peer ends that has not read everything,
empties its reader.  Hence descriptors of our own, and a reset that is an end.
"""

import asyncio
import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

log = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
"""Unsent acknowledgements, of a process that does not read; it sends again what lacks one."""

AHEAD_BYTES = 32 * 1024 * 1024
"""What may be taken before it is read; beyond it the rest stays with capture."""

PIECE_BYTES = 256 * 1024
GATHER_S = 0.02
GATHER_BYTES = 64 * 1024
"""Pause after a piece that was smaller: the frames of a call come in a few pieces, and its
client, upstream and proxy want the processor right now."""


async def serve(
    path: Path, talk: Callable[["Hearing", "Link"], Awaitable[None]], ahead: int = AHEAD_BYTES
) -> asyncio.Server:
    """Accept capture processes at the socket *path*, each with a *talk* of its own."""
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: _Accepted(talk, ahead), path)


class _Accepted(asyncio.Protocol):
    """A connection whose transport has nothing to do but to be closed."""

    def __init__(self, talk: Callable[["Hearing", "Link"], Awaitable[None]], ahead: int) -> None:
        self._talk = talk
        self._ahead = ahead
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        descriptor = transport.get_extra_info("socket").fileno()
        link, hearing = Link(transport, descriptor), Hearing(descriptor, self._ahead)
        self._task = asyncio.get_running_loop().create_task(self._serve(hearing, link))

    async def _serve(self, hearing: "Hearing", link: "Link") -> None:
        try:
            await self._talk(hearing, link)
        finally:
            hearing.close()


def _own(descriptor: int) -> socket.socket:
    own = socket.socket(fileno=os.dup(descriptor))
    own.setblocking(False)
    return own


class Hearing:
    """What comes from the peer at *descriptor*, taken by a thread up to *ahead* bytes ahead."""

    def __init__(self, descriptor: int, ahead: int) -> None:
        self._socket = _own(descriptor)
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._late_s = 0.0
        self._room = threading.Condition()
        self._gather_s = 0.0
        self._closed = False
        threading.Thread(target=self._take, name="hearing", daemon=True).start()

    @property
    def is_behind(self) -> bool:
        """Whether a piece has come that was not read yet."""
        return bool(self._pieces)

    @property
    def late_s(self) -> float:
        """For how long the piece that was read last had been there, in seconds."""
        return self._late_s

    def gather(self) -> None:
        """Pause after small pieces from now on: nobody waits for the answer to one."""
        self._gather_s = GATHER_S

    async def read(self) -> bytes:
        """The next piece, up to `PIECE_BYTES`; none when the peer has ended, or broke off."""
        while not self._pieces:
            self._came.clear()
            await self._came.wait()
        came, piece = self._pieces[0]
        self._late_s = time.monotonic() - came
        if piece:
            self._pieces.popleft()
            with self._room:
                self._bytes -= len(piece)
                self._room.notify()
        return piece

    def close(self) -> None:
        """Take nothing more."""
        with self._room:
            self._closed = True
            self._room.notify()
        with contextlib.suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RD)

    def _take(self) -> None:
        """Until the peer ends.  In a thread of its own."""
        with self._socket, contextlib.suppress(RuntimeError):  # the loop has ended before the peer
            while True:
                with self._room:
                    self._room.wait_for(lambda: self._closed or self._bytes < self._ahead)
                piece = b"" if self._closed else self._received()
                with self._room:
                    self._bytes += len(piece)
                self._pieces.append((time.monotonic(), piece))
                self._loop.call_soon_threadsafe(self._came.set)
                if not piece:
                    return
                if self._gather_s and len(piece) < GATHER_BYTES:
                    time.sleep(self._gather_s)

    def _received(self) -> bytes:
        ready = select.poll()
        ready.register(self._socket, select.POLLIN)
        while True:
            ready.poll()
            try:
                return self._socket.recv(PIECE_BYTES)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                log.info("a capture process is gone: %s", error)
                return b""


class Link:
    """Writes to the peer of *stream* as long as there is one; nobody waits for it."""

    def __init__(self, stream: asyncio.Transport, descriptor: int) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = _own(descriptor)
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
        """Hang up; what came is still heard."""
        with contextlib.suppress(OSError):  # the peer was first
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
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
