"""What conversations take on the disk, against storing every request whole; and reading it back.

A table's pages are counted whole and an empty database's are taken off, which flatters a small
one: metadata is therefore measured on many calls.
"""

import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path

from agenttrace_mitm import clock
from agenttrace_mitm.model import Body, Exchange, Headers
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.store import KnownContent, Spool, Writer, open_database, request_of
from agenttrace_mitm.traces import Fingerprinter

from . import traffic
from .report import Row

CONVERSATIONS = {1: 200, 10: 20, 50: 4}
"""How many conversations of so many turns."""

METADATA_CALLS = 2_000
READ_BACK = {100: 75, 200: 75}
"""KB of history in requests of one long conversation: how many of them."""

CONTENT = ("messages", "payloads")


def run() -> list[Row]:
    """Conversations of each length, in a database of their own."""
    rows = []
    for turns, count in CONVERSATIONS.items():
        rows += _measure(turns, count)
    return rows + [row for size in READ_BACK for row in _reading_back(size)]


def _measure(turns: int, count: int) -> list[Row]:
    talks = [traffic.conversation(turns, seed) for seed in range(count)]
    calls = turns * count
    sent = sum(len(request) for talk in talks for request, _ in talk)
    full = _sizes(talks, 3)
    bare = _sizes(talks, 1)
    bare_calls = METADATA_CALLS // turns * turns
    many = _sizes([traffic.conversation(turns, n) for n in range(bare_calls // turns)], 1)
    content = sum(size for name, size in full.items() if name in CONTENT)
    goals = ("<= 2.5", f">= {15}", f">= {9}") if turns == 50 else ("<= 2.5", "", "")
    what = f"{turns} turns"
    return [
        Row(f"{what}: request KB a call", sent / calls / 1000),
        Row(f"{what}: file KB a call, tier 3", sum(full.values()) / calls / 1000),
        Row(f"{what}: file KB a call, tier 1", sum(bare.values()) / calls / 1000, goals[0]),
        Row(
            f"{what}: the same of {bare_calls:,} calls",
            sum(many.values()) / bare_calls / 1000,
            goals[0],
        ),
        Row(f"{what}: requests / messages and wire bytes", sent / content, goals[1]),
        Row(f"{what}: requests / whole file", sent / sum(full.values()), goals[2]),
    ]


def _reading_back(size: int) -> list[Row]:
    """Milliseconds to read each request of a long conversation, and the slowest of them."""
    bodies = traffic.long_history(READ_BACK[size], size * 1000)
    talk = [(body, traffic.answer(n, "ok")) for n, body in enumerate(bodies)]
    with tempfile.TemporaryDirectory() as name:
        file = _recorded(Path(name) / "long.db", [talk], 3)
        with contextlib.closing(sqlite3.connect(file)) as db:
            ids = [row[0] for row in db.execute("select call_id from payloads")]
            took = sorted(min(_read_ms(db, id_) for _ in range(3)) for id_ in ids)
    what = f"requests of {size} KB: read one back, ms"
    goals = ("<= 1", "<= 5") if size == 100 else ("", "")
    mean = Row(f"{what}, mean", sum(took) / len(took), goals[0])
    return [mean, Row(f"{what}, slowest", took[-1], goals[1])]


def _read_ms(db: sqlite3.Connection, call_id: str) -> float:
    began = time.perf_counter()
    assert request_of(db, call_id)
    return (time.perf_counter() - began) * 1000


def _sizes(talks: "list[list[tuple[bytes, bytes]]]", tier: int) -> dict[str, int]:
    """Bytes of each table, its indexes counted as `indexes`, without the empty database's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = _tables(_recorded(folder / "empty.db", [], tier))
        full = _tables(_recorded(folder / "full.db", talks, tier))
        return {table: size - empty.get(table, 0) for table, size in full.items()}


def _recorded(file: Path, talks: "list[list[tuple[bytes, bytes]]]", tier: int) -> Path:
    known = KnownContent(open_database(file).conn)
    pipeline = Pipeline(tier, Fingerprinter(b"bench" * 8), known)  # type: ignore[arg-type]
    writer = Writer(file, Spool(file.parent / "spool"), lambda ids: None)
    writer.start()
    for talk in talks:
        for request, answer in talk:
            for record in pipeline.records(_exchange(request, answer)):
                writer.put(record)
                known.remember(record)
    writer.stop()
    return file


def _tables(file: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        return dict(
            db.execute(
                """
                select coalesce(m.tbl_name, s.name), sum(s.pgsize) from dbstat as s
                left join sqlite_master as m on m.name = s.name group by 1
                """
            )
        )


def _exchange(request: bytes, answer: bytes) -> Exchange:
    now = clock.now_us()
    headers = Headers((("Content-Type", "application/json"), ("User-Agent", "OpenAI/Python 1.99")))
    return Exchange(
        id=clock.new_id(),
        provider="openai",
        host=traffic.HOST,
        method="POST",
        target=traffic.PATH,
        started_us=now,
        ended_us=now + 1_500_000,
        request_headers=headers,
        request=Body(request, len(request)),
        status=200,
        response_headers=headers,
        response=Body(answer, len(answer)),
        first_byte_us=now + 900_000,
    )
