"""Bodies that repeat an earlier call's, stored as the difference to them.

A client resends its conversation with every call, and replies look like one another.  So the
bodies of a call are compressed against those of the call that it continues, or else of the last
one of its kind: the same place, program and model.  That makes chains, and their rules are these:

- `payloads.stored_after` names the row that has to be read first, always an older one;
- a chain is cut at `LONGEST`, so that reading one back stays quick: what comes next is stored
  after the first of the chain, which has instructions and tools already, or alone;
- a frame rests on what the earlier bodies say, not on how they are stored: any row may be made to
  stand alone, and those after it stay as they are;
- before a row goes, or says something else, those right after it are made to stand alone;
- a streamed reply stands alone: of a stream, what is new are the pieces of a text, and side by side
  in a frame they would spell a secret that was not to be seen in the stream.
"""

import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..model import LlmCall
from .payloads import depth_of, pack, pack_after, unpack

LONGEST = 25
"""Calls in a chain."""

SMALLEST_REQUEST = 1_000
SMALLEST_RESPONSE = 200
LARGEST = 4 * 1024 * 1024
"""Bytes of a body that takes part: less gains little, more takes long to read back."""

ROOM = 32 * 1024 * 1024
MOST_KINDS = 1_000
MOST_AT_ONCE = 32
WORTH = 0.2
WORTH_OF_BEGINNING = 0.3
WORTH_OF_SHORT_REPLY = 0.5
"""A difference that is a larger part of the body is no use: alone it is hardly larger."""

SHORT = 16 * 1024

_CHAIN = f"""
with recursive chain (request, response, after, step) as (
    select {{request}}, response_body, stored_after, 0 from payloads where {{which}} = ?
    union all
    select {{p_request}}, p.response_body, p.stored_after, chain.step + 1
    from chain join payloads p on p.id = chain.after
    where chain.step <= {LONGEST}
)
select request, response, after from chain order by step desc
"""
_BOTH = {"request": "request_body", "p_request": "p.request_body"}
_OF_CALL = _CHAIN.format(which="call_id", **_BOTH)
_OF_ROW = _CHAIN.format(which="id", **_BOTH)
_REPLY_OF_CALL = _CHAIN.format(which="call_id", request="null", p_request="null")
_FIRST = """
with recursive chain (id, call_id, after) as (
    select id, call_id, stored_after from payloads where call_id = ?
    union all
    select p.id, p.call_id, p.stored_after from chain join payloads p on p.id = chain.after
)
select id, call_id from chain where after is null
"""
_AFTER = "select id from payloads where stored_after = ? limit ?"
_HEAD = """
select id, substr(request_body, 1, 2), substr(response_body, 1, 2) from payloads where call_id = ?
"""


class Bodies(NamedTuple):
    """The decoded, redacted bodies of a call; None where one is not kept."""

    request: bytes | None = None
    response: bytes | None = None

    @property
    def before_request(self) -> bytes:
        """What the next request is compressed against: it repeats this one, and the reply."""
        return _fitting(self.request) + _fitting(self.response)

    @property
    def before_response(self) -> bytes:
        """What the next reply is compressed against."""
        return _fitting(self.response)

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.request or b"") + len(self.response or b"")


class Stored(NamedTuple):
    """Bodies as they are written, and the row that has to be read first."""

    request: bytes | None
    response: bytes | None
    after: int | None = None


class Ahead(NamedTuple):
    """How a row is stored once it stands alone; until now it is stored after the row *before*."""

    row: int
    before: int
    bodies: Stored


_NOTHING = Bodies()


def bodies_of(db: sqlite3.Connection, call_id: str) -> Bodies:
    """What the call *call_id* sent and got.  Raises `ValueError` when it cannot be read."""
    return _read(db.execute(_OF_CALL, (call_id,)).fetchall())


def request_of(db: sqlite3.Connection, call_id: str) -> bytes | None:
    """What the call sent, None where that is not kept.  Raises `ValueError` as `bodies_of`."""
    return bodies_of(db, call_id).request


def response_of(db: sqlite3.Connection, call_id: str) -> bytes | None:
    """What the call got, None where that is not kept.  Raises `ValueError` as `bodies_of`."""
    return _read(db.execute(_REPLY_OF_CALL, (call_id,)).fetchall()).response


