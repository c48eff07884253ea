"""The short way of body pieces: the same bytes, in fewer pieces."""

import asyncio
import itertools

import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.capture.quick import JoiningReader
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post


def _read(reader: JoiningReader, packets: list[bytes]) -> tuple[list[bytes], object]:
    """Pieces that came out, one a packet at most, and what came at the end."""
    buffer, pieces = ReceiveBuffer(), []
    for packet in packets:
        buffer += packet
        if data := reader.ready(buffer):
            pieces.append(bytes(data))
        if reader.is_over:
            return pieces, reader(buffer)
    return pieces, None


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
    st.booleans(),
)
def test_cut_anywhere_it_is_the_same_body(chunks, cuts, has_trailers):
    """Whatever arrives together, nothing is lost, added or put in another order."""
    trailers = b"x-sum: 1\r\n" if has_trailers else b""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n" + trailers + b"\r\n"
    at = sorted({0, *(cut % len(wire) for cut in cuts), len(wire)})
    packets = [wire[begin:end] for begin, end in itertools.pairwise(at)]
    reader = JoiningReader()
    pieces, end = _read(reader, packets)
    assert b"".join(pieces) == b"".join(chunks)
    assert isinstance(end, h11.EndOfMessage)
    assert len(pieces) <= len(packets)
    assert bool(reader.trailers) is has_trailers


def test_what_comes_before_a_fault_is_good():
    """A broken chunk header ends the body, after the chunks before it."""
    reader, buffer = JoiningReader(), ReceiveBuffer()
    buffer += b"2\r\nab\r\n1\r\nc\r\nnonsense\r\n"
    assert reader.ready(buffer) == b"abc"
    assert reader.is_over
    with pytest.raises(h11.ProtocolError):
        reader(buffer)


async def test_chunks_of_one_packet_go_on_together(tmp_path):
    """One record to the client, one frame to the recorder; the end after it."""

    async def packed(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.write(b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n")

    async with Upstream(tmp_path, packed) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        for _ in range(2):
            writer.write(post())
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readuntil(b"0\r\n\r\n") == b"6\r\nabcdef\r\n0\r\n\r\n"
        await closed(writer)
        seen = await capture.recorder.finished(2)
        assert [exchange.response for exchange in seen] == [b"abcdef"] * 2


async def test_chunks_that_come_apart_stay_apart(tmp_path):
    """A chunk does not wait for the next."""

    async def slow(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.write(b"1\r\na\r\n")
        await got_first.wait()
        await exchange.write(b"1\r\nb\r\n0\r\n\r\n")

    got_first = asyncio.Event()
    async with Upstream(tmp_path, slow) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(6) == b"1\r\na\r\n"
        got_first.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"1\r\nb\r\n0\r\n\r\n"
        await closed(writer)


async def test_a_chunked_request_goes_on_in_chunks(tmp_path):
    """And one of known length as it came, on the same connection."""
    async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
        reader, writer = await capture.connect()
        head = b"POST / HTTP/1.1\r\nHost: api.openai.com\r\n"
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n!!!\r\n0\r\n\r\n")
        await answer(reader)
        writer.write(head + b"Content-Length: 3\r\n\r\nyes")
        await answer(reader)
        assert [request.body for request in upstream.requests] == [b"hi!!!", b"yes"]
        await closed(writer)
