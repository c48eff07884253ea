"""AWS event streams: frames with checksums, cut anywhere, damaged anyhow."""

import zlib

import pytest

from agenttrace_mitm.wire.eventstream import (
    BAD_CHECKSUM,
    CUT,
    NO_FRAME,
    EventStreamDecoder,
)


def frame(payload, **headers):
    """A frame as AWS makes them, with text headers (`event_type` is `:event-type`)."""
    head = b""
    for key, value in headers.items():
        name = f":{key.replace('_', '-')}".encode()
        head += bytes([len(name)]) + name + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
    start = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    body = start + zlib.crc32(start).to_bytes(4, "big") + head + payload
    return body + zlib.crc32(body).to_bytes(4, "big")


TWO = frame(b'{"a":1}', event_type="chunk", content_type="x") + frame(
    b"{}", message_type="exception", exception_type="throttlingException"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_however_the_network_cut_them(size):
    decoder = EventStreamDecoder()
    events = [e for at in range(0, len(TWO), size) for e in decoder.feed(TWO[at : at + size])]
    assert [(e.name, e.data) for e in events] == [
        ("chunk", b'{"a":1}'),
        ("throttlingException", b"{}"),
    ]
    assert events[-1].end == len(TWO)
    assert decoder.close() == []
    assert decoder.notes == []


@pytest.mark.parametrize("at", [9, 30, -1])
def test_a_wrong_checksum_is_told_and_the_event_is_still_there(at):
    damaged = bytearray(frame(b'{"a":1}', event_type="chunk"))
    damaged[at] ^= 1
    decoder = EventStreamDecoder()
    assert len(decoder.feed(bytes(damaged) + TWO)) == 3
    assert decoder.notes == [BAD_CHECKSUM]


def test_a_frame_that_is_cut_is_told():
    decoder = EventStreamDecoder()
    assert decoder.feed(TWO[:-3])
    assert decoder.close() == []
    assert decoder.notes == [CUT]


@pytest.mark.parametrize("junk", [b"\x00" * 40, b"\xff" * 40, b"<html>not a stream at all</html>"])
def test_what_is_no_frame_ends_the_reading(junk):
    decoder = EventStreamDecoder()
    assert decoder.feed(junk) == []
    assert decoder.feed(TWO) == []
    assert decoder.notes == [NO_FRAME]


def test_any_flipped_byte_is_survived():
    for at in range(len(TWO)):
        damaged = bytearray(TWO)
        damaged[at] ^= 0x55
        decoder = EventStreamDecoder()
        decoder.feed(bytes(damaged))
        decoder.close()
        assert decoder.notes, at
