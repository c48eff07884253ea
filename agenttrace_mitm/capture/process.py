"""The process behind a client connection of this machine.

Linux only: netlink's sock_diag names the socket's inode within microseconds, /proc says who
holds it.  Runs in a thread, is never waited for, and knows nothing about programs of other
users or those that have ended.
"""

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .holders import Holders
from .program import Process, Processes

SUPPORTED = sys.platform == "linux"

type Address = tuple[str, int]

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST
_FAILED = 2  # NLMSG_ERROR
_NO_COOKIE = b"\xff" * 8


class Lookup:
    """Finds processes in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="process-lookup")
        self._holders = Holders()
        self._processes = Processes()
        self._own: socket.socket | None = None  # of our network; the pool's thread alone uses it

    def begin(
        self,
        client: Address,
        proxy: Address,
        tell: Callable[[Process], None],
        statistics: socket.socket | None = None,
    ) -> None:
        """Look for the process that connected from *client* to *proxy*; *tell* it if it is found.

        *tell* runs in the event loop.  Returns at once.  *statistics* is a netlink socket of the
        network to look in, if that is not ours.
        """
        if not SUPPORTED:
            return
        loop = asyncio.get_running_loop()

        def done(found: Process | None) -> None:
            if found is not None:
                tell(found)

        def look() -> None:
            found = self._find(client, proxy, statistics)
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(done, found)

        with contextlib.suppress(RuntimeError):  # the pool has shut down
            self._pool.submit(look)

    def close(self) -> None:
        """Stop looking."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._own:
            self._own.close()

    def _find(
        self, client: Address, proxy: Address, statistics: socket.socket | None
    ) -> Process | None:
        try:
            with (
                statistics.dup() if statistics else contextlib.nullcontext(self._netlink()) as asked
            ):
                inode, uid = _socket_of(client, proxy, asked)
            pid = self._holders.of(inode, uid) if inode else None
            if pid is None or pid == os.getpid():
                return None
            return self._processes.of(pid)
        except (OSError, ValueError, struct.error):
            if self._own:
                self._own.close()  # a late answer must not be taken for the next one
                self._own = None
            return None

    def _netlink(self) -> socket.socket:
        if self._own is None:
            self._own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
            self._own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        return self._own


def _socket_of(client: Address, proxy: Address, netlink: socket.socket) -> tuple[int, int]:
    """Inode and owner of the socket bound to *client* and connected to *proxy*; 0, 0 if none."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    ends = _packed(family, client[0]) + _packed(family, proxy[0])
    identity = struct.pack("!HH", client[1], proxy[1]) + ends + struct.pack("=I", 0) + _NO_COOKIE
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
    head = struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, _REQUEST, 1, 0)
    netlink.send(head + body)
    answer = netlink.recv(4096)
    if struct.unpack_from("=IH", answer)[1] == _FAILED:
        return 0, 0
    # struct inet_diag_msg: 4 bytes, 48 of identity, three counters, then owner and inode.
    uid, inode = struct.unpack_from("=II", answer, 16 + 4 + 48 + 12)
    return inode, uid


def _packed(family: socket.AddressFamily, host: str) -> bytes:
    return socket.inet_pton(family, host.partition("%")[0]).ljust(16, b"\0")
