"""A reply whose middle is not kept: what is told of it is told of the whole one as well."""

import random

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Tail
from agenttrace_mitm.providers import understand
from tests.support.dialects import TWINS

CUTS = 300


def without(exchange, start, end):
    """*exchange*, its reply without the bytes from *start* to *end*."""
    data = exchange.response.data
    gap = data[start:end]
    unquoted = len(gap) - gap.rfind(b'"') - 1
    tail = Tail(data[end:], end, unquoted)
    body = Body(data[:start], len(data), exchange.response.arrivals, tail=tail)
    return replace(exchange, response=body)


def told(reply):
    usage = reply.usage
    return usage.input_tokens, usage.output_tokens, usage.total_tokens, reply.model or None


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_counts_are_those_of_the_whole_reply_or_unknown(twin):
    """Wherever the gap is; and the call had its end."""
    exchange = twin.exchange(streamed=False)
    whole = understand(exchange).reply
    draw = random.Random(twin.dialect)
    size = len(exchange.response.data)
    for _ in range(CUTS):
        start, end = sorted((draw.randrange(1, size), draw.randrange(1, size)))
        reply = understand(without(exchange, start, end)).reply
        assert reply.complete
        assert reply.response_id.encode() in exchange.response.data
        assert all(
            one in (None, other) for one, other in zip(told(reply), told(whole), strict=True)
        )


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_what_is_all_that_is_kept_is_its_beginning(twin):
    """The call had its end all the same: nobody stopped early."""
    for streamed in (False, True):
        exchange = twin.exchange(streamed=streamed)
        data = exchange.response.data
        for size in (1, len(data) // 2, len(data) - 1):
            kept = Body(data[:size], len(data), exchange.response.arrivals)
            reply = understand(replace(exchange, response=kept)).reply
            assert reply.complete
            assert reply.finish_reason != "aborted"
