"""Frames get to the recorder, or wait within bounds."""

import asyncio
import gzip
import random

import pytest

from agenttrace_mitm.capture import handover as handover_module
from agenttrace_mitm.capture import tails
from agenttrace_mitm.capture.drops import TELL_EVERY_S, Drops
from agenttrace_mitm.capture.handover import SETUP_BYTES, Handover
from agenttrace_mitm.frames import (
    Ended,
    Note,
    Opened,
    RequestEnded,
    RequestTail,
    ResponseData,
    ResponseTail,
)
from tests.support.proxy import FakeRecorder


def opened(id_: str) -> Opened:
    return Opened(id_, 1, "openai", "h", "GET", "/", "HTTP/1.1", [], {}, {}, [], "proxy")


def ended(held) -> Ended:
    return Ended(held.id, 2, "complete", "", 0, [], held.dropped)


@pytest.fixture
def path(tmp_path):
    """Where the recorder will be."""
    return tmp_path / "r.sock"


async def until(holds):
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_acknowledged_exchange_is_forgotten(path):
    """And nothing of it is left."""
    recorder, handover = FakeRecorder(path), Handover(path)
    await recorder.start()
    handover.start()
    held = handover.open("a", opened("a"))
    handover.put_response(held, b"x" * 1000)
    handover.end(held, ended(held))
    (seen,) = await recorder.finished()
    assert seen.response == b"x" * 1000
    await until(lambda: handover.pending == 0)
    assert handover.kept_bytes == 0
    await handover.close(1)
    await recorder.stop()


