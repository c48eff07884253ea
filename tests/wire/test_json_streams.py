"""JSON lines and JSON arrays that come in pieces."""

import json

import pytest

from agenttrace_mitm.wire.jsonarray import JsonArrayDecoder
from agenttrace_mitm.wire.ndjson import NdjsonDecoder

VALUES = [
    {"text": 'brackets }]{[ and "quotes" \\ and \\" more', "n": [1, [2, {"x": []}]]},
    {"text": "\u00e9\u4e2d\U0001f600 \\u0041", "empty": {}},
    {"": "", "end": "\\"},
]
ARRAY = b"[" + b"\n,\r\n".join(json.dumps(value, indent=1).encode() for value in VALUES) + b"\n]\n"
LINES = b"\n\n".join(json.dumps(value).encode() for value in VALUES) + b"\r\n"


@pytest.mark.parametrize(
    ("decoder_type", "stream"),
    [(JsonArrayDecoder, ARRAY), (NdjsonDecoder, LINES)],
    ids=["array", "lines"],
)
class TestFraming:
    def test_two_pieces_cut_anywhere_tell_the_same_values(self, decoder_type, stream):
        for cut in range(len(stream) + 1):
            decoder = decoder_type()
            events = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:]), *decoder.close()]
            assert [json.loads(event.data) for event in events] == VALUES, cut

    def test_byte_by_byte_tells_the_same_values_and_where_they_ended(self, decoder_type, stream):
        slow, fast = decoder_type(), decoder_type()
        events = [e for n in range(len(stream)) for e in slow.feed(stream[n : n + 1])]
        assert events == fast.feed(stream)
        assert [json.loads(event.data) for event in events] == VALUES
        assert slow.close() == fast.close() == []

    def test_a_cut_stream_gives_what_was_pending(self, decoder_type, stream):
        for end in range(len(stream)):
            decoder = decoder_type()
            whole = decoder.feed(stream[:end])
            assert [json.loads(event.data) for event in whole] == VALUES[: len(whole)]
            assert len(decoder.close()) <= 1


def test_a_lone_object_is_one_element():
    assert [e.data for e in JsonArrayDecoder().feed(b'{"error": {"code": 429}}')] == [
        b'{"error": {"code": 429}}'
    ]


def test_elements_that_are_no_objects_are_passed_over():
    assert [e.data for e in JsonArrayDecoder().feed(b'["a{", 1, {"b": 2}]')] == [b'{"b": 2}']


def test_a_long_string_in_many_pieces_takes_linear_time():
    decoder = JsonArrayDecoder()
    decoder.feed(b'[{"data": "')
    for _ in range(2000):
        assert decoder.feed(b"A" * 8192) == []
    assert len(decoder.feed(b'"}]')) == 1
