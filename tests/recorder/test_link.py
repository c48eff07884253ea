"""What a capture process said before it was killed is heard, whatever it is told meanwhile."""

import asyncio
import contextlib
import socket
import time

from agenttrace_mitm.recorder.link import MOST_BYTES, serve


@contextlib.asynccontextmanager
async def connected(folder, ahead=10_000_000):
    """A capture process's socket, and what the recorder has of it."""
    made: asyncio.Future = asyncio.get_running_loop().create_future()

    over = asyncio.Event()

    async def talk(hearing, link):
        made.set_result((hearing, link))
        await over.wait()

    server = await serve(folder / "s", talk, ahead)
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(folder / "s"))
    hearing, link = await made
    yield hearing, link, peer
    over.set()
    link.close()
    peer.close()
    server.close()


async def test_what_came_before_the_end_is_read_after_a_failed_write(tmp_path):
    """Its process is gone, and has not read what was said to it."""
    async with connected(tmp_path) as (hearing, link, peer):
        link.write(b"taken")
        peer.sendall(b"frames " * 9000)
        peer.close()
        for _ in range(3):
            link.write(b"taken")
            await asyncio.sleep(0)
        heard = b""
        while data := await hearing.read():
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


async def test_what_a_peer_sends_is_taken_while_the_loop_is_busy(tmp_path):
    """It may be killed before the loop has time again: twenty times what a socket holds."""
    async with connected(tmp_path) as (hearing, _, peer):
        peer.settimeout(60)
        peer.sendall(b"frames " * 600_000)  # blocks the loop until somebody has taken most of it
        peer.close()
        heard = bytearray()
        while data := await hearing.read():
            heard += data
        assert heard == b"frames " * 600_000


async def test_what_is_taken_ahead_has_a_bound(tmp_path):
    async with connected(tmp_path, ahead=100_000) as (hearing, _, peer):
        peer.setblocking(False)
        sent = 0

        def held():
            return sum(len(piece) for _, piece in hearing._pieces)

        async with asyncio.timeout(60):
            turns = 0
            while held() < 100_000 or turns < 50:  # and for a while more, while nobody reads
                with contextlib.suppress(BlockingIOError):
                    sent += peer.send(b"x" * 100_000)
                await asyncio.sleep(0.02)
                turns += held() >= 100_000
        assert held() < 100_000 + 256 * 1024
        heard = 0
        while heard < sent:
            heard += len(await hearing.read())
        assert heard == sent


async def test_who_hangs_up_hears_what_came_and_then_the_end(tmp_path):
    async with connected(tmp_path) as (hearing, link, peer):
        peer.sendall(b"frames")
        link.close()
        assert await hearing.read() == b"frames"
        assert await hearing.read() == b""
        assert await hearing.read() == b""


async def test_it_is_told_for_how_long_a_piece_has_waited(tmp_path):
    async with connected(tmp_path) as (hearing, _, peer):
        began = time.monotonic()
        peer.sendall(b"now")
        await hearing.read()
        assert 0 <= hearing.late_s <= time.monotonic() - began
        peer.sendall(b"later")
        while not hearing.is_behind:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        await hearing.read()
        assert hearing.late_s >= 0.05
