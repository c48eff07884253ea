"""What a capture process said before it was killed is heard, whatever it is told meanwhile."""

import asyncio
import contextlib
import socket

from agenttrace_mitm.recorder.link import MOST_BYTES, serve


@contextlib.asynccontextmanager
async def connected(folder):
    """A capture process's socket, and what the recorder has of it."""
    made: asyncio.Future = asyncio.get_running_loop().create_future()

    async def talk(reader, link):
        made.set_result((reader, link))

    server = await serve(folder / "s", talk, 256 * 1024)
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(folder / "s"))
    reader, link = await made
    yield reader, link, peer
    link.close()
    peer.close()
    server.close()


async def test_what_came_before_the_end_is_read_after_a_failed_write(tmp_path):
    """Its process is gone, and has not read what was said to it."""
    async with connected(tmp_path) as (reader, link, peer):
        link.write(b"taken")
        peer.sendall(b"frames " * 9000)
        peer.close()
        for _ in range(3):
            link.write(b"taken")
            await asyncio.sleep(0)
        heard = b""
        while data := await reader.read(20_000):
            heard += data
        assert heard == b"frames " * 9000
        link.write(b"nobody hears it")


async def test_a_peer_that_does_not_read_is_told_later_and_all_of_it(tmp_path):
    loop = asyncio.get_running_loop()
    async with connected(tmp_path) as (_, link, peer):
        peer.setblocking(False)
        told = [bytes([number]) * 100_000 for number in range(20)]
        for piece in told:
            link.write(piece)
        heard = b""
        while len(heard) < 2_000_000:
            heard += await loop.sock_recv(peer, 1_000_000)
        assert heard == b"".join(told)
        link.close()
        assert await loop.sock_recv(peer, 1) == b""


async def test_what_nobody_reads_has_a_bound(tmp_path):
    async with connected(tmp_path) as (_, link, _peer):
        for _ in range(40):
            link.write(b"x" * 1_000_000)
        assert len(link._unsent) <= MOST_BYTES + 1_000_000