def _read(chain: Sequence[tuple[bytes | None, bytes | None, int | None]]) -> Bodies:
    """The last bodies of *chain*, which begins with those to be read first."""
    if chain and chain[0][2] is not None:
        raise ValueError("the payload that this one is stored after has gone")
    bodies = _NOTHING
    for request, response, _ in chain:
        bodies = _unpacked(request, response, bodies)
    return bodies


def _unpacked(request: bytes | None, response: bytes | None, before: Bodies) -> Bodies:
    return Bodies(unpack(request, before.before_request), unpack(response, before.before_response))


def _fitting(body: bytes | None) -> bytes:
    return body if body is not None and len(body) <= LARGEST else b""


class Recent:
    """The writer's memory of the bodies of the latest calls, at most *room* bytes of them.

    What it remembers must be what the database holds: `forget` after a transaction that failed.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._size = 0
        self._bodies: OrderedDict[str, Bodies] = OrderedDict()
        self._latest: OrderedDict[tuple[str | None, ...], str] = OrderedDict()

    def get(self, call_id: str) -> Bodies | None:
        """The call's bodies, None when they are not remembered."""
        return self._bodies.get(call_id)

    def latest(self, call: LlmCall) -> str | None:
        """The last call of the same kind."""
        return self._latest.get(_kind(call))

    def remember(self, call: LlmCall, bodies: Bodies, instead_of: str | None) -> None:
        """Keep *bodies*; those that they are stored after are seldom asked for again."""
        if instead_of:
            self._drop(instead_of)
        self._drop(call.id)
        self._bodies[call.id] = bodies
        self._size += bodies.size
        while self._size > self._room:
            self._drop(next(iter(self._bodies)))
        self._latest[_kind(call)] = call.id
        self._latest.move_to_end(_kind(call))
        while len(self._latest) > MOST_KINDS:
            self._latest.popitem(last=False)

    def forget(self) -> None:
        """Trust nothing of it any more."""
        self._size = 0
        self._bodies.clear()
        self._latest.clear()

    def _drop(self, call_id: str) -> None:
        self._size -= self._bodies.pop(call_id, _NOTHING).size


def _kind(call: LlmCall) -> tuple[str | None, ...]:
    return call.host, call.path, call.model, call.user_agent


def stored(db: sqlite3.Connection, call: LlmCall, bodies: Bodies, recent: Recent) -> Stored:
    """How to store the *bodies* of a *call* that has no row yet; it will be the newest one."""
    for earlier in dict.fromkeys((call.continues_call_id, recent.latest(call))):
        if earlier and (found := _after(db, earlier, call, bodies, recent)):
            recent.remember(call, bodies, instead_of=earlier)
            return found
    recent.remember(call, bodies, instead_of=None)
    return _after_first(db, call, bodies) or alone(bodies)


def _after_first(db: sqlite3.Connection, call: LlmCall, bodies: Bodies) -> Stored | None:
    """*bodies* after the first of the chain that *call* goes on with; None where that is no use."""
    asked = bodies.request
    if not asked or not SMALLEST_REQUEST <= len(asked) <= LARGEST:
        return None
    first = db.execute(_FIRST, (call.continues_call_id,)).fetchone()
    if first is None or first[1] == call.continues_call_id:
        return None
    try:
        before = bodies_of(db, first[1]).before_request
    except ValueError:  # damaged: nothing new shall rest on it
        return None
    # The count to the next cut begins anew: there is one more to read, and no more than one.
    request = before and _useful(pack_after(asked, before, 0), WORTH_OF_BEGINNING * len(asked))
    return Stored(request, pack(bodies.response), first[0]) if request else None


def alone(bodies: Bodies) -> Stored:
    """*bodies* readable without any other."""
    return Stored(pack(bodies.request), pack(bodies.response))


def _after(
    db: sqlite3.Connection, earlier: str, call: LlmCall, bodies: Bodies, recent: Recent
) -> Stored | None:
    """*bodies* as the difference to those of *earlier*; None where that is no use."""
    head = db.execute(_HEAD, (earlier,)).fetchone()
    if head is None or (depth := max(map(depth_of, head[1:])) + 1) >= LONGEST:
        return None
    try:
        before = recent.get(earlier) or bodies_of(db, earlier)
    except ValueError:  # damaged: nothing new shall rest on it
        return None
    request = response = None
    asked, answered = bodies
    if asked and before.before_request and SMALLEST_REQUEST <= len(asked) <= LARGEST:
        request = _useful(pack_after(asked, before.before_request, depth), WORTH * len(asked))
    if answered and before.before_response and _takes_part(call, answered):
        worth = WORTH_OF_SHORT_REPLY if len(answered) <= SHORT else WORTH
        response = _useful(
            pack_after(answered, before.before_response, depth), worth * len(answered)
        )
    if request is None and response is None:
        return None
    return Stored(request or pack(asked), response or pack(answered), head[0])


