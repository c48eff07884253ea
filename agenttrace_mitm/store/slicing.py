"""A session, a trace or a call as a database of its own, to hand on.

Goes in: a database and what of it.  Goes out: a file with the same tables, which holds the calls,
what they said, what hangs on them and nothing else.  Whoever makes it says how much: a privacy
tier, and never more than was stored, nor than the calls' own tiers allow: a message or a prompt
that was stored with one call of tier 3 is not told with another of tier 1.  Sums are those of the
calls in it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import StoreError
from ..model import (
    Record,
    StoredCommit,
    StoredEvent,
    StoredMessage,
    StoredPrompt,
    StoredRef,
    StoredSession,
    StoredSpan,
    StoredThread,
    StoredToolCall,
    StoredToolResult,
    StoredTrace,
)
from ..model.row import Row
from ..privacy import Tier, keep
from ..privacy.tiers import KEEPS
from . import rollups
from .chains import alone, bodies_of
from .exporting import make_copy
from .forgetting import first_of
from .opening import open_database
from .rows import INSERT_CALL, call_of, call_values, content_text
from .search import index_new
from .words import own_text

What = Literal["session", "trace", "call"]

_KEYS = {"session": "session_id", "trace": "trace_id", "call": "id"}
_CHOSEN = "(select id from temp.chosen)"
_WHOLE = "(select id from temp.whole)"
_OF = "(select {0} from main.llm_calls where {0} is not null)"
_WHOLLY_KEPT = "(select id from main.llm_calls where privacy_tier = 3)"
_IN_SESSION = f"(call_id in {_CHOSEN} or session_id in {_WHOLE})"
_BY_SESSION = "c.session_id = s.session_id"
_BY_TRACE = "c.trace_id = s.trace_id"

# What a call was sent with, but which an earlier call brought that does not come along.
_HISTORY = f"""
with recursive history (heir, id, below) as (
    select c.id, c.continues_call_id, {first_of("source", "c.id")} from source.llm_calls c
    where c.id in {_CHOSEN} and c.continues_call_id not in {_CHOSEN}
    union
    select history.heir, c.continues_call_id, min(history.below, {first_of("source", "c.id")})
    from history join source.llm_calls c on c.id = history.id
    where c.continues_call_id is not null
)
insert or ignore into main.call_messages (call_id, direction, position, choice, message_id)
select history.heir, 'in', m.position, 0, m.message_id
from history join source.call_messages m on m.call_id = history.id
where m.choice = 0 and m.position < history.below
"""

# Table, the values whose tiers apply to its columns, which rows come along, and on which calls of
# the slice (c) a row (s) hangs.
_HANGING: tuple[tuple[str, tuple[type[Row], ...], str, str], ...] = (
    ("tool_calls", (StoredToolCall, StoredToolResult), f"call_id in {_CHOSEN}", "c.id = s.call_id"),
    ("sessions", (StoredSession,), f"session_id in {_OF.format('session_id')}", _BY_SESSION),
    ("traces", (StoredTrace,), f"trace_id in {_OF.format('trace_id')}", _BY_TRACE),
    ("threads", (StoredThread,), f"thread_id in {_OF.format('thread_id')}",
     "c.thread_id = s.thread_id"),
    ("spans", (StoredSpan,), f"trace_id in {_OF.format('trace_id')} and (call_id is null"
     f" or call_id in {_CHOSEN})", _BY_TRACE),
    ("prompts", (StoredPrompt,), f"prompt_id in {_OF.format('prompt_id')}",
     "c.prompt_id = s.prompt_id"),
    ("commits", (StoredCommit,), _IN_SESSION, _BY_SESSION),
    ("git_refs", (StoredRef,), _IN_SESSION, _BY_SESSION),
    ("events", (StoredEvent,), f"session_id in {_WHOLE}", _BY_SESSION),
)  # fmt: skip
_SMALL_PAGE = 1024
# Each table and index has a page to itself: of a few calls most of a file would be empty.  Beyond
# this many bytes that is little, and long texts are read a third slower from such small pages.
_SMALL_BYTES = 8_000_000
_WITH_WORDS = {"prompts": "tool_sizes"}
"""Columns that are told of a value that is not kept."""


def cut(database: Path, target: Path, what: What, name: str, tier: Tier) -> int:
    """Write the *what* called *name* to the new file *target*; how many calls it has.

    Raises `StoreError`; a file that did not get whole is not left behind.
    """
    make_copy(database, target)
    try:
        with contextlib.closing(open_database(target).conn) as db:
            return _filled(db, database, what, name, tier)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"{database} cannot be read ({error})", "Try again") from error
    except BaseException:  # Ctrl-C as well: half a slice is none
        target.unlink(missing_ok=True)
        raise
    finally:
        for left in ("-wal", "-shm"):
            target.with_name(target.name + left).unlink(missing_ok=True)


def _filled(db: sqlite3.Connection, database: Path, what: What, name: str, tier: Tier) -> int:
    db.row_factory = sqlite3.Row
    db.execute("attach ? as source", (str(database),))
    db.execute("begin")
    db.execute("create temp table chosen (id text primary key)")
    db.execute(
        f"insert into temp.chosen select id from source.llm_calls where {_KEYS[what]} = ?", (name,)
    )
    db.execute("create temp table whole (id text)")  # the session, where all of it is wanted
    if what == "session":
        db.execute("insert into temp.whole values (?)", (name,))
    [[calls]] = db.execute("select count(*) from temp.chosen")
    if not calls:
        raise StoreError(f"There is no {what} {name}", f"See: agenttrace-mitm {_LISTS[what]}")
    _calls(db, tier)
    _messages(db)
    for table, models, where, calls_of in _HANGING:
        _copy(db, table, models, where, calls_of)
    if tier == 3:
        _payloads(db, database)
    rollups.rebuild(db)
    index_new(db)
    db.execute("commit")
    db.execute("detach source")
    # One file, which also opens where nobody may write.
    db.execute("pragma journal_mode = delete")
    [[size]] = db.execute("select page_count * page_size from pragma_page_count, pragma_page_size")
    if size <= _SMALL_BYTES:
        db.execute(f"pragma page_size = {_SMALL_PAGE}")
    db.execute("vacuum")
    return int(calls)


_LISTS = {"session": "sessions list", "trace": "tail", "call": "tail"}


def _calls(db: sqlite3.Connection, tier: Tier) -> None:
    there = f"select * from source.llm_calls where id in {_CHOSEN}"
    for row in db.execute(there).fetchall():
        call = call_of(row)
        least: Tier = min(tier, call.privacy_tier)
        db.execute(INSERT_CALL, call_values(keep(Record(call=call), least).call))
    db.execute(_HISTORY)
    for column in ("continues_call_id", "duplicate_of"):
        db.execute(f"update main.llm_calls set {column} = null where {column} not in {_CHOSEN}")


def _messages(db: sqlite3.Connection) -> None:
    db.execute(
        "insert or ignore into main.call_messages select * from source.call_messages"
        f" where call_id in {_CHOSEN}"
    )
    rows = db.execute(
        "select m.*, u.reach from source.messages m join ("
        "  select message_id, max(c.privacy_tier) as reach"
        "  from main.call_messages join main.llm_calls c on c.id = call_id group by message_id"
        ") u on u.message_id = m.id"
    )
    any_call = call_of(db.execute("select * from main.llm_calls limit 1").fetchone())
    insert = (
        "insert into main.messages"
        " (id, fingerprint, role, content, own_text, size, first_seen_us, privacy_tier)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    for row in rows.fetchall():
        content = None if row["content"] is None else msgspec.json.decode(row["content"])
        whole = StoredMessage(
            fingerprint=row["fingerprint"], position=0, direction="in", role=row["role"],
            content=content, text=row["text"], size=row["size"],
        )  # fmt: skip
        least: Tier = min(row["reach"], row["privacy_tier"] or 1)
        [kept] = keep(Record(call=any_call, messages=(whole,)), least).messages
        own = own_text(kept.content, kept.text)
        values = row["id"], kept.fingerprint, kept.role, content_text(kept.content), own
        db.execute(insert, (*values, kept.size, row["first_seen_us"], least))


def _copy(
    db: sqlite3.Connection, table: str, models: tuple[type[Row], ...], where: str, calls_of: str
) -> None:
    """The rows of *table*, each as far as the highest tier of its calls in the slice reaches."""
    lowest: dict[str, int] = {}
    for model in models:
        lowest |= KEEPS[model]
    if told := _WITH_WORDS.get(table):
        lowest[told] = 2
    info = db.execute(f"pragma main.table_info({table})").fetchall()
    names = [row["name"] for row in info]
    kept = {name: _from(name, lowest.get(name, 1)) for name in names}
    if "privacy_tier" in kept:
        kept["privacy_tier"] = "min(privacy_tier, reach)"
    db.execute(
        f"insert or ignore into main.{table} ({', '.join(names)})"
        f" select {', '.join(kept.values())} from (select s.*, coalesce(("
        f"  select max(c.privacy_tier) from main.llm_calls c where {calls_of}), 1) as reach"
        f"  from source.{table} s where {where}) where reach >= {min(lowest.values())}"
    )


def _from(column: str, least: int) -> str:
    return column if least == 1 else f"case when reach >= {least} then {column} end"


def _payloads(db: sqlite3.Connection, database: Path) -> None:
    """Bytes, each readable by itself; media that are spoken of."""
    with contextlib.closing(sqlite3.connect(database)) as source:
        for call_id, sent, got, arrivals in list(_headers(db)):
            try:
                stored = alone(bodies_of(source, call_id))
            except ValueError:  # damaged: `db verify` says so
                continue
            db.execute(
                "insert into main.payloads (call_id, request_headers, response_headers, arrivals,"
                " request_body, response_body) values (?, ?, ?, ?, ?, ?)",
                (call_id, sent, got, arrivals, stored.request, stored.response),
            )
    db.execute(
        "insert or ignore into main.media select * from source.media d where exists ("
        " select 1 from main.messages m where instr(m.content, d.sha256))"
        f" or first_call_id in {_WHOLLY_KEPT}"
    )


def _headers(db: sqlite3.Connection) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    rows = db.execute(
        "select call_id, request_headers, response_headers, arrivals from source.payloads"
        f" where call_id in {_WHOLLY_KEPT} order by id"
    )
    yield from map(tuple, rows)
