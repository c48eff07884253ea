"""Bodies as they were meant: without their content encoding, closed around what is not kept.

Comes in: a body and what its headers say of it.  Goes out: its bytes, and when each piece had come.
"""

from typing import NamedTuple

from ..model import Arrival, Body, Headers
from .decoders import DEFAULT_LIMIT, StackDecoder, content_decoder
from .gaps import closed

_SMALL_STEP = 64
# How JSON and server-sent events begin: what does needs no decoding, whatever the header says.
_PLAIN_STARTS = (b"{", b"[", b"data:", b"event:", b"id:", b"retry:", b":")


class Plain(NamedTuple):
    """A body without its content encoding.

    `data` is None when it could not be decoded at all.  `arrivals` are those of the body, with
    lengths in decoded bytes.
    """

    data: bytes | None
    arrivals: tuple[Arrival, ...] = ()
    notes: tuple[str, ...] = ()


def content_of(body: Body, headers: Headers) -> Plain:
    """What *body* says, with *headers*; of one whose middle is not kept what is whole in the rest.

    That is a body of the same kind again, so that who reads it needs to know of no gap.
    """
    found = plain(body, headers.get("content-encoding"))
    if found.data is None or body.size <= len(body.data):
        return found
    tail = body.tail
    data = closed(
        found.data,
        tail.data if tail else b"",
        tail.offset if tail else body.size,
        tail.unquoted if tail else 0,
        content_type=headers.get("content-type"),
        is_whole=body.complete,
    )
    return found if data is None else Plain(data, found.arrivals)


def plain(body: Body, encoding: str, limit: int = DEFAULT_LIMIT) -> Plain:
    """*body* without the content encoding that its headers name."""
    if not encoding or not body.data:
        return Plain(body.data, body.arrivals)
    decoder = content_decoder(encoding, limit)
    if decoder is None:
        return Plain(None, (), ("content-encoding: unknown",))
    data, arrivals = _decode_as_it_came(decoder, body)
    if decoder.problem == "corrupt":
        if not data and body.data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_PLAIN_STARTS):
            # Gateways and recorders decode a body and leave the header behind.
            return Plain(body.data, body.arrivals, ("content-encoding: not applied",))
        # zlib keeps nothing of the piece that was damaged: in small pieces that is little.
        data, arrivals = _decode_as_it_came(
            content_decoder(encoding, limit) or decoder, body, _SMALL_STEP
        )
    problem = decoder.problem
    return Plain(data, arrivals, (f"content-encoding: {problem}",) if problem else ())


def _decode_as_it_came(
    decoder: StackDecoder, body: Body, step: int | None = None
) -> tuple[bytes, tuple[Arrival, ...]]:
    out = bytearray()
    arrivals: list[Arrival] = []
    start = 0
    for at_us, end in (*body.arrivals, (None, len(body.data))):
        for begin in range(start, end, step or max(1, end - start)):
            out += decoder.feed(body.data[begin : min(end, begin + step) if step else end])
        start = max(start, end)
        if at_us is not None:
            arrivals.append(Arrival(at_us, len(out)))
    out += decoder.close()
    return bytes(out), tuple(arrivals)
