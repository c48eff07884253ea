"""Answers to the name queries of a program in a network of its own.

IPv4 addresses come from this machine's own resolution.  There is no IPv6 in there, and no record
that would lead to HTTP/3 or to an encrypted server name, so other questions get an empty answer.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

ADDRESS = 1  # an A record
INTERNET = 1
TTL_S = 30
OK, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
PLACEHOLDER = "192.0.2.1"
"""For recorded hosts that do not resolve here: the server name says where they are."""

type Resolve = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked, and the question as it has to be repeated."""

    id: int
    flags: int
    name: str
    type: int
    question: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Query":
        """The query in *data*.  Raises `ValueError` when it is not one plain question."""
        try:
            id_, flags, questions, *_ = struct.unpack_from("!6H", data)
            if flags & 0x8000 or questions != 1:
                raise ValueError("not a query with one question")
            labels, at = [], 12
            while length := data[at]:
                if length > 63 or at + 1 + length > len(data):
                    raise ValueError("not a name")
                labels.append(data[at + 1 : at + 1 + length])
                at += 1 + length
            type_, class_ = struct.unpack_from("!2H", data, at + 1)
        except (IndexError, struct.error):
            raise ValueError("cut short") from None
        if class_ != INTERNET:
            raise ValueError("another class")
        name = b".".join(labels).decode("ascii", "replace")
        return cls(id_, flags, name, type_, data[12 : at + 5])

    def reply(self, addresses: Iterable[str] = (), code: int = OK) -> bytes:
        """The answer with these *addresses*."""
        records = [
            struct.pack("!3HIH", 0xC00C, ADDRESS, INTERNET, TTL_S, 4) + socket.inet_aton(address)
            for address in addresses
        ]
        # An answer; recursion was desired as asked, and is available.
        flags = 0x8000 | (self.flags & 0x0100) | 0x0080 | code
        head = struct.pack("!6H", self.id, flags, 1, len(records), 0, 0)
        return head + self.question + b"".join(records)


class NameServer(asyncio.DatagramProtocol):
    """Answers on a socket that was opened for it.  *is_recorded* hosts always have an address."""

    def __init__(self, is_recorded: Callable[[str], bool], resolve: Resolve | None = None) -> None:
        self._is_recorded = is_recorded
        self._resolve = resolve or addresses_of
        self._transport: asyncio.DatagramTransport
        self._tasks: set[asyncio.Task[None]] = set()
        self._recorded: dict[str, str] = {}

    def connection_made(self, transport: Any) -> None:
        """Answer from now on."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Somebody asks."""
        with contextlib.suppress(ValueError):
            task = asyncio.ensure_future(self._answer(Query.parse(data), address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Answer no more."""
        self._transport.close()

    async def _answer(self, query: Query, address: Any) -> None:
        reply = await self.reply(query)
        if not self._transport.is_closing():
            self._transport.sendto(reply, address)

    def recorded_at(self, address: str) -> str:
        """The recorded host that was last said to be at *address*, empty for none."""
        return self._recorded.get(address, "")

    async def reply(self, query: Query) -> bytes:
        """The answer to *query*."""
        if query.type != ADDRESS:
            return query.reply()
        try:
            addresses = await self._resolve(query.name)
            self._remember(query.name, addresses)
            return query.reply(addresses)
        except OSError as error:
            if self._is_recorded(query.name):
                self._remember(query.name, [PLACEHOLDER])
                return query.reply([PLACEHOLDER])
            missing = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
            return query.reply(code=NO_SUCH_NAME if missing else SERVER_FAILURE)

    def _remember(self, name: str, addresses: Iterable[str]) -> None:
        if self._is_recorded(name):
            self._recorded |= dict.fromkeys(addresses, name.lower().rstrip("."))


async def addresses_of(name: str) -> list[str]:
    """The IPv4 addresses of *name*, as this machine resolves it.  Raises `OSError`."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(socket.EAI_NONAME, "not a name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
