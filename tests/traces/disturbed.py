"""What can go wrong on the way of calls: they end in another order, fail first, come twice.

Each takes exchanges in the order in which they began, and gives them in the order in which they
come.  What is inferred of them must be what it is of the undisturbed.
"""

import random
from collections.abc import Callable

from msgspec.structs import replace

from agenttrace_mitm.model import Body, Exchange, Headers

from .runs import FAILED as FAILED_ID

LATE_US = 20_000_000
FAILED = (
    b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded","code":529,'
    b'"status":"UNAVAILABLE"}}'
)

type Disturbance = Callable[[list[Exchange]], list[Exchange]]


def shuffled(calls: list[Exchange], seed: int = 1) -> list[Exchange]:
    """Any answer may end up to 20 s late: after calls that go on from it, and after theirs.

    An error does not: who tries again has waited for it.
    """
    late = random.Random(seed)
    ended = [
        replace(one, ended_us=one.ended_us + (late.randrange(LATE_US) if one.status == 200 else 0))
        for one in calls
    ]
    return sorted(ended, key=lambda one: (one.ended_us, one.id))


def belated(calls: list[Exchange]) -> list[Exchange]:
    """Every second call is handed over after the one that began next; both ended in order."""
    pairs = zip(calls[1::2], calls[::2], strict=False)
    rest = calls[-1:] if len(calls) % 2 else []
    return [call for pair in pairs for call in pair] + rest


def retried(calls: list[Exchange]) -> list[Exchange]:
    """Every third call that succeeds was tried before, a moment earlier, and failed."""
    sent = []
    for number, one in enumerate(calls):
        if number % 3 == 0 and one.status == 200:
            sent.append(_failed(one))
        sent.append(one)
    return sent


def twice(calls: list[Exchange]) -> list[Exchange]:
    """Each is handed over again, after the next one."""
    again = zip(calls, [*calls[1:], *calls[-1:]], strict=True)
    return [call for one, following in again for call in (one, following, one)]


def _failed(one: Exchange) -> Exchange:
    return replace(
        one,
        id=one.id + FAILED_ID,
        started_us=one.started_us - 400_000,
        first_byte_us=None,
        ended_us=one.started_us - 300_000,
        status=529,
        response_headers=Headers((("content-type", "application/json"),)),
        response=Body.of(FAILED),
    )
