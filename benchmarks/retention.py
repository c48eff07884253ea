"""Retention over months of calls, with somebody else writing all the time.

A made-up history (10,000 calls a day) loses content older than 30 days and calls older than 60; a
year, `--calls 3650000`, those older than 270.  Then it loses the oldest until it is a twentieth
smaller.

First a recorder's own writer takes a row twenty times a second, alone and beside its retention:
how long each takes until it is written.  Then another process adds a row every few milliseconds,
asks for the lock every millisecond, and tells how long it waited: once without retention, which is
what the machine costs, once with.  Like the recorder it leaves SQLite's log to retention.  After
it: the sums of the rollups as before, no limit exceeded, the file whole.
"""

import contextlib
import multiprocessing
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from agenttrace_mitm.store import Event, Keeping, Relink, Spool, Writer, open_database
from agenttrace_mitm.store.keeping import DAY_US, bytes_used
from agenttrace_mitm.store.pace import Pace

from . import bulk
from .report import Row, quantile

A_DAY = 10_000
CONTENT_DAYS = 30
METADATA_DAYS, OF_A_YEAR = 60, 270
_PACES = ("content_pace", "calls_pace", "vacuum_pace", "merge_pace")
PAUSE_S = 0.002
"""Between steps; the recorder leaves 50 ms."""
ALONE_S = 10.0
RECORDER_S = 30.0
BETWEEN_ROWS_S = 0.05
WARM_UP = 20
"""Rows until the file is open, and what each needs is in memory."""
BLOCKED_MS = "<= 100"
LOG_MB = "<= 200"

_SUMS = (
    "select count(*), sum(calls), sum(cost_nano_usd), sum(tokens_in), sum(tokens_out) from rollup_"
)


