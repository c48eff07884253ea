"""Which calls are attempts of one operation: SDKs send a request again after some failures.

Exchanges come in as they end.  A retry is told by the SDK's own count, by an idempotency key, or
by the same request from the same caller soon after a failure worth a retry.  Memory only: after
a restart of the recorder a retry begins an operation of its own.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection

import msgspec

from ..model import Caller, Exchange, Outcome

SOON_US = 120_000_000  # SDKs wait 8 s at most, a Retry-After says up to a minute
COUNTED_US = 600_000_000
REMEMBERED = 2_000
_RETRYABLE = frozenset({408, 409, 425, 429})


class Attempt(msgspec.Struct, frozen=True):
    """A call's place in its operation: the id of the first attempt, and 1, 2, 3."""

    operation_id: str
    number: int


class _Failed(msgspec.Struct, frozen=True):
    """An attempt that may be made again."""

    attempt: Attempt
    where: str
    caller: Caller
    digest: bytes
    size: int
    ended_us: int
    cancelled: bool


class Attempts:
    """Remembers failed attempts until their retries come."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._placed: OrderedDict[str, Attempt] = OrderedDict()

    def place(self, exchange: Exchange, outcome: Outcome, told: int) -> Attempt:
        """The operation of *exchange*, which ended with *outcome*; *told* is the SDK's number.

        An exchange that comes again has the place that it had.
        """
        if placed := self._placed.get(exchange.id):
            return placed
        where = _where(exchange)
        earlier = self._earlier(exchange, where, told)
        if earlier is None:
            attempt = Attempt(exchange.id, told)
        else:
            number = max(told, earlier.attempt.number + 1)
            attempt = Attempt(earlier.attempt.operation_id, number)
        if _worth_a_retry(exchange, outcome):
            self._failed[exchange.id] = _Failed(
                attempt,
                where,
                exchange.caller,
                _digest(exchange),
                exchange.request.size,
                exchange.ended_us,
                outcome == "cancelled",
            )
        self._placed[exchange.id] = attempt
        for remembered in (self._failed, self._placed):
            while len(remembered) > REMEMBERED:
                remembered.popitem(last=False)
        return attempt

    def lose(self, call_ids: Collection[str]) -> None:
        """These calls are no more: what they tried is not tried again, but for the first time."""
        for id_, failed in list(self._failed.items()):
            if id_ in call_ids or failed.attempt.operation_id in call_ids:
                del self._failed[id_]

    def _earlier(self, exchange: Exchange, where: str, told: int) -> _Failed | None:
        """The failure that *exchange* tries again, which then is no longer waiting for one."""
        started = exchange.started_us
        counted = told > 1
        alike = [
            (id_, failed)
            for id_, failed in self._failed.items()
            if failed.where == where
            and _is_same(failed.caller, exchange.caller)
            and 0 <= started - failed.ended_us <= (COUNTED_US if counted else SOON_US)
            and (not counted or failed.attempt.number < told)
            # Who cancels and asks the same again has not retried, unless the SDK says so.
            and (counted or not failed.cancelled)
        ]
        if not alike:
            return None
        digest = _digest(exchange)
        same = [pair for pair in alike if pair[1].digest == digest]
        if counted and not same:
            # Multipart bodies have another boundary each time, of the same length.
            same = [pair for pair in alike if pair[1].size == exchange.request.size]
        if not same:
            return None

        def rank(pair: tuple[str, _Failed]) -> tuple[bool, bool]:
            failed = pair[1]
            return failed.attempt.number == told - 1, failed.caller.address == caller.address

        # Equal requests run side by side: the one whose number comes just before is meant, then
        # the one on this connection, then the first.
        caller = exchange.caller
        id_, failed = max(same, key=rank)
        del self._failed[id_]
        return failed


def _worth_a_retry(exchange: Exchange, outcome: Outcome) -> bool:
    if outcome == "ok":
        return False
    status = exchange.status or 0
    return not 400 <= status < 500 or status in _RETRYABLE


def _where(exchange: Exchange) -> str:
    """As whom a request was made, and where."""
    caller = exchange.caller
    names = (caller.agent, caller.session, exchange.request_headers.get("user-agent"))
    return "\n".join((*names, exchange.method, exchange.host, exchange.target))


def _is_same(one: Caller, other: Caller) -> bool:
    """True for one process; where that of a short call was not found, for one address."""
    if one.pid is not None and other.pid is not None:
        return one.pid == other.pid
    return one.address.rpartition(":")[0] == other.address.rpartition(":")[0]


def _digest(exchange: Exchange) -> bytes:
    key = exchange.request_headers.get("idempotency-key")
    data = f"key {key}".encode("utf-8", "replace") if key else b"body " + exchange.request.data
    return hashlib.blake2b(data, digest_size=16).digest()
