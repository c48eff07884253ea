"""Recorded WebSocket sessions through a real AgentTrace: client and server take turns as recorded.

Both sides walk the same list of messages, each sending its own and waiting for the other's, so
that the order on the wire is the recorded one.  Messages are compressed as clients ask for.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wsproto.events as ws
from wsproto import ConnectionType, WSConnection
from wsproto.extensions import PerMessageDeflate

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.providers import HOSTS
from agenttrace_mitm.settings import Settings
from tests import socket_cases
from tests.support.instance import Instance, select

from .client import SESSION_HEADER
from .upstream import RECORD_HEADER

_CALLS = """
    select calls.*, (
        select json_group_array(name) from tool_calls where call_id = calls.id and server = 0
    ) as called
    from llm_calls as calls where session_id = ? and outcome <> 'in_flight'
    order by started_us, id
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a session: what went wrong, and the rows about it."""

    session: socket_cases.Session
    wrong: list[str]
    turns: list[dict[str, Any]]
    sockets: list[dict[str, Any]]


class _Peer:
    """One end of a WebSocket."""

    def __init__(
        self,
        kind: ConnectionType,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._socket = WSConnection(kind)
        self._reader = reader
        self._writer = writer
        self._events = self._read()

    def send(self, event: ws.Event) -> None:
        """Send an event."""
        self._writer.write(self._socket.send(event))

    async def next(self) -> ws.Event:
        """The next event that is not about keeping alive."""
        return await anext(self._events)

    async def message(self) -> bytes:
        """The next message, put together.  Raises `ConnectionError` when the socket ends."""
        data = b""
        while True:
            event = await self.next()
            if not isinstance(event, ws.Message):
                raise ConnectionError(repr(event))
            data += event.data.encode() if isinstance(event.data, str) else event.data
            if event.message_finished:
                return data

    async def walk(self, session: socket_cases.Session, *, is_client: bool) -> None:
        """Send this side's messages, and wait for the other's, in the recorded order."""
        for from_client, data in socket_cases.messages(session):
            if from_client is not is_client:
                got = await self.message()
                if got != data:
                    raise ConnectionError(f"other bytes: {got[:60]!r}")
            elif session["google"] and not is_client:
                self.send(ws.BytesMessage(data))
            else:
                self.send(ws.TextMessage(data.decode()))
            await self._writer.drain()

    async def _read(self) -> AsyncIterator[ws.Event]:
        while data := await self._reader.read(65_536):
            self._socket.receive_data(data)
            for event in self._socket.events():
                if not isinstance(event, ws.Ping | ws.Pong):
                    yield event
        raise ConnectionError("closed")

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()


async def serve(
    context: ssl.SSLContext, sessions: Mapping[str, socket_cases.Session]
) -> tuple[asyncio.Server, int]:
    """Listen on a free loopback port and play the server's part of *sessions*, by id."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(ConnectionType.SERVER, reader, writer)
        try:
            request = await peer.next()
            assert isinstance(request, ws.Request)
            headers = {k.decode().lower(): v.decode() for k, v in request.extra_headers}
            peer.send(ws.AcceptConnection(extensions=[PerMessageDeflate()]))
            await peer.walk(sessions[headers[RECORD_HEADER]], is_client=False)
            closed = await peer.next()
            assert isinstance(closed, ws.CloseConnection)
            peer.send(closed.response())
            await writer.drain()
        except OSError:
            pass
        finally:
            peer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


async def hold(proxy_port: int, trust: ssl.SSLContext, session: socket_cases.Session) -> list[str]:
    """Play the client's part of *session* through the proxy; what went wrong."""
    host = session["host"]
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy_port)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(trust, server_hostname=host)
    peer = _Peer(ConnectionType.CLIENT, reader, writer)
    named = [(name.encode(), session["id"].encode()) for name in (SESSION_HEADER, RECORD_HEADER)]
    try:
        peer.send(ws.Request(host, session["target"], [PerMessageDeflate()], named))
        answer = await peer.next()
        if not isinstance(answer, ws.AcceptConnection):
            return [f"not accepted: {answer!r}"]
        await peer.walk(session, is_client=True)
        peer.send(ws.CloseConnection(1000))
        await peer.next()
    except OSError as error:
        return [f"broken off: {error}"]
    finally:
        peer.close()
    return []


def replay(folder: Path, sessions: Sequence[socket_cases.Session]) -> list[Held]:
    """Every session through the proxy; *folder* is the home of the AgentTrace that records."""
    hosts = {session["host"]: session["provider"].partition("-")[0] for session in sessions}
    context, root = server_context(folder / "tls", sorted(hosts))
    return asyncio.run(_replay(folder, sessions, hosts, context, root))


async def _replay(
    folder: Path,
    sessions: Sequence[socket_cases.Session],
    hosts: Mapping[str, str],
    context: ssl.SSLContext,
    root: Path,
) -> list[Held]:
    server, port = await serve(context, {session["id"]: session for session in sessions})
    settings = Settings(
        home=folder / "home",
        proxy_port=0,
        port=0,
        upstream_ca=root,
        upstream_map=dict.fromkeys(hosts, f"https://127.0.0.1:{port}"),
        hosts_added={host: provider for host, provider in hosts.items() if host not in HOSTS},
    )
    async with Instance(settings) as instance:
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        wrong = [await hold(instance.proxy_port, trust, session) for session in sessions]
        ended = "select id from llm_calls where status_code = 101 and operation = 'other'"
        await instance.rows(
            f"{ended} and outcome <> 'in_flight'", lambda rows: len(rows) >= len(sessions)
        )
    server.close()
    return [
        _held(settings.database, session, found)
        for session, found in zip(sessions, wrong, strict=True)
    ]


def _held(database: Path, session: socket_cases.Session, wrong: list[str]) -> Held:
    rows = [_values(row) for row in select(database, _CALLS, session["id"])]
    turns = [row for row in rows if row["kind"] == "llm"]
    found = [*wrong, *socket_cases.differences(session, turns)]
    return Held(session, found, turns, [row for row in rows if row["kind"] == "admin"])


def _values(row: dict[str, Any]) -> dict[str, Any]:
    for column in ("usage_raw", "finish_reasons"):
        row[column] = json.loads(row[column]) if row[column] else None
    return {**row, "tool_names": json.loads(row["called"])}
