"""Stored bodies, headers and arrivals come back as they were."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.store.familiar import HEADERS
from agenttrace_mitm.store.payloads import (
    arrivals_of,
    headers_of,
    pack,
    pack_arrivals,
    pack_headers,
    unpack,
)


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


_PAIRS = st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=20)
_ARRIVALS = st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**40)), max_size=50)


@given(_PAIRS, _ARRIVALS)
def test_headers_and_arrivals_come_back(pairs, arrivals) -> None:
    """Any names and values; any order of times, clocks jump."""
    assert headers_of(pack_headers(pairs)) == [[name, value] for name, value in pairs]
    assert arrivals_of(pack_arrivals(arrivals)) == arrivals


def test_what_older_versions_stored_as_text_is_read() -> None:
    """Files from before are not rewritten."""
    assert headers_of('[["date","today"]]') == [["date", "today"]]
    assert arrivals_of("[[5,10],[9,30]]") == [(5, 10), (9, 30)]


def test_usual_headers_take_little() -> None:
    """What every call says costs next to nothing; what is new in it has to be kept."""
    usual = [
        ("content-type", "application/json"),
        ("server", "cloudflare"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("cf-cache-status", "DYNAMIC"),
    ]
    assert len(pack_headers(usual) or b"") < 60


def test_damaged_headers_are_an_error() -> None:
    """And none that only zstd or msgspec knows."""
    stored = pack_headers([("date", "today")]) or b""
    for damaged in (stored[:-3], stored[:1] + b"x" * 9, b"\x00no"):
        with pytest.raises(ValueError, match="damaged"):
            headers_of(damaged)


def test_the_dictionary_is_the_one_that_files_were_written_with() -> None:
    """Another byte in it, and no header stored so far could be read."""
    assert hashlib.sha256(HEADERS).hexdigest()[:16] == "62974838c578a597"
