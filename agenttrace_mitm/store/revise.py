"""Rows made anew from what they hold: after new prices, or after a parser has learned.

Works beside a running recorder: reads in batches, writes each batch in a short transaction, and
leaves a row alone that somebody else has changed in between.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError, no_database
from ..model import LlmCall
from ..pricing import read_user_prices, use
from ..pricing.calls import BILLED_KINDS, priced, reported_in
from ..wire.media import put_back
from . import rollups
from .chains import bodies_of, unreadable
from .descriptions import CALL_COLUMNS, STORED_COLUMNS
from .healing import Again, heal
from .opening import BUSY_TIMEOUT_MS, open_database
from .payloads import headers_of
from .rows import call_of, call_values
from .search import index_new
from .transactions import writing

BATCH = 200
NO_MODEL = "(no model)"

_READ = """
select rowid, * from llm_calls
where rowid > :after and started_us >= :since_us and outcome <> 'in_flight'
order by rowid limit :batch
"""
_NOW = "select * from llm_calls where id = ?"


@dataclass(slots=True)
class Difference:
    """What changed for one model, over the calls that changed."""

    provider: str
    model: str
    calls: int = 0
    before_nano_usd: int = 0
    after_nano_usd: int = 0
    newly_priced: int = 0
    no_longer_priced: int = 0


def reprice(
    database: Path, prices: Path, since_us: int = 0, *, dry_run: bool = False
) -> list[Difference]:
    """Price every call anew from its stored usage; what changed, largest difference first.

    *prices* is the user's price file.  With *dry_run* nothing is written.
    """
    use(read_user_prices(prices))
    found: dict[tuple[str, str], Difference] = {}
    with _opened(database) as db:
        for batch in _batches(db, since_us):
            changes = [(call, again) for call in batch if (again := _repriced(call)) != call]
            if not dry_run:
                changes = write(db, changes)
            for call, again in changes:
                _count(found, call, again)
    return sorted(found.values(), key=lambda one: -abs(one.after_nano_usd - one.before_nano_usd))


@dataclass(frozen=True, slots=True)
class StoredWire:
    """What is kept of a call's bytes: decoded bodies, None where withheld; headers as pairs."""

    request_headers: list[list[str]]
    response_headers: list[list[str]]
    request: bytes | None
    response: bytes | None


@dataclass(frozen=True, slots=True)
class Change:
    """A call before and after, and how many rows around it changed, by table."""

    before: LlmCall
    after: LlmCall
    rows: Counter[str]


def revise(
    database: Path,
    since_us: int,
    anew: Callable[[LlmCall, StoredWire], Again],
    *,
    dry_run: bool = False,
) -> Iterator[Change]:
    """Put what *anew* makes of each call and its bytes in its place; what changed.

    With *dry_run* every batch is written and rolled back, so that it tells what would change.
    """
    lengths: dict[str, int] = {}
    with _opened(database) as db:
        for batch in _batches(db, since_us):
            kept = ((call, wire_of(db, call)) for call in batch)
            read = [(call, anew(call, wire)) for call, wire in kept if wire]
            yield from _healed(db, read, lengths, dry_run=dry_run)


