"""HTTP/3 is turned down in a way that clients understand at once."""

import pytest

from agenttrace_mitm.capture.quic import refusal

FIRST = b"\xc3\x00\x00\x00\x01" + b"\x08destined" + b"\x04from" + b"\x00" * 1180


def test_the_answer_is_a_version_negotiation() -> None:
    """Version zero, both ids the other way round, one version that nobody speaks."""
    reply = refusal(FIRST)
    assert reply
    assert reply[0] & 0x80
    assert reply[1:5] == bytes(4)
    assert reply[5:19] == b"\x04from" + b"\x08destined"
    assert reply[19:] == b"\x1a\x2a\x3a\x4a"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16\x03\x01hello",
        b"\xc3" + bytes(4) + FIRST[5:],  # two such servers would answer each other for ever
        FIRST[:10],
        FIRST[:15],
        b"\xc3\x00\x00\x00\x01\xff",
    ],
    ids=["empty", "TLS", "an answer", "cut ids", "a cut id", "no ids"],
)
def test_nothing_else_is_answered(data: bytes) -> None:
    """What is no first packet of QUIC, or is cut."""
    assert refusal(data) is None
