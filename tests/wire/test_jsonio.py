"""JSON from strangers: what they send is read, what they mean by it is asked leniently."""

import json

import pytest

from agenttrace_mitm.wire.jsonio import NotJson, Reader, decode, encode


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "\\ud83d"}', {"a": "\ufffd"}),
        (b'{"\\ud83d": ["\\ude00"]}', {"\ufffd": ["\ufffd"]}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": NaN, "b": -Infinity}', {"a": "NaN", "b": "-Infinity"}),
        (b'{"a": 1e999}', {"a": "1e999"}),
        (b'{"a": "tab\there"}', {"a": "tab\there"}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_what_peers_really_send_is_read(data, value):
    got = decode(data)
    assert got == value
    assert decode(encode(got).encode()) == got
    json.dumps(got, allow_nan=False).encode("utf-8")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"<html>", b"{'a': 1}", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000]
)
def test_what_no_reader_could_take_is_one_kind_of_error(data):
    with pytest.raises(NotJson):
        decode(data)


class TestReader:
    def test_absent_is_empty_and_no_surprise(self):
        body = Reader({"usage": None})
        assert body.text("model") == ""
        assert body.count("usage", "input_tokens") is None
        assert body.list("choices") == []
        assert body.flag("stream") is False
        assert body.object("usage").count("x") is None
        assert body.notes == []

    def test_another_shape_is_empty_and_noted_once(self):
        body = Reader({"model": 5, "usage": {"input_tokens": "12"}, "choices": {}, "stream": 1})
        for _ in range(2):
            assert body.text("model") == ""
            assert body.object("usage").count("input_tokens") is None
            assert body.list("choices") == []
            assert body.flag("stream") is False
        assert body.notes == [
            "model: not a string",
            "usage.input_tokens: not a count",
            "choices: not a list",
            "stream: not a boolean",
        ]

    @pytest.mark.parametrize("value", [-1, True, 1.5, 2**64, 2**63 - 1, 10**13, "7", [], "NaN"])
    def test_only_whole_numbers_that_fit_are_counts(self, value):
        body = Reader({"n": value})
        assert body.count("n") is None
        assert body.notes == ["n: not a count"]

    def test_zero_is_a_count_and_floats_may_be_whole(self):
        body = Reader({"a": 0, "b": 7.0})
        assert (body.count("a"), body.count("b")) == (0, 7)

    def test_elements_of_another_shape_are_passed_over(self):
        body = Reader({"choices": [{"index": 0}, 7, {"index": "x"}]})
        assert [choice.count("index") for choice in body.objects("choices")] == [0, None]
        assert body.notes == ["choices: an element is not an object", "choices.index: not a count"]

    def test_what_is_not_an_object_reads_as_an_empty_one(self):
        assert Reader([1, 2]).text("a") == ""
        assert Reader("x").notes == ["body: not an object"]
