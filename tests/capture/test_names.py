"""Name queries of a program in a network of its own, and what they are answered."""

import socket
import struct

import pytest

from agenttrace_mitm.capture.names import PLACEHOLDER, NameServer, Query


def _query(name: str, type_: int = 1, *, id_: int = 7, class_: int = 1) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return (
        struct.pack("!6H", id_, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, type_, class_)
    )


async def _reply(query: bytes, *found: str, error: int = 0, recorded: str = "") -> bytes:
    async def resolve(name: str) -> list[str]:
        if error:
            raise OSError(error, "no")
        return list(found)

    return await NameServer(lambda name: name == recorded, resolve).reply(Query.parse(query))


async def test_addresses() -> None:
    """Every address, for the question that was asked."""
    query = _query("Api.Example.com")
    reply = await _reply(query, "192.0.2.7", "192.0.2.8")
    id_, flags, questions, answers, *_ = struct.unpack_from("!6H", reply)
    assert (id_, flags, questions, answers) == (7, 0x8180, 1, 2)
    assert reply[12 : len(query)] == query[12:]
    assert reply[-4:] == socket.inet_aton("192.0.2.8")


@pytest.mark.parametrize("type_", [28, 65, 16])
async def test_other_questions_have_empty_answers(type_: int) -> None:
    """IPv6, HTTPS records, text: there is none, which is no error."""
    reply = await _reply(_query("example.com", type_), "192.0.2.7")
    assert struct.unpack_from("!6H", reply)[1:4] == (0x8180, 1, 0)


@pytest.mark.parametrize(
    ("error", "code"), [(socket.EAI_NONAME, 3), (socket.EAI_NODATA, 3), (socket.EAI_AGAIN, 2)]
)
async def test_failures_are_told_apart(error: int, code: int) -> None:
    """A name that does not exist, and a name server that does not answer."""
    reply = await _reply(_query("example.com"), error=error)
    assert struct.unpack_from("!6H", reply)[1] & 0xF == code


async def test_recorded_hosts_always_resolve() -> None:
    """Behind a company's proxy nothing else does; where they are says the server name."""
    reply = await _reply(_query("api.x.com"), error=socket.EAI_AGAIN, recorded="api.x.com")
    assert reply[-4:] == socket.inet_aton(PLACEHOLDER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        _query("a.b")[:-1],
        _query("a.b", class_=3),
        struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0) + b"\0\0\1\0\1",
        struct.pack("!6H", 1, 0, 2, 0, 0, 0) + b"\0\0\1\0\1",
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
    ],
    ids=["empty", "cut", "class", "answer", "two", "pointer"],
)
def test_what_is_no_question(data: bytes) -> None:
    """Left unanswered."""
    with pytest.raises(ValueError, match=r"short|class|question|name"):
        Query.parse(data)


async def test_whose_address_it_was() -> None:
    """A packet to an address tells the recorded host that it was meant for."""

    async def resolve(name: str) -> list[str]:
        return ["192.0.2.7"] if name == "api.x.com" else ["192.0.2.8"]

    server = NameServer(lambda name: name == "api.x.com", resolve)
    for name in ("api.x.com", "other.com"):
        await server.reply(Query.parse(_query(name)))
    assert server.recorded_at("192.0.2.7") == "api.x.com"
    assert server.recorded_at("192.0.2.8") == ""