async def test_a_flush_does_not_wait_for_the_loop(path):
    """What must be out is in the socket when the call returns."""
    handover = Handover(path)
    got = bytearray()
    link = asyncio.Event()

    class Blocking(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.pause_reading()
            accepted.append(transport)
            link.set()

    accepted = []
    server = await asyncio.get_running_loop().create_unix_server(Blocking, path)
    handover.start()
    await link.wait()
    await until(lambda: handover._link)
    held = handover.open("a", opened("a"))
    handover.put_response(held, b"the end")
    handover.end(held, ended(held))
    # No turn of the loop in between: read the other end directly.
    got += accepted[0].get_extra_info("socket")._sock.recv(65536)
    assert b"the end" in got
    accepted[0].abort()
    server.close()
    await handover.close(0.01)


async def test_one_exchange_is_bounded(path):
    """The beginning is kept, the rest counted; the answer has room however long the question."""
    recorder, handover = FakeRecorder(path), Handover(path, exchange_bytes=4000)
    await recorder.start()
    held = handover.open("a", opened("a"))
    for _ in range(10):
        handover.put_request(held, b"q" * 1000)
    handover.put_response(held, b"a" * 900)
    handover.put_response(held, b"b" * 900)
    handover.put_response(held, b"c")
    handover.end(held, ended(held))
    handover.start()
    (seen,) = await recorder.finished()
    assert seen.request == b"q" * 3000
    assert seen.response == b"a" * 900
    assert seen.ended.dropped_bytes == 7000 + 901
    await handover.close(1)
    await recorder.stop()


async def test_all_of_them_are_bounded(path):
    """Old bodies go first, rows stay, and the dropped bytes are told."""
    recorder, handover = FakeRecorder(path), Handover(path, total_bytes=20_000)
    for number in range(30):
        held = handover.open(f"{number:02}", opened(f"{number:02}"))
        handover.put_response(held, b"x" * 2000)
        handover.end(held, ended(held))
        assert handover.kept_bytes <= 20_000
    assert handover.pending == 30
    await recorder.start()
    handover.start()
    seen = await recorder.finished(30)
    whole = [len(one.response) == 2000 for one in seen]
    assert whole == sorted(whole)
    assert any(whole)
    assert not all(whole)
    assert [one.ended.dropped_bytes for one in seen] == [0 if w else 2000 for w in whole]
    await until(lambda: handover.kept_bytes == 0)
    await handover.close(1)
    await recorder.stop()


async def test_rows_go_when_nothing_else_is_left(path):
    """Oldest first, and it is said how many."""
    recorder, handover = FakeRecorder(path), Handover(path, total_bytes=1000)
    for number in range(100):
        held = handover.open(str(number), opened(str(number)))
        handover.end(held, ended(held))
    left = handover.pending
    assert 0 < left < 100
    await recorder.start()
    handover.start()
    seen = await recorder.finished(left)
    assert [one.opened.id for one in seen] == [str(n) for n in range(100 - left, 100)]
    await recorder.until(lambda r: r.notes)
    assert recorder.notes[0].kind == "calls_lost"
    assert recorder.notes[0].detail.startswith(str(100 - left))
    await handover.close(1)
    await recorder.stop()


async def test_a_recorder_that_does_not_read(path):
    """Nobody waits for it, memory is bounded, and everything kept arrives when it reads again."""
    recorder, handover = FakeRecorder(path), Handover(path, total_bytes=30_000_000)
    await recorder.start()
    recorder.reads.clear()
    handover.start()
    await until(lambda: handover._link)
    for number in range(20):
        held = handover.open(str(number), opened(str(number)))
        for _ in range(10):
            handover.put_response(held, b"x" * 100_000)
        handover.end(held, ended(held))
        await asyncio.sleep(0)
    recorder.reads.set()
    seen = await recorder.finished(20)
    assert {len(one.response) for one in seen} == {1_000_000}
    await handover.close(5)
    assert handover.pending == 0
    await recorder.stop()


async def test_a_recorder_that_talks_nonsense(path):
    """Is left and dialled again."""
    greeted = []

    async def nonsense(reader, writer):
        greeted.append(await reader.read(1000))
        writer.write(b"\xff" * 100)
        await reader.read()

    server = await asyncio.start_unix_server(nonsense, path)
    handover = Handover(path)
    handover.start()
    await until(lambda: len(greeted) > 1)
    server.close()
    await handover.close(0.01)


async def test_notes_wait_too(path):
    """They come after the hello of whoever listens next."""
    recorder, handover = FakeRecorder(path), Handover(path)
    handover.report(Note(1, "kind", "detail"))
    handover.start()
    await asyncio.sleep(0.1)
    await recorder.start()
    await recorder.until(lambda r: r.notes)
    assert recorder.notes == [Note(1, "kind", "detail")]
    assert len(recorder.hellos) == 1
    await handover.close(1)
    await recorder.stop()


async def test_order_within_an_exchange(path):
    """Frames of one exchange stay in order, however they are interleaved with others."""
    recorder, handover = FakeRecorder(path), Handover(path)
    await recorder.start()
    handover.start()
    held = [handover.open(str(n), opened(str(n))) for n in range(3)]
    for number in range(50):
        for one in held:
            handover.put_response(one, b"%d," % number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    for one in held:
        handover.put(one, RequestEnded(one.id, 2, 0))
        handover.end(one, ended(one))
    seen = await recorder.finished(3)
    expected = b"".join(b"%d," % n for n in range(50))
    assert [one.response for one in seen] == [expected] * 3
    assert [type(f) for f in seen[0].frames][-3:] == [ResponseData, RequestEnded, Ended]
    await handover.close(1)
    await recorder.stop()


async def test_messages_of_stored_turns_are_forgotten_and_those_of_the_setup_stay(path):
    """A socket that talks for hours takes no more memory than its turns under way."""
    recorder, handover = FakeRecorder(path), Handover(path)
    await recorder.start()
    handover.start()
    held = handover.open("a", opened("a"))
    for _ in range(8):
        handover.put_message(held, from_client=True, is_text=True, data=b"x" * SETUP_BYTES)
    await until(lambda: held.sent == len(held.frames))
    before = handover.kept_bytes
    handover.settled("a", 7)
    assert before - handover.kept_bytes > 5 * SETUP_BYTES
    assert [number for number, _, _ in held.later] == [7]
    handover.put_message(held, from_client=False, is_text=True, data=b"more")
    handover.end(held, ended(held))
    await recorder.finished()
    await until(lambda: handover.pending == 0)
    assert handover.kept_bytes == 0
    await handover.close(1)
    await recorder.stop()


async def test_the_end_of_a_long_stream_is_kept(path, monkeypatch):
    """Its last events are handed over behind the gap, in bounded memory."""
    monkeypatch.setattr(tails, "TAIL_BYTES", 500)
    recorder, handover = FakeRecorder(path), Handover(path, exchange_bytes=4000)
    held = handover.open("a", opened("a"))
    held.response_headers = {"content-type": "text/event-stream"}
    sent = b""
    for number in range(1000):
        piece = b"data: %04d\n\n" % number * 5
        sent += piece
        handover.put_response(held, piece)
        assert handover.kept_bytes < 4000 + 500 + 10_000  # the bytes, and what frames add
    frame = Ended("a", 2, "complete", "", len(sent), [], held.dropped)
    handover.end(held, frame)
    await recorder.start()
    handover.start()
    (seen,) = await recorder.finished()
    (tail,) = seen.of(ResponseTail)
    assert sent[tail.offset :] == tail.data
    assert len(tail.data) >= 500
    assert seen.ended.dropped_bytes == len(sent) - len(seen.response) - len(tail.data)
    await until(lambda: handover.kept_bytes == 0)
    await recorder.until(lambda r: r.notes)
    assert [note.kind for note in recorder.notes] == ["content_cut"]
    await handover.close(1)
    await recorder.stop()


async def test_the_end_of_a_long_request_is_kept(path, monkeypatch):
    """Beside the end of its answer, both in bounded memory; of one that breaks off nothing."""
    monkeypatch.setattr(tails, "TAIL_BYTES", 500)
    recorder, handover = FakeRecorder(path), Handover(path, exchange_bytes=4000)
    for id_, ends in (("a", True), ("b", False)):
        held = handover.open(id_, opened(id_))
        held.request_headers = held.response_headers = {"content-type": "application/json"}
        for _ in range(100):
            handover.put_request(held, b"x" * 100)
        if ends:
            handover.end_request(held, RequestEnded(id_, 2, 10_000))
        for _ in range(100):
            handover.put_response(held, b"y" * 100)
        assert handover.kept_bytes < 2 * (4000 + 1200 + 10_000)
        handover.end(held, Ended(id_, 2, "complete", "", 10_000, [], held.dropped))
    await recorder.start()
    handover.start()
    whole, broken = await recorder.finished(2)
    (asked,), (answered,) = whole.of(RequestTail), whole.of(ResponseTail)
    assert (asked.offset, asked.data) == (9_500, b"x" * 500)
    assert asked.offset - asked.unquoted == len(whole.request)
    assert (answered.offset, answered.data) == (9_500, b"y" * 500)
    assert not broken.of(RequestTail)
    assert len(broken.of(ResponseTail)) == 1
    await until(lambda: handover.kept_bytes == 0)
    await handover.close(1)
    await recorder.stop()


async def test_the_end_of_a_long_compressed_answer_is_kept_decoded(path, monkeypatch):
    """It is read from its first byte, though only its beginning is kept."""
    monkeypatch.setattr(tails, "TAIL_BYTES", 500)
    monkeypatch.setattr(handover_module, "FOLLOW_BYTES", 1000)
    recorder, handover = FakeRecorder(path), Handover(path, exchange_bytes=4000)
    held = handover.open("a", opened("a"))
    held.response_headers = {"content-type": "application/json", "content-encoding": "gzip"}
    said = bytes(random.Random(1).choices(b"abcdefgh", k=30_000))
    coded = gzip.compress(said)
    for start in range(0, len(coded), 100):
        handover.put_response(held, coded[start : start + 100])
    handover.end(held, Ended("a", 2, "complete", "", len(coded), [], held.dropped))
    await recorder.start()
    handover.start()
    (seen,) = await recorder.finished()
    (tail,) = seen.of(ResponseTail)
    assert coded.startswith(seen.response)
    assert len(tail.data) >= 500
    assert said[tail.offset :] == tail.data
    assert seen.ended.dropped_bytes == len(coded) - len(seen.response)
    await until(lambda: handover.kept_bytes == 0)
    await handover.close(1)
    await recorder.stop()


async def test_dropped_content_is_counted_for_the_operator(path):
    """One line for many calls, as soon as somebody listens."""
    recorder, handover = FakeRecorder(path), Handover(path, total_bytes=20_000)
    for number in range(30):
        held = handover.open(f"{number:02}", opened(f"{number:02}"))
        handover.put_response(held, b"x" * 2000)
        handover.end(held, ended(held))
    await recorder.start()
    handover.start()
    seen = await recorder.finished(30)
    stripped = sum(1 for one in seen if not one.response)
    await recorder.until(lambda r: r.notes)
    (note,) = recorder.notes
    assert note.kind == "content_dropped"
    assert note.detail.startswith(f"{stripped} calls lost {stripped * 2000:,} body bytes")
    assert handover.drops.bytes == stripped * 2000
    assert handover.drops.calls == 0
    await handover.close(1)
    await recorder.stop()


def test_drops_are_told_from_time_to_time():
    """Not once a call: the operator reads lines, not a flood."""
    now = [0.0]
    drops = Drops(lambda: now[0])
    drops.stripped(10)
    assert [note.kind for note in drops.notes()] == ["content_dropped"]
    drops.stripped(10)
    drops.lost()
    assert drops.notes() == []
    now[0] += TELL_EVERY_S
    assert {note.kind for note in drops.notes()} == {"content_dropped", "calls_lost"}
    assert drops.notes(now=True) == []
    assert (drops.bytes, drops.calls) == (20, 1)


async def test_what_was_handed_over_is_known_to_be_safe_once_the_recorder_says_so(path):
    """Calls and reports; and where it dies before that, the next one is asked."""
    recorder, handover = FakeRecorder(path, acknowledges=False), Handover(path)
    await recorder.start()
    handover.start()
    handover.report(Note(1, "kind", "first"))
    await recorder.until(lambda there: there.notes)
    with pytest.raises(TimeoutError):
        await handover.settle(0.1)
    given_up = recorder.marks
    safe = asyncio.create_task(handover.settle(20))
    await recorder.until(lambda there: there.marks > given_up)
    await recorder.stop()
    assert not safe.done()
    successor = FakeRecorder(path)
    await successor.start()
    assert await safe == ""
    assert successor.marks == 1
    assert (handover.pending, handover.kept_bytes) == (0, 0)
    await handover.close(1)
    await successor.stop()
