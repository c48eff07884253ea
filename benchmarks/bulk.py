"""A large database, quickly: the store's own statements, many records at a time.

The rows and rollups are those that the writer would make of the same records, which
`tests/store/test_bulk.py` compares.  Secondary indexes are made at the end, the search index in
large bites, and bodies stand alone.
"""

import itertools
import multiprocessing
import sqlite3
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from agenttrace_mitm import clock
from agenttrace_mitm.model import Record, StoredToolCall, StoredToolResult
from agenttrace_mitm.store import (
    chains,
    merging,
    open_database,
    places,
    prompts,
    rollups,
    rows,
    search,
)
from agenttrace_mitm.store.pace import Pace

from .history import History

BITE = 5_000
LARGE_MERGE = 1_000
"""Pages of the search index that are merged at once: nobody waits."""
DAYS = 90

type Prepared = list[tuple[str, list[Any]]]

_PLACES = (
    ("session", places.INSERT_SESSION),
    ("trace", places.INSERT_TRACE),
    ("thread", places.INSERT_THREAD),
)


def build(path: Path, calls: int, days: int = DAYS, end_us: int | None = None) -> None:
    """Make the database at *path*, its last call just before *end_us* (now)."""
    given = calls, days, clock.now_us() if end_us is None else end_us
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    # Making history up takes as long as writing it: one processor for each.
    author = context.Process(target=_make_up, args=(there, *given))
    author.start()
    there.close()
    try:
        _load(path, iter(here.recv, None))
    finally:
        here.close()
        author.join()


def load(path: Path, records: Iterable[Record]) -> None:
    """Write *records*, in order of time, to the new database at *path*."""
    _load(path, map(_prepared, itertools.batched(records, BITE)))


def _make_up(there: Connection, calls: int, days: int, end_us: int) -> None:
    for bite in itertools.batched(History(calls, days, end_us).records(), BITE):
        there.send(_prepared(bite))
    there.send(None)


def _load(path: Path, bites: Iterable[Prepared]) -> None:
    db = open_database(path).conn
    try:
        db.execute("pragma synchronous = off")
        db.execute("pragma cache_size = -400000")
        indexes, pace = _drop_indexes(db), Pace(*[LARGE_MERGE] * 3)
        for bite in bites:
            db.execute("begin immediate")
            for sql, values in bite:
                db.executemany(sql, values)
            search.index_new(db)
            db.execute("commit")
            while merging.merge_some(db, pace, large=True):
                pass
        for sql in indexes:
            db.execute(sql)
        rollups.rebuild(db)
        db.execute("pragma wal_checkpoint(truncate)")
    finally:
        db.close()


def _drop_indexes(db: sqlite3.Connection) -> list[str]:
    """Indexes that only queries need are cheaper made at the end; gives their SQL."""
    found = db.execute(
        "select name, sql from sqlite_master where type = 'index'"
        " and sql is not null and sql not like '% unique %'"
    ).fetchall()
    for name, _ in found:
        db.execute(f'drop index "{name}"')
    return [sql for _, sql in found]


def _prepared(bite: Sequence[Record]) -> Prepared:
    """Statements with the parameters of all rows of *bite*."""
    said = [(one, message) for one in bite for message in one.messages]
    return [
        (rows.INSERT_CALL, [rows.call_values(one.call) for one in bite]),
        (rows.INSERT_MESSAGE, [rows.message_values(one.call, message) for one, message in said]),
        (rows.INSERT_CALL_MESSAGE, [rows.said_values(one.call, message) for one, message in said]),
        (rows.INSERT_TOOL_CALL, [_tool_call(one, made) for one in bite for made in one.tool_calls]),
        (
            rows.ANSWER_TOOL_CALL,
            [_tool_result(one, answer) for one in bite for answer in one.tool_results],
        ),
        *((sql, _places(bite, name)) for name, sql in _PLACES),
        (places.INSERT_SPAN, [span.__dict__ for one in bite for span in one.placement.spans]),
        (rows.INSERT_PAYLOAD, [_payload(one) for one in bite if one.payload]),
        (prompts.INSERT_PROMPT, [_prompt(one) for one in bite if one.prompt]),
    ]


def _places(bite: Sequence[Record], name: str) -> list[dict[str, Any]]:
    placed = [getattr(one.placement, name) for one in bite]
    return [row.__dict__ for row in placed if row]


def _tool_call(record: Record, made: StoredToolCall) -> dict[str, Any]:
    call = record.call
    json_columns = {
        name: rows.json_text(getattr(made, name)) for name in ("prompts", "calls_inside")
    }
    at_us = call.ended_us or call.started_us
    return made.__dict__ | {"call_id": call.id, "at_us": at_us} | json_columns


def _tool_result(record: Record, answer: StoredToolResult) -> dict[str, Any]:
    return {
        "result": rows.result_text(answer.result), "is_error": answer.is_error,
        "at_us": answer.at_us, "call_id": record.call.id, "of": answer.call_id,
        "position": answer.position, "how": answer.how, "confidence": answer.confidence,
    }  # fmt: skip


def _prompt(record: Record) -> dict[str, Any]:
    assert record.prompt
    return prompts.prompt_values(record.prompt, record.call.started_us, record.call.privacy_tier)


def _payload(record: Record) -> tuple[Any, ...]:
    kept = record.payload
    assert kept
    alone = chains.alone(chains.Bodies(kept.request_body, kept.response_body))
    told = (kept.request_headers, kept.response_headers, kept.arrivals)
    return (record.call.id, *map(rows.json_text, told), *alone)
