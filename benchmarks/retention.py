"""Retention over months of calls, with somebody else writing all the time.

A made-up history (10,000 calls a day) loses content older than 30 days and calls older than 60.
Another process adds a row every few milliseconds meanwhile, asks for the lock every millisecond,
and tells how long it waited: once without retention, which is what the machine costs, once with.
After it: the sums of the rollups as before, no limit exceeded, the file whole.
"""

import contextlib
import multiprocessing
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from agenttrace_mitm.store import Keeping, open_database
from agenttrace_mitm.store.keeping import DAY_US, bytes_used

from . import bulk
from .report import Row, quantile

A_DAY = 10_000
KEPT = Keeping(days=30, metadata_days=60)
PAUSE_S = 0.002
"""Between steps; the recorder leaves 50 ms."""
ALONE_S = 10.0
BLOCKED_MS = "<= 100"

_SUMS = (
    "select count(*), sum(calls), sum(cost_nano_usd), sum(tokens_in), sum(tokens_out) from rollup_"
)


def run(calls: int, cache: Path | None) -> list[Row]:
    """Figures of letting go, from a history of *calls*."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=cache) as name:
        file = Path(name) / "data.db"
        shutil.copy(_history(cache or Path(name), calls, rows), file)
        with contextlib.closing(open_database(file).conn) as db:
            rows += _measured(db, file)
    return rows


def _history(folder: Path, calls: int, rows: list[Row]) -> Path:
    """The database of *calls* in *folder*, made unless it is there."""
    file = folder / f"retention-{calls}.db"
    if not file.exists():
        began = time.perf_counter()
        made = file.with_suffix(".part")
        bulk.build(made, calls, days=calls // A_DAY)
        made.rename(file)
        rows.append(Row(f"making {calls:,} calls, s", time.perf_counter() - began))
    return file


def _measured(db: sqlite3.Connection, file: Path) -> list[Row]:
    now_us = int(db.execute("select max(started_us) from llm_calls").fetchone()[0])
    sums, size = _sums(db), bytes_used(db)
    with _other_writer(file) as told:
        time.sleep(ALONE_S)
    alone = told[0]
    took: list[float] = []
    began = time.perf_counter()
    with _other_writer(file) as told:
        while _step(db, KEPT, now_us, took):
            time.sleep(PAUSE_S)
        by_age = bytes_used(db)
        smaller = Keeping(max_bytes=by_age * 9 // 10)
        while _step(db, smaller, now_us, took):
            time.sleep(PAUSE_S)
    waited = told[0]
    spent = time.perf_counter() - began
    db.execute("pragma wal_checkpoint(truncate)")
    whole = db.execute("pragma integrity_check").fetchone()[0] == "ok"
    left = db.execute(
        "select (select count(*) from llm_calls where started_us < ?),"
        " (select count(*) from payloads where call_id < (select min(id) from llm_calls"
        "  where started_us >= ?))",
        (now_us // DAY_US * DAY_US - 60 * DAY_US, now_us - 30 * DAY_US),
    ).fetchone()
    sums_changed = sum(_sums(db)[name] != sums[name] for name in sums)
    return [
        Row("retention, s", spent),
        Row("steps", len(took)),
        Row("processor time of a step, ms", quantile(took, 0.5), "", took[0], quantile(took, 0.99)),
        Row("processor time of the longest step, ms", max(took), BLOCKED_MS),
        Row("another writer alone: longest wait, ms", max(alone)),
        Row("another writer: wait of one in 1,000, ms", quantile(waited, 0.999), BLOCKED_MS),
        Row("another writer: longest wait, ms", max(waited), BLOCKED_MS),
        Row("rows that it added", len(waited)),
        Row("file before, MB", size / 1e6),
        Row("file after, by age, MB", by_age / 1e6),
        Row("file after, by size, over the limit", bytes_used(db) / smaller.max_bytes, "<= 1"),
        Row("calls and payloads left that are too old", sum(left), "== 0"),
        Row("sums of rollups that changed", sums_changed, "== 0"),
        Row("integrity_check says ok", float(whole), "== 1"),
    ]  # fmt: skip


def _step(db: sqlite3.Connection, keeping: Keeping, now_us: int, took: list[float]) -> bool:
    began = time.thread_time()
    something = keeping.step(db, now_us)
    took.append((time.thread_time() - began) * 1000)
    return something


def _sums(db: sqlite3.Connection) -> dict[str, tuple[int, ...]]:
    return {name: db.execute(_SUMS + name).fetchone() for name in ("hour", "day", "model")}


@contextlib.contextmanager
def _other_writer(file: Path) -> Iterator[list[list[float]]]:
    """A process that writes meanwhile; the list that is given holds its waits, in ms, after."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_write, args=(file, there))
    process.start()
    told: list[list[float]] = []
    here.recv()
    try:
        yield told
    finally:
        here.send("enough")
        told.append(here.recv())
        process.join()


def _write(file: Path, there: Connection) -> None:
    db = sqlite3.connect(file, timeout=0, isolation_level=None)
    db.execute("pragma synchronous = normal")
    waited: list[float] = []
    there.send("ready")
    while not there.poll(0.005):
        began = time.perf_counter()
        while not _got_lock(db):
            time.sleep(0.001)
        waited.append((time.perf_counter() - began) * 1000)
        db.execute("insert into recorder_events (at_us, kind, detail) values (0, 'bench', 'x')")
        db.execute("commit")
    db.close()
    there.send(waited)


def _got_lock(db: sqlite3.Connection) -> bool:
    try:
        db.execute("begin immediate")
    except sqlite3.OperationalError:
        return False
    return True
