"""The end of what is too long to be kept, read from the first byte where that is needed."""

import gzip
import random
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from agenttrace_mitm.capture import tails
from agenttrace_mitm.capture.tails import tail_of

JSON = "application/json"
ENCODINGS = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(tails, "TAIL_BYTES", 500)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("seed", range(10))
def test_the_last_bytes_and_where_they_begin(encoding, seed):
    """However the body is coded, and however it was cut."""
    draw = random.Random(seed)
    said = bytes(draw.choice(b'abcdefgh"' if n % 700 < 100 else b"abcdefgh") for n in range(9000))
    coded = ENCODINGS[encoding](said)
    kept = draw.randrange(len(coded) // 2)
    tail = tail_of({"content-type": JSON, "content-encoding": encoding})
    tail.skip(coded[:kept])
    while kept < len(coded):
        end = kept + draw.randrange(1, 300)
        tail.add(coded[kept:end])
        kept = end
    held, unquoted = tail.size, tail.unquoted
    offset, last = tail.take(len(coded))
    assert len(last) >= min(held, 500)
    assert said[offset:] == last
    assert b'"' not in said[offset - tail.unquoted : offset]
    assert tail.unquoted >= unquoted or b'"' in said[offset - 500 : offset]
    assert tail.size == 0


def test_one_long_string_has_no_quote_in_all_that_is_left_out():
    tail = tail_of({"content-type": JSON})
    for _ in range(100):
        tail.add(b"QUJD" * 100)
    offset, last = tail.take(1000 + 40_000)
    assert tail.unquoted == offset - 1000
    assert len(last) < 500 + 400


def test_a_body_that_broke_off_has_no_end():
    coded = gzip.compress(bytes(random.Random(1).choices(b"abc", k=9000)))
    tail = tail_of({"content-type": JSON, "content-encoding": "gzip"})
    tail.add(coded[:-20])
    assert tail.take(len(coded))[1] == b""


BOMBS = ENCODINGS | {
    "br": lambda data: brotli.compress(data, quality=1),
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)),
}


def given_up(coded, encoding, piece=65_536):
    """The most memory that reading the end of *coded* took, in bytes; it has to be in vain."""
    tail = tail_of({"content-type": JSON, "content-encoding": encoding})
    tracemalloc.start()
    try:
        for start in range(0, len(coded), piece):
            tail.add(coded[start : start + piece])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tail.size == 0
    assert tail.take(len(coded))[1] == b""
    return peak


@pytest.mark.parametrize("encoding", [name for name in BOMBS if name])
def test_a_bomb_is_not_let_off(encoding):
    """What came out of the first bytes of it says that it is one."""
    coded = BOMBS[encoding](bytes(80_000_000))
    assert given_up(coded, encoding) < 40_000_000


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name])
def test_of_one_body_only_so_much_is_decoded(encoding, monkeypatch):
    """However well it hides among its like."""
    monkeypatch.setattr(tails, "MOST_DECODED", 2_000_000)
    said = bytes(random.Random(1).choices(b"0123456789,", k=60_000)) * 60
    assert given_up(ENCODINGS[encoding](said), encoding) < 8_000_000


def test_what_a_stack_has_between_its_layers_counts_too():
    """The outer layer goes on long after the inner one came to its end."""
    coded = gzip.compress(gzip.compress(b"{}") + bytes(80_000_000))
    assert given_up(coded, "gzip, gzip") < 40_000_000


def test_large_vectors_have_their_end():
    """Tens of megabytes, once they are decoded."""
    numbers = random.Random(1).choices(b"0123456789,", k=1_000_000)
    said = bytes(numbers) * 60 + b'], "usage": {"total_tokens": 9}}'
    coded = gzip.compress(said, 1)
    tail = tail_of({"content-type": JSON, "content-encoding": "gzip"})
    tail.skip(coded[:9_000_000])
    for start in range(9_000_000, len(coded), 65_536):
        tail.add(coded[start : start + 65_536])
    offset, last = tail.take(len(coded))
    assert last
    assert said[offset:] == last


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "audio/mpeg"},
        {"content-type": JSON, "content-encoding": "secret"},
    ],
)
def test_ends_that_say_nothing_alone_are_not_kept(headers):
    assert tail_of(headers) is None
