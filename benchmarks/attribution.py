"""What it costs to find out who calls: processor time of the thread that looks, a connection.

The event loop only hands over an address and takes an answer.  The clients are processes of their
own, so that every answer can be checked.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

from agenttrace_mitm.capture.process import Lookup, Process

from .report import Row

CLIENT = """
import socket, sys
for _ in sys.stdin:
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).recv(1)
    print(flush=True)
"""

type Accepted = asyncio.Queue[asyncio.StreamWriter]
type Client = asyncio.subprocess.Process


def run() -> list[Row]:
    """One program that connects again and again, then fifty at the same time."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    rows = []
    for programs, times in ((1, 500), (50, 10)):
        cost, wrong = await _measured(programs, times)
        which = "one program" if programs == 1 else f"{programs} programs at once"
        rows.append(Row(f"{which}, ms of processor time a connection", cost, "<= 0.2"))
        rows.append(Row(f"{which}, connections taken for another's", wrong, "= 0"))
    return rows


async def _measured(programs: int, times: int) -> tuple[float, int]:
    lookup = Lookup()
    wrong = 0
    async with _clients(programs) as (clients, accepted):
        expected = {client.pid for client in clients}
        await _round(lookup, clients, accepted)  # they are known by now
        began = await _used(lookup)
        for _ in range(times):
            found = await _round(lookup, clients, accepted)
            wrong += len(expected ^ {process.pid for process in found})
        used = await _used(lookup) - began
    lookup.close()
    return used * 1000 / (programs * times), wrong


async def _used(lookup: Lookup) -> float:
    return await asyncio.wrap_future(lookup._pool.submit(time.thread_time))


async def _round(lookup: Lookup, clients: list[Client], accepted: Accepted) -> list[Process]:
    """Let each client connect once; who they are found to be."""
    for client in clients:
        assert client.stdin
        client.stdin.write(b"\n")
    connections = [await accepted.get() for _ in clients]
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Process]] = []
    for connection in connections:
        answers.append(loop.create_future())
        ends = (connection.get_extra_info(name) for name in ("peername", "sockname"))
        lookup.begin(*ends, answers[-1].set_result)
    found = await asyncio.wait_for(asyncio.gather(*answers), 30)
    for connection in connections:
        connection.write(b"x")
        connection.close()
    for client in clients:
        assert client.stdout
        await client.stdout.readline()
    return found


@contextlib.asynccontextmanager
async def _clients(count: int) -> AsyncIterator[tuple[list[Client], Accepted]]:
    accepted: Accepted = asyncio.Queue()
    server = await asyncio.start_server(lambda _, w: accepted.put_nowait(w), "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    pipe = asyncio.subprocess.PIPE
    clients = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, port, stdin=pipe, stdout=pipe
        )
        for _ in range(count)
    ]
    try:
        yield clients, accepted
    finally:
        server.close()
        for client in clients:
            assert client.stdin
            client.stdin.close()
            await client.wait()
