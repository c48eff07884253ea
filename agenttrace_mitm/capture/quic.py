"""HTTP/3 in a program's own network: turned down at once, and told.

There is no way out for UDP in there.  A program that tries QUIC is answered that we speak none of
its versions (RFC 9000, 6.1), so it falls back to TCP without waiting, where it is recorded.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable

_LONG_HEADER = 0x80
_NO_VERSION = 0x1A2A3A4A  # reserved by RFC 9000, 15: nobody can choose it
_IP_PKTINFO = 8  # linux/in.h; Python has no name for it before 3.14
_INFO = struct.Struct("=I4s4s")  # interface, our address, the address that was dialled
READ_BYTES = 2048

type Tried = Callable[[str, str], None]
"""Is told the client's address and the one that it dialled."""


class QuicDoor:
    """Answers on a UDP socket that takes whatever is sent to port 443."""

    def __init__(self, sock: socket.socket, tried: Tried) -> None:
        self._socket = sock
        self._tried = tried
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    def close(self) -> None:
        """Answer no more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            data, ancillary, _, client = self._socket.recvmsg(READ_BYTES, socket.CMSG_SPACE(12))
            reply = refusal(data)
            dialled = next(
                (info[-4:] for level, kind, info in ancillary if kind == _IP_PKTINFO), b""
            )
            if reply is None or not dialled:
                return
            # From the address that was dialled, or the client will not take it.
            info = _INFO.pack(0, dialled, dialled)
            self._socket.sendmsg([reply], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, client)
            self._tried(client[0], socket.inet_ntoa(dialled))


def refusal(data: bytes) -> bytes | None:
    """The version negotiation that answers a first packet; None for anything else."""
    if len(data) < 7 or not data[0] & _LONG_HEADER or not any(data[1:5]):
        return None  # a version of zero is such an answer itself
    to_length = data[5]
    to = data[6 : 6 + to_length]
    rest = data[6 + to_length :]
    if not rest or len(rest) < 1 + rest[0]:
        return None
    sent_by = rest[1 : 1 + rest[0]]
    first = os.urandom(1)[0] | _LONG_HEADER
    ids = bytes([len(sent_by)]) + sent_by + bytes([len(to)]) + to
    return bytes([first, 0, 0, 0, 0]) + ids + _NO_VERSION.to_bytes(4, "big")
