"""What the coverage-guided fuzzer calls: bytes in, an exception where something is wrong.

The first byte chooses the target, the next ones how the rest is cut.  `seeds` are good inputs
to begin with; the test suite runs them too, and so keeps the targets working.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from agenttrace_mitm.model import Arrival, Body
from agenttrace_mitm.providers import understand
from agenttrace_mitm.wire.encodings import plain
from agenttrace_mitm.wire.jsonio import NotJson, decode, encode
from tests.support.dialects import TWINS

from .decoders import stream_decoders

ENCODINGS = ("gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip")
HEAD = 4
SMALL = 20_000


def decoder_target(decoder: Any) -> Callable[[bytes, bytes], None]:
    """Cut or not, the same events."""

    def target(how: bytes, data: bytes) -> None:
        whole, cut = decoder(), decoder()
        events = [*whole.feed(data), *whole.close()]
        pieces = [e for piece in _pieces(how, data) for e in cut.feed(piece)]
        assert [*pieces, *cut.close()] == events

    return target


def encoded(how: bytes, data: bytes) -> None:
    """Nothing escapes, and no more than the limit comes out."""
    at = [how[0] % (len(data) + 1)]
    arrivals = tuple(Arrival(n, end) for n, end in enumerate(at))
    encoding = ENCODINGS[how[1] % len(ENCODINGS)]
    read = plain(Body(data, len(data), arrivals), encoding, limit=SMALL)
    assert read.data is not None
    assert len(read.data) <= max(SMALL, len(data))


def json(how: bytes, data: bytes) -> None:
    """What can be read can be written, and reads the same again."""
    try:
        value = decode(data)
    except NotJson:
        return
    text = encode(value)
    assert text == "" or decode(text.encode()) == value


def reply(how: bytes, data: bytes) -> None:
    """Any body, in answer to any dialect's request."""
    twin = TWINS[how[0] % len(TWINS)]
    exchange = twin.exchange(streamed=how[1] % 2 == 1)
    status = 200 if how[1] < 192 else 400
    body = replace(exchange.response, data=data, size=len(data))
    understand(replace(exchange, response=body, status=status))


def request(how: bytes, data: bytes) -> None:
    """Any request of any dialect."""
    twin = TWINS[how[0] % len(TWINS)]
    understand(replace(twin.exchange(streamed=False), request=Body.of(data)))


TARGETS: tuple[Callable[[bytes, bytes], None], ...] = (
    *(decoder_target(decoder) for decoder in stream_decoders()),
    encoded,
    json,
    reply,
    request,
)


def run(data: bytes) -> None:
    """One input of the fuzzer."""
    if len(data) > HEAD:
        TARGETS[data[0] % len(TARGETS)](data[1:HEAD], data[HEAD:])


def seeds() -> Iterator[bytes]:
    """Every good body, for every target that takes bodies."""
    import brotli
    import zstandard

    packed = [brotli.compress(b"a" * 99), zstandard.ZstdCompressor().compress(b"a" * 99)]
    for n, target in enumerate(TARGETS):
        for m, twin in enumerate(TWINS):
            for streamed, body in enumerate((twin.whole, b"".join(twin.stream))):
                if target is not encoded:
                    yield bytes((n, m, streamed, 7)) + body
        for m, body in enumerate(packed):
            yield bytes((n, 3, m + 2, 0)) + body


def _pieces(how: bytes, data: bytes) -> Iterator[bytes]:
    """*data* in pieces whose sizes *how* tells."""
    sizes = [1 + size for size in how]
    bounds, at, n = [0], 0, 0
    while at < len(data):
        at = min(len(data), at + sizes[n % len(sizes)])
        bounds.append(at)
        n += 1
    yield from (data[start:end] for start, end in pairwise(bounds))
