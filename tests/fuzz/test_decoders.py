"""Every decoder of `wire/` takes any bytes, in any pieces: same events, no exception."""

import gzip
import zlib
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.model import Arrival, Body
from agenttrace_mitm.wire.encodings import content_decoder, plain
from tests.support.dialects import TWINS

from .decoders import stream_decoders
from .test_adapters import fuzzed

WIRE = [twin.whole for twin in TWINS] + [b"".join(twin.stream) for twin in TWINS]
FRAMING = [
    b"data: ",
    b"event: x",
    b":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
]
FRAMING += [b"\\", b",", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\x00\x00\x00\x05", b"\x01", b"[DONE]"]

anything = (
    st.binary(max_size=200)
    | st.lists(st.sampled_from(FRAMING) | st.binary(max_size=6), max_size=40).map(b"".join)
    | st.sampled_from(WIRE)
)
cuts = st.lists(st.integers(0, 300), max_size=12)


def in_pieces(data, at):
    bounds = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize("decoder", stream_decoders(), ids=lambda decoder: decoder.__name__)
@given(data=anything, at=cuts)
@fuzzed
def test_any_bytes_in_any_pieces_are_the_same_events(decoder, data, at):
    whole, cut = decoder(), decoder()
    events = [*whole.feed(data), *whole.close()]
    pieces = [event for piece in in_pieces(data, at) for event in cut.feed(piece)]
    assert [*pieces, *cut.close()] == events


PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("encoding", PACK)
@given(data=st.data())
@fuzzed
def test_any_bytes_may_claim_to_be_encoded(encoding, data):
    """Not encoded at all, damaged, cut, in any pieces: what is decodable comes out."""
    good = PACK[encoding](data.draw(anything))
    damage = data.draw(st.integers(0, max(0, len(good) - 1)))
    body = data.draw(
        st.sampled_from((good, good[:damage], good[:damage] + b"\xff" + good[damage + 1 :]))
        | st.binary(max_size=100)
    )
    at = [end for end in data.draw(cuts) if end <= len(body)]
    arrivals = tuple(Arrival(n, end) for n, end in enumerate(sorted(at)))
    for names in (encoding, f"{encoding}, gzip", f"gzip, {encoding}"):
        read = plain(Body(body, len(body), arrivals), names, limit=10_000)
        assert read.data is not None
        assert len(read.arrivals) in (len(arrivals), 0)


@pytest.mark.parametrize("encoding", PACK)
@given(data=anything, at=cuts)
@fuzzed
def test_encoded_bodies_come_back_whole_however_they_were_cut(encoding, data, at):
    decoder = content_decoder(encoding)
    out = b"".join(decoder.feed(piece) for piece in in_pieces(PACK[encoding](data), at))
    assert out + decoder.close() == data
    assert decoder.problem == ""