def run(calls: int, cache: Path | None) -> list[Row]:
    """Figures of letting go, from a history of *calls*."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=cache) as name:
        file = Path(name) / "data.db"
        shutil.copy(_history(cache or Path(name), calls, rows), file)
        rows += _of_recorder(file)
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


def _of_recorder(file: Path) -> list[Row]:
    rows = []
    keepings = {"alone": Keeping(), "beside retention": Keeping(days=CONTENT_DAYS)}
    for name, keeping in keepings.items():
        took = _written(file, keeping)[WARM_UP:]
        p99 = quantile(took, 0.99)
        rows.append(Row(f"a row of the recorder {name}, p99, ms", p99, "", min(took), max(took)))
    return [*rows, Row("the longest of these, ms", max(took), BLOCKED_MS)]


def _written(file: Path, keeping: Keeping) -> list[float]:
    """How long a row takes until it is written, ms, while what is not in *keeping* goes."""
    took: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        writer = Writer(file, Spool(Path(name)), lambda ids: None, keeping=keeping)
        writer.start()
        last = time.perf_counter() + RECORDER_S
        while (began := time.perf_counter()) < last:
            written = Relink(())  # tells when its batch is
            writer.put(Event("bench", "x", 0))
            writer.put(written, hurry=True)
            written.done.wait()
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(BETWEEN_ROWS_S)
        writer.stop()
    return took


@dataclass
class _Watched(Pace):
    """A pace that remembers how long the lock was held, ms."""

    held: list[float] = field(default_factory=list)

    def took(self, seconds: float) -> None:
        self.held.append(seconds * 1000)
        super().took(seconds)


@dataclass
class _Run:
    """Steps of retention: their processor time and how long they held the lock, ms."""

    db: sqlite3.Connection
    now_us: int
    took: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    def all(self, **limits: int) -> float:
        """Take all steps that there are for *limits*; seconds of processor time."""
        paces = [_Watched(*_room(made)) for made in _PACES]
        keeping = Keeping(**limits, **dict(zip(_PACES, paces, strict=True)))
        first = len(self.took)
        while self._step(keeping):
            time.sleep(PAUSE_S)
        self.held += [held for pace in paces for held in pace.held]
        return sum(self.took[first:]) / 1000

    def _step(self, keeping: Keeping) -> bool:
        began = time.thread_time()
        something = keeping.step(self.db, self.now_us)
        self.took.append((time.thread_time() - began) * 1000)
        return something


def _measured(db: sqlite3.Connection, file: Path) -> list[Row]:
    first_us, now_us = db.execute(
        "select min(started_us), max(started_us) from llm_calls"
    ).fetchone()
    days = OF_A_YEAR if now_us - first_us > OF_A_YEAR * DAY_US else METADATA_DAYS
    old_us = now_us // DAY_US * DAY_US - days * DAY_US, now_us - CONTENT_DAYS * DAY_US
    old_calls = _calls(db, old_us[0]), _calls(db, old_us[1])
    sums, size = _sums(db), bytes_used(db)
    with _other_writer(file) as told:
        time.sleep(ALONE_S)
    alone = told[0]
    steps = _Run(db, now_us)
    began = time.perf_counter()
    with _other_writer(file) as told:
        content_s = steps.all(days=CONTENT_DAYS)
        calls_s = steps.all(metadata_days=days)
        by_age = bytes_used(db)
        limit = by_age * 19 // 20
        steps.all(max_bytes=limit)
    waited = told[0]
    spent = time.perf_counter() - began
    log_bytes = file.with_name(file.name + "-wal").stat().st_size  # it never gets shorter
    db.execute("pragma wal_checkpoint(truncate)")
    whole = db.execute("pragma integrity_check").fetchone()[0] == "ok"
    payloads = (
        "select count(*) from payloads where call_id < (select min(id) from llm_calls"
        " where started_us >= ?)"
    )
    left = _calls(db, old_us[0]) + db.execute(payloads, old_us[1:]).fetchone()[0]
    sums_changed = sum(_sums(db)[name] != sums[name] for name in sums)
    took, held = steps.took, steps.held
    return [
        Row("retention, s", spent),
        Row("steps", len(took)),
        Row("content of a call, ms of processor time", content_s * 1000 / max(old_calls[1], 1)),
        Row("a call that goes, ms of processor time", calls_s * 1000 / max(old_calls[0], 1)),
        Row("a step, ms of processor time", quantile(took, 0.5), "", min(took), max(took)),
        Row("the lock was held, ms", quantile(held, 0.5), "", min(held), quantile(held, 0.99)),
        Row("the lock was held longest, ms", max(held), BLOCKED_MS),
        Row("another writer alone: longest wait, ms", max(alone)),
        Row("another writer: wait of one in 1,000, ms", quantile(waited, 0.999), BLOCKED_MS),
        Row("another writer: longest wait, ms", max(waited), BLOCKED_MS),
        Row("waits of over 100 ms", sum(wait > 100 for wait in waited)),
        Row("rows that it added", len(waited)),
        Row("the log at its longest, MB", log_bytes / 1e6, LOG_MB),
        Row("file before, MB", size / 1e6),
        Row("file after, by age, MB", by_age / 1e6),
        Row("file after, by size, over the limit", bytes_used(db) / limit, "<= 1"),
        Row("calls and payloads left that are too old", left, "== 0"),
        Row("sums of rollups that changed", sums_changed, "== 0"),
        Row("integrity_check says ok", float(whole), "== 1"),
    ]


def _room(name: str) -> tuple[int, int, int]:
    made = getattr(Keeping(), name)
    return made.room, made.least, made.most


def _calls(db: sqlite3.Connection, before_us: int) -> int:
    sql = "select count(*) from llm_calls where started_us < ?"
    return int(db.execute(sql, (before_us,)).fetchone()[0])


def _sums(db: sqlite3.Connection) -> dict[str, tuple[int, ...]]:
    return {name: db.execute(_SUMS + name).fetchone() for name in ("hour", "day", "model")}


@contextlib.contextmanager
def _other_writer(file: Path) -> Iterator[list[list[float]]]:
    """A process that writes meanwhile; the list that is given holds its waits, in ms, after."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_write, args=(file, there))
    process.start()
    there.close()  # so that its end is noticed here
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
    db.execute("pragma wal_autocheckpoint = 0")  # as `Writer` does while its `Keeper` is at work
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
