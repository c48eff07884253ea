"""Recorded streams to cut, and decoders that are fed in pieces.

How much is tried: a sample with a fixed seed, or everything where AGENTTRACE_PROPERTIES=full.
"""

import os
import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from agenttrace_mitm.providers import understand, understanding
from tests import corpus_cases as corpus

FULL = os.environ.get("AGENTTRACE_PROPERTIES") == "full"
SMALLEST = 50

type Sized = tuple[corpus.Record, str]


@cache
def streams() -> tuple[Sized, ...]:
    """Every recorded stream that was answered, with its dialect, small ones first."""
    found = [
        (record, understand(corpus.exchange(record)).dialect)
        for record in corpus.records()
        if record["streamed"] and record["status"] == 200
    ]
    return tuple(sorted(found, key=lambda one: len(corpus.response_bytes(one[0]))))


@cache
def smallest() -> tuple[Sized, ...]:
    """The smallest streams in equal parts of every dialect, `SMALLEST` in all."""
    by_dialect: dict[str, list[Sized]] = {}
    for one in streams():
        by_dialect.setdefault(one[1], []).append(one)
    chosen: list[Sized] = []
    rank = 0
    while len(chosen) < min(SMALLEST, len(streams())):
        chosen += [of[rank] for of in by_dialect.values() if rank < len(of)]
        rank += 1
    return tuple(chosen[:SMALLEST])


def sample(dice: random.Random, population: Sequence[Any], wanted: int) -> list[Any]:
    """All of *population* in a full run, else *wanted* of it."""
    if FULL or len(population) <= wanted:
        return list(population)
    return sorted(dice.sample(population, wanted))


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """*data* cut before each of the *cuts*."""
    bounds = [0, *sorted(c for c in set(cuts) if 0 < c < len(data)), len(data)]
    yield from (data[start:end] for start, end in pairwise(bounds))


class Cutter:
    """Makes every stream decoder of `understand` take its input in pieces; `fed` counts them."""

    def __init__(self, monkeypatch: Any) -> None:
        self.cuts: Sequence[int] = ()
        self.fed = 0
        for framing, decoder in list(understanding._DECODERS.items()):
            monkeypatch.setitem(understanding._DECODERS, framing, self._cutting(decoder))

    def _cutting(self, decoder: Any) -> Any:
        def feed(self_: Any, chunk: bytes) -> list[Any]:
            cut = list(pieces(chunk, self.cuts))
            self.fed += len(cut)
            return [event for piece in cut for event in decoder.feed(self_, piece)]

        return type(f"Cut{decoder.__name__}", (decoder,), {"feed": feed})
