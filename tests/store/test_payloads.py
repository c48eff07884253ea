"""Stored bodies come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.store.payloads import pack, unpack


@given(st.binary(max_size=2_000))
def test_what_was_packed_is_unpacked(body: bytes) -> None:
    """Any bytes, small or large."""
    assert unpack(pack(body)) == body


def test_repetitive_bodies_shrink() -> None:
    """Which is the point of it."""
    body = b'{"role": "user", "content": "hello"}' * 500
    packed = pack(body)
    assert packed
    assert len(packed) < len(body) / 20


def test_no_body_stays_none_and_unknown_forms_are_refused() -> None:
    """A file written by a later version is not guessed at."""
    assert pack(None) is None
    assert unpack(None) is None
    with pytest.raises(ValueError, match="unknown payload form"):
        unpack(b"\x09abc")
