"""Gemini over gRPC: the same call as over HTTP, read by field number."""

import struct

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Exchange, Headers
from agenttrace_mitm.providers import understand
from agenttrace_mitm.wire.grpc import GrpcDecoder, fields

SERVICE = "/google.ai.generativelanguage.v1beta.GenerativeService/"


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def pb(*pairs):
    """A protobuf of (number, value): whole numbers, text, bytes."""
    out = b""
    for number, value in pairs:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def framed(*messages):
    return b"".join(b"\x00" + len(m).to_bytes(4, "big") + m for m in messages)


def content(role, *parts):
    return pb(*((1, part) for part in parts), (2, role))


def double(value):
    return varint(2 << 3 | 1) + struct.pack("<d", value)


ARGS = pb(
    (1, pb((1, "city"), (2, pb((3, "Oslo"))))),
    (1, pb((1, "days"), (2, double(3)))),
    (1, pb((1, "tags"), (2, pb((6, pb((1, pb((4, 1))))))))),
)
REQUEST = pb(
    (1, "models/gemini-x"),
    (2, content("user", pb((2, "Weather?")))),
    (8, content("", pb((2, "Be short.")))),
    (5, pb((1, pb((1, "get_weather"))))),
)
FIRST = pb(
    (
        1,
        pb((1, content("model", pb((2, "Let me "))))),
    ),
    (4, "gemini-x-001"),
    (5, "r1"),
)
LAST = pb(
    (
        1,
        pb(
            (1, content("model", pb((2, "see.")), pb((4, pb((1, "get_weather"), (2, ARGS)))))),
            (2, 1),
        ),
    ),
    (3, pb((1, 20), (2, 5), (3, 32), (4, 8), (10, 7), (5, pb((1, 1), (2, 20))))),
)


def exchange(
    method="StreamGenerateContent", body=None, *, until=None, trailers=(("grpc-status", "0"),)
):
    data = framed(FIRST, LAST) if body is None else body
    sent = data[:until]
    return Exchange(
        id="x",
        provider="google",
        host="generativelanguage.googleapis.com",
        method="POST",
        target=SERVICE + method,
        started_us=0,
        ended_us=1,
        request_headers=Headers((("content-type", "application/grpc"),)),
        request=Body.of(framed(REQUEST)),
        status=200,
        response_headers=Headers((("content-type", "application/grpc"),)),
        response=replace(Body.of(sent), complete=len(sent) == len(data)),
        trailers=Headers(tuple(trailers)),
    )


def test_a_stream_is_the_call_that_it_would_be_over_http():
    understood = understand(exchange())
    ask, reply = understood.ask, understood.reply
    assert (understood.dialect, understood.operation) == ("gemini.grpc", "generate_content")
    assert (ask.model, ask.streamed, ask.tool_names) == ("gemini-x", True, ("get_weather",))
    assert [m.role for m in ask.messages] == ["system", "user"]
    assert (reply.text, reply.model, reply.response_id) == ("Let me see.", "gemini-x-001", "r1")
    (call,) = reply.tool_calls
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Oslo","days":3,"tags":[true]}')
    assert reply.finish_reason == "tool_calls"
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (20, 12, 32)
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (8, 7)
    assert reply.complete


def test_a_status_in_the_trailers_is_the_error():
    told = (("grpc-status", "8"), ("grpc-message", "Quota%20exceeded"))
    understood = understand(exchange(body=b"", trailers=told))
    failure = understood.reply.failure
    assert failure
    assert (failure.type, failure.code) == ("RESOURCE_EXHAUSTED", "8")
    assert failure.message == "Quota exceeded"


def test_a_count_counts():
    understood = understand(exchange("CountTokens", framed(pb((1, 31)))))
    assert understood.kind == "count"
    assert understood.reply.usage.detail == {"counted_tokens": 31}


def test_cut_anywhere_it_tells_what_came():
    whole = understand(exchange()).reply.text
    for end in range(len(framed(FIRST, LAST))):
        reply = understand(exchange(until=end, trailers=())).reply
        assert whole.startswith(reply.text)


def test_any_flipped_byte_is_survived():
    data = framed(FIRST, LAST)
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= mask
            understand(exchange(body=bytes(damaged)))


def test_nested_without_end_is_survived():
    value = pb((3, "deep"))
    for _ in range(2_000):
        value = pb((5, pb((1, pb((1, "k"), (2, value))))))
    call = pb((1, "f"), (2, pb((1, pb((1, "k"), (2, value))))))
    body = framed(pb((1, pb((1, content("model", pb((4, call))))))))
    assert understand(exchange(body=body)).reply.tool_calls[0].name == "f"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_frames_come_however_the_network_cut_them(size):
    data = framed(b"one", b"", b"three")
    decoder = GrpcDecoder()
    found = [e for at in range(0, len(data), size) for e in decoder.feed(data[at : at + size])]
    assert [event.data for event in found] == [b"one", b"", b"three"]


def test_fields_end_where_they_cannot_be_read():
    assert [f.number for f in fields(pb((1, 5), (2, "x")) + b"\x1a\xff")] == [1, 2]
