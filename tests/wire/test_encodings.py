"""Content encodings: whole, in pieces, cut anywhere, stacked, damaged, and too large."""

import gzip
import random
import zlib

import brotli
import pytest
import zstandard

from agenttrace_mitm.model import Arrival, Body
from agenttrace_mitm.wire.encodings import content_decoder, plain

TEXT = b'{"model": "gpt-x", "text": "' + bytes(range(97, 123)) * 40 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


ENCODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "zstd,gzip": lambda data: gzip.compress(zstd(data)),
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_any_cut_decodes_to_the_same(encoding, step):
    coded = ENCODINGS[encoding](TEXT)
    decoder = content_decoder(encoding)
    out = b"".join(decoder.feed(coded[n : n + step]) for n in range(0, len(coded), step))
    assert out + decoder.close() == TEXT
    assert decoder.problem == ""


def test_deflate_may_be_raw():
    assert plain(Body.of(raw_deflate(TEXT)), "deflate").data == TEXT


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "identity"])
def test_a_cut_body_gives_what_was_decodable_and_says_so(encoding):
    coded = ENCODINGS[encoding](TEXT)
    for end in range(1, len(coded)):
        got = plain(Body.of(coded[:end]), encoding)
        assert TEXT.startswith(got.data)
        # The checksum at the very end may be missing without anything else missing.
        assert got.notes == ("content-encoding: cut",), end


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_damage_costs_the_rest_and_is_told(encoding):
    text = random.Random(7).randbytes(40_000).hex().encode()
    coded = bytearray(ENCODINGS[encoding](text))
    coded[len(coded) // 2 :] = b"\x00\xff" * 4000
    got = plain(Body.of(bytes(coded)), encoding)
    assert got.notes in (("content-encoding: corrupt",), ("content-encoding: cut",))
    if encoding in ("gzip", "deflate"):  # the others give nothing before a block is whole
        assert len(got.data) > 10_000
        assert got.data[:10_000] == text[:10_000]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, zstd"])
def test_a_bomb_is_bounded(encoding):
    coded = ENCODINGS.get(encoding, lambda data: zstd(gzip.compress(data)))(bytes(50_000_000))
    assert len(coded) < 60_000
    got = plain(Body.of(coded), encoding, limit=1_000_000)
    assert len(got.data) == 1_000_000
    assert got.notes == ("content-encoding: too large",)


def test_gzip_may_have_several_members_and_rubbish_behind_them():
    coded = gzip.compress(TEXT) + gzip.compress(TEXT) + b"\0\0\0"
    got = plain(Body.of(coded), "gzip")
    assert got.data == TEXT * 2
    assert got.notes == ()


def test_zstd_may_have_several_frames():
    assert plain(Body.of(zstd(TEXT) + zstd(TEXT)), "zstd").data == TEXT * 2


def test_an_unknown_encoding_is_not_decoded():
    got = plain(Body.of(b"x"), "compress")
    assert got.data is None
    assert got.notes == ("content-encoding: unknown",)


def test_a_header_left_behind_by_a_gateway_does_not_hide_the_body():
    got = plain(Body.of(TEXT), "gzip")
    assert got.data == TEXT
    assert got.notes == ("content-encoding: not applied",)


@pytest.mark.parametrize("body", [b": PROCESSING\n\ndata: {}\n\n", b"\n\nid: 1\ndata: {}\n\n"])
def test_such_a_body_may_be_a_stream_that_begins_with_a_comment(body):
    assert plain(Body.of(body), "gzip").data == body


def test_arrivals_are_told_in_decoded_bytes():
    stream = zlib.compressobj(wbits=31)
    pieces = [stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH) for part in (b"abc", b"defg")]
    pieces.append(stream.flush())
    ends = [sum(map(len, pieces[: n + 1])) for n in range(3)]
    body = Body(b"".join(pieces), ends[-1], tuple(Arrival(n, end) for n, end in enumerate(ends)))
    assert plain(body, "gzip").arrivals == (Arrival(0, 3), Arrival(1, 7), Arrival(2, 7))
