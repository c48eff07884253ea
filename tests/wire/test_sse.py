"""Server-sent events: every way to end a line, and every way for the network to cut them."""

import pytest

from agenttrace_mitm.wire.sse import SseDecoder

STREAM = (
    "\ufeff: keep-alive\n"
    "event: greeting\ndata: h\u00e9llo \U0001f600\n\n"
    "id: 7\nretry: 10\ndata:no space\ndata:  two spaces\n\n"
    "event: nothing\n\n"
    "data\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    ("greeting", "h\u00e9llo \U0001f600".encode()),
    ("", b"no space\n two spaces"),
    ("", b""),
    ("", b"[DONE]"),
]
LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


def told(events):
    return [(event.name, event.data) for event in events]


@pytest.mark.parametrize("line_end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_two_pieces_cut_anywhere_tell_the_same_events(line_end):
    stream = STREAM.replace(b"\n", line_end)
    for cut in range(len(stream) + 1):
        decoder = SseDecoder()
        events = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:]), *decoder.close()]
        assert told(events) == EVENTS, cut


@pytest.mark.parametrize("line_end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_byte_by_byte_tells_the_same_events_and_where_they_ended(line_end):
    stream = STREAM.replace(b"\n", line_end)
    whole, slow = SseDecoder(), SseDecoder()
    fast = [*whole.feed(stream), *whole.close()]
    events = [e for n in range(len(stream)) for e in slow.feed(stream[n : n + 1])]
    events += slow.close()
    assert told(events) == told(fast) == EVENTS
    for one, other in zip(events, fast, strict=True):
        # A CR has already ended the line: whether its LF is counted depends on the cut.
        assert abs(one.end - other.end) <= 1


def test_a_stream_that_ends_without_its_blank_line_still_tells():
    decoder = SseDecoder()
    assert decoder.feed(b'data: {"a": 1}\n') == []
    assert told(decoder.close()) == [("", b'{"a": 1}')]
    assert decoder.close() == []


def test_lines_that_are_no_fields_are_kept_apart():
    decoder = SseDecoder()
    events = decoder.feed(b'data: 1\n\n{\n  "error": {\n    "code": 503\n  }\n}\n\n')
    assert told(events) == [("", b"1")]
    assert b'"code": 503' in decoder.stray


def test_stray_lines_are_bounded():
    decoder = SseDecoder()
    for _ in range(100):
        decoder.feed(b"x" * 10_000 + b"\n")
    assert len(decoder.stray) <= 65_536


def test_an_event_ends_with_its_carriage_return_whenever_the_line_feed_comes():
    whole, cut = SseDecoder(), SseDecoder()
    [event] = whole.feed(b"data: 1\r\n\r\n")
    assert event.end == len(b"data: 1\r\n\r")
    assert [*cut.feed(b"data: 1\r\n\r"), *cut.feed(b"\n")] == [event]