def _takes_part(call: LlmCall, response: bytes) -> bool:
    """True for one JSON object; a stream, lines and Gemini's array of chunks are none."""
    is_whole = not call.streamed and response[:1] == b"{" and b"}\n{" not in response
    return is_whole and SMALLEST_RESPONSE <= len(response) <= LARGEST


def _useful(packed: bytes, limit: float) -> bytes | None:
    return packed if len(packed) <= limit else None


def release(db: sqlite3.Connection, rows: Iterable[int], limit: int = -1) -> int:
    """Make the rows right after *rows* stand alone, those among *rows* excepted; how many.

    No more than *limit*: with that many, some may be left.
    """
    going = set(rows)
    after = {found for row in going for (found,) in db.execute(_AFTER, (row, limit))} - going
    if limit >= 0:
        after = set(sorted(after)[:limit])
    for row in after:
        _stand_alone(db, row)
    return len(after)


def read_ahead(db: sqlite3.Connection, call_id: str) -> int:
    """Read what `release` would, were the call's row to go; how many rows would stand alone."""
    sql = "select a.id from payloads p join payloads a on a.stored_after = p.id where p.call_id = ?"
    after = db.execute(sql, (call_id,)).fetchall()
    for row in after:
        db.execute(_OF_ROW, row).fetchall()
    return len(after)


def made_ahead(db: sqlite3.Connection, rows: Iterable[int], limit: int = -1) -> list[Ahead]:
    """What `release` would store, no more than *limit*, made before anybody has to wait for it."""
    going = set(rows)
    after = [(next_, row) for row in going for (next_,) in db.execute(_AFTER, (row, limit))]
    found = [pair for pair in after if pair[0] not in going]
    made = []
    for row, before in found[:limit] if limit >= 0 else found:
        with contextlib.suppress(ValueError):  # damaged: `release` sees to it
            made.append(Ahead(row, before, alone(_read(db.execute(_OF_ROW, (row,)).fetchall()))))
    return made


def put_ahead(db: sqlite3.Connection, made: Iterable[Ahead]) -> int:
    """Store what `made_ahead` gave, where it still is stored after the same row; how many."""
    return db.executemany(
        "update payloads set request_body = ?, response_body = ?, stored_after = null"
        " where id = ? and stored_after = ?",
        [(one.bodies.request, one.bodies.response, one.row, one.before) for one in made],
    ).rowcount


def _stand_alone(db: sqlite3.Connection, row: int) -> None:
    try:
        bodies = _read(db.execute(_OF_ROW, (row,)).fetchall())
    except ValueError:
        # It could not be read before either, `db verify` says so; it must not hold others back.
        db.execute("update payloads set stored_after = null where id = ?", (row,))
        return
    replace(db, row, bodies)


def replace(db: sqlite3.Connection, row: int, bodies: Bodies) -> None:
    """Let *row* hold *bodies*, standing alone."""
    db.execute(
        "update payloads set request_body = ?, response_body = ?, stored_after = ? where id = ?",
        (*alone(bodies), row),
    )


def unreadable(db: sqlite3.Connection) -> Iterator[str]:
    """Calls of which a stored body cannot be read back, in the order they were written."""
    said: OrderedDict[int, Bodies] = OrderedDict()  # what the next rows are likely to rest on
    rows = db.execute(
        "select id, call_id, request_body, response_body, stored_after from payloads order by id"
    )
    for row, call_id, request, response, after in rows:
        try:
            before = _NOTHING
            if after is not None:
                near = after in said
                before = (
                    said.pop(after) if near else _read(db.execute(_OF_ROW, (after,)).fetchall())
                )
            bodies = _unpacked(request, response, before)
        except ValueError:
            yield call_id
            continue
        if bodies.size <= LARGEST:
            said[row] = bodies
        while len(said) > MOST_AT_ONCE:
            said.popitem(last=False)
