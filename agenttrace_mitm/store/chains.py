"""Requests that repeat an earlier one, stored as the difference to it.

A client resends its conversation with every call.  So a request is compressed against the one it
continues, or else against the last one of its kind: the same instructions and tools.  That makes
chains, and their rules are these:

- `payloads.request_after` names the row that has to be read first, always an older row;
- a chain is cut at `LONGEST`, so that reading one back stays quick;
- a frame rests on what the earlier request said, not on how that is stored: any row may be made to
  stand alone, and those after it stay as they are;
- before a row goes, or says something else, those right after it are made to stand alone.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from ..model import LlmCall
from .payloads import depth_of, pack, pack_after, unpack

LONGEST = 25
"""Requests in a chain."""

SMALLEST = 1_000
LARGEST = 4 * 1024 * 1024
"""Bytes of a request that takes part: less gains nothing, more takes long to read back."""

ROOM = 32 * 1024 * 1024
MOST_AT_ONCE = 32
WORTH = 0.2
"""A difference larger than this part of the request was no use."""

_CHAIN = f"""
with recursive chain (stored, after, step) as (
    select request_body, request_after, 0 from payloads where {{which}}
    union all
    select p.request_body, p.request_after, chain.step + 1
    from chain join payloads p on p.id = chain.after
    where chain.step < {LONGEST}
)
select stored, after from chain order by step desc
"""
_OF_CALL = _CHAIN.format(which="call_id = ?")
_OF_ROW = _CHAIN.format(which="id = ?")
_AFTER = "select id from payloads where request_after = ? limit ?"
_HEAD = """
select id, substr(request_body, 1, 2) from payloads where call_id = ? and request_body is not null
"""


def request_of(db: sqlite3.Connection, call_id: str) -> bytes | None:
    """The request of the call *call_id* as it was stored, None where it is not kept.

    Raises `ValueError` when it cannot be read.
    """
    return _read(db.execute(_OF_CALL, (call_id,)).fetchall())


def _read(chain: list[tuple[bytes | None, int | None]]) -> bytes | None:
    """The last body of *chain*, which begins with the one to be read first."""
    if chain and chain[0][1] is not None:
        raise ValueError("the request that this one is stored after has gone")
    body = None
    for stored, _ in chain:
        body = unpack(stored, body)
    return body


class Requests:
    """The writer's memory of what the latest requests said, at most `ROOM` bytes of it.

    What it remembers must be what the database holds: `forget` after a transaction that failed.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._size = 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._latest: OrderedDict[tuple[str | None, ...], str] = OrderedDict()

    def get(self, call_id: str) -> bytes | None:
        """What the call's request said, None when that is not remembered."""
        return self._bodies.get(call_id)

    def latest(self, call: LlmCall) -> str | None:
        """The last call of the same kind: same place, program and model."""
        return self._latest.get(_kind(call))

    def remember(self, call: LlmCall, body: bytes, instead_of: str | None) -> None:
        """Keep *body*; the one it was stored after is seldom asked for again."""
        if instead_of:
            self._drop(instead_of)
        self._drop(call.id)
        self._bodies[call.id] = body
        self._size += len(body)
        while self._size > self._room:
            self._drop(next(iter(self._bodies)))
        self._latest[_kind(call)] = call.id
        while len(self._latest) > 1_000:
            self._latest.popitem(last=False)

    def forget(self) -> None:
        """Trust nothing of it any more."""
        self._size = 0
        self._bodies.clear()
        self._latest.clear()

    def _drop(self, call_id: str) -> None:
        self._size -= len(self._bodies.pop(call_id, b""))


def _kind(call: LlmCall) -> tuple[str | None, ...]:
    return call.host, call.path, call.model, call.user_agent


def stored_request(
    db: sqlite3.Connection, call: LlmCall, body: bytes | None, requests: Requests
) -> tuple[bytes | None, int | None]:
    """How to store the request *body* of a *call* that has no row yet: its bytes, what it is after.

    The row of this call has to be the newest when it is written.
    """
    if body is None or not SMALLEST <= len(body) <= LARGEST:
        return pack(body), None
    for earlier in dict.fromkeys((call.continues_call_id, requests.latest(call))):
        if earlier and (found := _after(db, earlier, body, requests)):
            requests.remember(call, body, instead_of=earlier)
            return found
    requests.remember(call, body, instead_of=None)
    return pack(body), None


def _after(
    db: sqlite3.Connection, earlier: str, body: bytes, requests: Requests
) -> tuple[bytes, int] | None:
    """*body* as the difference to the request of *earlier*; None where that is no use."""
    head = db.execute(_HEAD, (earlier,)).fetchone()
    if head is None or (depth := depth_of(head[1]) + 1) >= LONGEST:
        return None
    try:
        before = requests.get(earlier) or request_of(db, earlier)
    except ValueError:  # damaged: nothing new shall rest on it
        return None
    if before is None or not SMALLEST <= len(before) <= LARGEST:
        return None
    stored = pack_after(body, before, depth)
    return (stored, head[0]) if len(stored) < WORTH * len(body) else None


def release(db: sqlite3.Connection, rows: Iterable[int], limit: int = -1) -> int:
    """Make the rows right after *rows* stand alone, those among *rows* excepted; how many.

    No more than *limit*: with that many, some may be left.
    """
    going = set(rows)
    after = (found for row in going for (found,) in db.execute(_AFTER, (row, limit)))
    done = 0
    for row in set(after) - going:
        if done == limit:
            break
        _stand_alone(db, row)
        done += 1
    return done


def _stand_alone(db: sqlite3.Connection, row: int) -> None:
    try:
        stored = pack(_read(db.execute(_OF_ROW, (row,)).fetchall()))
    except ValueError:  # it could not be read before either; `db verify` says so
        return
    db.execute(
        "update payloads set request_body = ?, request_after = null where id = ?", (stored, row)
    )


def unreadable(db: sqlite3.Connection) -> Iterator[str]:
    """Calls of which a stored body cannot be read back, in the order they were written."""
    said: OrderedDict[int, bytes] = OrderedDict()  # what the next rows are likely to rest on
    rows = db.execute(
        "select id, call_id, request_body, request_after, response_body from payloads order by id"
    )
    for row, call_id, request, after, response in rows:
        try:
            before = None
            if after is not None:
                before = said.pop(after, None) or _read(db.execute(_OF_ROW, (after,)).fetchall())
            body = unpack(request, before)
            unpack(response)
        except ValueError:
            yield call_id
            continue
        if body is not None and len(body) <= LARGEST:
            said[row] = body
        while len(said) > MOST_AT_ONCE:
            said.popitem(last=False)
