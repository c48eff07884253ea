"""Latency histograms: how many calls took about how long, in buckets 5 % wide.

One is a number with 32 bits for each bucket, so that histograms are added up with `+`; a month of
them takes a few milliseconds.  Stored, it is the number of the first bucket in use (2 bytes) and
the counts from there on (4 bytes each), all little-endian.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

WIDTH = math.log(1.05)
BITS = 32

type Histogram = int


def bucket_of(latency_ms: float) -> int:
    """The bucket that a latency falls into: `ln(ms) / ln(1.05)`."""
    return int(math.log(max(latency_ms, 1.0)) / WIDTH)


def latency_of(bucket: int) -> float:
    """The milliseconds that stand for a bucket: its middle, off by 2.5 % at most."""
    return math.exp((bucket + 0.5) * WIDTH)


def of(latency_ms: float) -> Histogram:
    """The histogram of a single call."""
    return 1 << BITS * bucket_of(latency_ms)


def pack(histogram: Histogram) -> bytes | None:
    """The stored form; None for no calls."""
    if not histogram:
        return None
    first = _first(histogram)
    counts = histogram >> BITS * first
    size = -(-counts.bit_length() // BITS) * BITS // 8
    return first.to_bytes(2, "little") + counts.to_bytes(size, "little")


def unpack(stored: bytes | None) -> Histogram:
    """The histogram that was packed."""
    if not stored:
        return 0
    whole = int.from_bytes(stored, "little")
    return whole >> 16 << BITS * (whole & 0xFFFF)


def counts(histogram: Histogram) -> Iterator[tuple[int, int]]:
    """Each bucket in use with its count, quickest first."""
    if not histogram:
        return
    first = _first(histogram)
    for number, count in enumerate(_words(histogram >> BITS * first)):
        if count:
            yield first + number, count


def quantiles(histogram: Histogram, *shares: float) -> tuple[float | None, ...]:
    """What at least each of *shares* of the calls do not exceed, in ms; None of no calls."""
    if not histogram:
        return (None,) * len(shares)
    first = _first(histogram)
    reached = list(accumulate(_words(histogram >> BITS * first)))
    return tuple(latency_of(first + bisect_left(reached, share * reached[-1])) for share in shares)


def _first(histogram: Histogram) -> int:
    return ((histogram & -histogram).bit_length() - 1) // BITS


def _words(number: int) -> memoryview:
    size = -(-number.bit_length() // BITS) * BITS // 8
    return memoryview(number.to_bytes(size, "little")).cast("I")