def _healed(
    db: sqlite3.Connection,
    read: Sequence[tuple[LlmCall, Again]],
    lengths: dict[str, int],
    *,
    dry_run: bool,
) -> list[Change]:
    """Heal the records of a batch in one transaction; what changed."""
    changes = []
    with writing(db, keep=not dry_run):
        for call, again in read:
            row = db.execute(_NOW, (call.id,)).fetchone()
            if row is None or call_of(row) != call:
                continue  # somebody else was here in between
            after, rows = heal(db, call, again, lengths)
            after = _stored(after)
            if rows or after != call:
                _update(db, call, after)
                changes.append(Change(call, after, rows))
        rollups.recount(db, {one.before.started_us // rollups.HOUR_US for one in changes})
        index_new(db)
    return changes


def wire_of(db: sqlite3.Connection, call: LlmCall) -> StoredWire | None:
    """The bytes of *call*; None where none are kept.  *db* gives rows by name."""
    row = db.execute("select * from payloads where call_id = ?", (call.id,)).fetchone()
    if row is None or (call.status_code == 101 and call.kind == "admin"):
        return None  # of a WebSocket it is the turns that are calls
    bodies = bodies_of(db, call.id)
    return StoredWire(
        headers_of(row["request_headers"]),
        headers_of(row["response_headers"]),
        _whole(db, bodies.request),
        _whole(db, bodies.response),
    )


def _whole(db: sqlite3.Connection, body: bytes | None) -> bytes | None:
    """A stored *body* with its media again."""

    def data_of(sha256: str) -> bytes | None:
        found = db.execute("select data from media where sha256 = ?", (sha256,)).fetchone()
        return found[0] if found else None

    return None if body is None else put_back(body, data_of)


def write(
    db: sqlite3.Connection, changes: list[tuple[LlmCall, LlmCall]]
) -> list[tuple[LlmCall, LlmCall]]:
    """Write *changes* (before, after) in one transaction; those that still applied."""
    if not changes:
        return []
    written = []
    with writing(db):
        for call, again in changes:
            row = db.execute(_NOW, (call.id,)).fetchone()
            if row and call_of(row) == call:
                _update(db, call, again)
                written.append((call, again))
        rollups.recount(db, {call.started_us // rollups.HOUR_US for call, _ in written})
    return written


def rebuild_rollups(database: Path) -> None:
    """Count every call into the rollups again."""
    with _opened(database) as db:
        rollups.rebuild(db)


def problems(database: Path) -> list[str]:
    """What is wrong with the file: SQLite's own checks, and rows that hang in the air."""
    with _opened(database) as db:
        found = [row[0] for row in db.execute("pragma integrity_check(20)") if row[0] != "ok"]
        for row in db.execute("pragma foreign_key_check"):
            found.append(f"a row of {row[0]} names a row of {row[2]} that is not there")
        for name, sql in _CHECKS.items():
            if count := db.execute(sql).fetchone()[0]:
                found.append(f"{count} {name}")
        try:
            db.execute("insert into messages_fts(messages_fts) values ('integrity-check')")
        except sqlite3.DatabaseError:
            found.append("the search index does not agree with the messages")
        found += [f"wire bytes of call {call} cannot be read" for call in unreadable(db)]
    return found


_CHECKS = {
    "calls have a price and a reason for having none": """
        select count(*) from llm_calls
        where cost_nano_usd is not null and unpriced_reason is not null""",
    "calls continue a call that is not there": """
        select count(*) from llm_calls c where continues_call_id is not null
        and not exists (select 1 from llm_calls e where e.id = c.continues_call_id)""",
    "calls count a part of their tokens larger than the whole": """
        select count(*) from llm_calls
        where cache_read_tokens > tokens_in or cache_write_tokens > tokens_in""",
    "hours of the rollups do not agree with their calls": """
        select count(*) from (
            select hour, sum(calls) as n from rollup_hour group by hour
        ) r left join (
            select hour, count(*) as n from llm_calls where outcome <> 'in_flight' group by hour
        ) c using (hour)
        where c.n is not r.n
          and hour >= coalesce((select since_us / 3600000000 from horizon), hour)""",
    "days of what sessions spent do not agree with the rollups": """
        select count(*) from (
            select day from (
                select day, calls from rollup_spend union all
                select day, -calls from rollup_session where kind in ('llm', 'auxiliary')
            ) group by day having sum(calls) <> 0
        )""",
}


@contextlib.contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    if not database.exists():
        raise no_database(database)
    db = open_database(database).conn
    try:
        db.row_factory = sqlite3.Row
        db.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        yield db
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be used ({error})", "Try again") from None
    finally:
        db.close()


def _batches(db: sqlite3.Connection, since_us: int) -> Iterator[list[LlmCall]]:
    after = 0
    while rows := db.execute(
        _READ, {"after": after, "since_us": since_us, "batch": BATCH}
    ).fetchall():
        after = rows[-1]["rowid"]
        yield [call_of(row) for row in rows]


def _repriced(call: LlmCall) -> LlmCall:
    if call.kind not in BILLED_KINDS or call.duplicate_of:
        return call
    return _stored(priced(call, reported_in(call)))


def _stored(call: LlmCall) -> LlmCall:
    """*call* as it would be read back: empty lists and objects are NULL in the database."""
    return call_of(_as_row(call))


def _as_row(call: LlmCall) -> dict[str, object]:
    return dict(zip(CALL_COLUMNS, call_values(call), strict=True))


def _update(db: sqlite3.Connection, call: LlmCall, again: LlmCall) -> None:
    before, after = _as_row(call), _as_row(again)
    changed = [name for name in CALL_COLUMNS if before[name] != after[name]]
    if changed:
        places = ", ".join(f"{STORED_COLUMNS.get(name, name)} = :{name}" for name in changed)
        db.execute(f"update llm_calls set {places} where id = :id", after)


def _count(found: dict[tuple[str, str], Difference], call: LlmCall, again: LlmCall) -> None:
    model = call.response_model or call.model or NO_MODEL
    one = found.setdefault((call.provider, model), Difference(call.provider, model))
    one.calls += 1
    one.before_nano_usd += call.cost_nano_usd or 0
    one.after_nano_usd += again.cost_nano_usd or 0
    one.newly_priced += call.cost_nano_usd is None and again.cost_nano_usd is not None
    one.no_longer_priced += call.cost_nano_usd is not None and again.cost_nano_usd is None
