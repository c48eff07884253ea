"""The one writer of the database: takes records, commits them in batches, says which are safe.

A store failure costs time, not data: what SQLite cannot take is spooled and replayed once it can,
and what it refuses for the record's own sake is buried with the reason.  Never silent.
"""

import contextlib
import itertools
import logging
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..clock import moment_of, now_us
from ..errors import StoreError
from ..model import Record, StoredCommit, StoredEvent, StoredRef
from ..scheduling import give_way
from .chains import Recent
from .commits import OnBranches, write_commit, write_on_branches, write_ref
from .forgetting import calls_of, delete_calls
from .items import BlindSpot, Event, Gone, Item, Mark, Relink, Removal
from .keeper import Keeper
from .keeping import Keeping
from .merging import a_pace, merge_some
from .opening import BUSY_TIMEOUT_MS, Identity, identity, open_database
from .outages import is_outage, why
from .rows import Batch, json_text
from .spool import Spool, ended
from .transactions import writing
from .waiting import Waiting, weight

log = logging.getLogger(__name__)

BATCH = 100
GATHER_S = 0.02
"""How long a call waits for others to be committed with it: a commit costs more than a row."""

MAX_LATER = 1_000
"""Events and blind spots that wait for the database; the oldest go first."""

RETRY_S = 1.0
"""Between two tries to write a database that took nothing."""

LOCKED_MS = 500
"""For so long a try waits for others' locks, while calls that come wait in memory."""

RETENTION_EVERY_S = 3_600.0
LONG_PAGES = 1_000
"""After a commit that makes the log so long, SQLite brings it home: its own default."""
QUIET_S = 60.0
"""Nothing has come for so long: nobody is kept waiting by what takes longer."""


INSERT_EVENT = f"""
insert into events ({", ".join(StoredEvent.model_fields)})
values ({", ".join(f":{name}" for name in StoredEvent.model_fields)})
on conflict (id) do nothing
"""


EVERYTHING = Keeping()


class Writer:
    """A thread that writes all rows, on a connection of its own.

    *saved* is called, on that thread, with the ids of calls that are committed or spooled.
    What *keeping* does not keep is let go beside it, and *forgotten* is called after, on either
    thread, as it is when a message was found to be missing; *replaced* when the file turned out to
    be another one than before.  *relink* places calls again in its transaction, and says which.
    """

    def __init__(
        self,
        database: Path,
        spool: Spool,
        saved: Callable[[Sequence[str]], None],
        *,
        keeping: Keeping = EVERYTHING,
        forgotten: Callable[[], None] = lambda: None,
        replaced: Callable[[], None] = lambda: None,
        relink: Callable[[sqlite3.Connection, Sequence[str]], list[str]] = lambda db, ids: [],
    ) -> None:
        self._path = database
        self._spool = spool
        self._saved = saved
        self._keeper = Keeper(database, keeping, forgotten)
        self._forgotten = forgotten
        self._replaced = replaced
        self._relink = relink
        self._retention_due = time.monotonic()
        self._busy_at = time.monotonic()
        self._merge_pace = a_pace()
        self._items: Waiting[Item] = Waiting(_weight)
        self._committed_calls = 0
        self._later: deque[Item] = deque(maxlen=MAX_LATER)  # of an outage, besides its records
        self._thread = threading.Thread(target=self._run, name="agenttrace-writer", daemon=True)
        self._recent = Recent()
        self._version = 0
        self._trouble = ""
        self._retry_at = 0.0  # by `time.monotonic`
        self._db: sqlite3.Connection | None = None
        self._file: Identity = None  # the one that is open, whatever its name

    @property
    def database(self) -> Path:
        """The file that it writes."""
        return self._path

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, item: Item, timeout_s: float | None = None, *, hurry: bool = False) -> bool:
        """Hand over *item*; False when the queue stayed full for *timeout_s*.

        Where there is a *hurry*, somebody waits until it is written.
        """
        return self._items.put(item, timeout_s, hurry=hurry)

    def put_all(self, items: Sequence[Item]) -> None:
        """Hand over *items*, which came together; somebody waits until they are written."""
        self._items.put_all(items, hurry=True)

    def figures(self) -> dict[str, float]:
        """How it fares: what was committed, what waits, and for how long."""
        return {
            "committed_calls": self._committed_calls,
            "queued_calls": self._items.count,
            "queued_bytes": self._items.bytes,
            "lag_seconds": max(self._items.lag_s, self._spool.lag_s),
            "spooled_calls": self._spool.calls,
            "spool_bytes": self._spool.bytes,
        }

    @property
    def trouble(self) -> str:
        """Why calls cannot be written now, in words; empty where they can."""
        return self._trouble

    def settle(self, timeout_s: float) -> bool:
        """Wait until *saved* was told of what is queued; False where that takes longer."""
        mark = Mark()
        return self.put(mark, timeout_s, hurry=True) and mark.done.wait(timeout_s)

    def stop(self) -> None:
        """Write what is queued, then end.  Returns when the thread has."""
        self._items.end()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._items.take(BATCH, RETRY_S, GATHER_S)
            # As long as older calls wait in the spool, new ones join them there.
            asked = ended or any(isinstance(item, Relink | Removal) for item in batch)
            if self._replay(now=asked) or not self._spooled(batch):
                later, self._later = list(self._later), deque(maxlen=MAX_LATER)
                self._keep([*later, *batch])
                self._let_go()
                self._merge(came=bool(batch))
            self._items.done(batch)
            for item in batch:
                if isinstance(item, Relink | Removal | Mark):
                    item.done.set()
        self._keeper.halt()
        self._close()

    def _keep(self, batch: list[Item]) -> None:
        """Commit *batch* or spool it; while neither is possible, wait."""
        while batch and not self._committed(batch) and not self._spooled(batch):
            time.sleep(RETRY_S)

    def _committed(self, batch: list[Item]) -> bool:
        """Commit *batch* and tell that it is safe; False when there is an outage."""
        try:
            self._commit(batch)
        except Exception as error:  # the third promise: a store failure never loses a record
            if is_outage(error):
                log.warning("%s cannot be written (%s); calls wait", self._path, error)
                self._give_up(error)
                return False
            self._keep_singly(batch, error)
        else:
            self._tell_saved(batch)
            give_way()
        return True

    def _keep_singly(self, batch: list[Item], error: Exception) -> None:
        """Something in *batch* can never be written: find it, and keep the rest."""
        log.error("a record was refused (%s: %s)", type(error).__name__, error)
        if len(batch) > 1:
            for item in batch:
                self._keep([item])
        elif isinstance(batch[0], Record):
            self._bury(batch[0], f"{type(error).__name__}: {error}")
            self._tell_saved(batch)

    def _bury(self, record: Record, reason: str) -> None:
        while True:
            try:
                return self._spool.bury(record, reason)
            except OSError as trouble:
                log.error("the dead letters cannot be written (%s)", trouble)
                time.sleep(RETRY_S)

    def _spooled(self, batch: list[Item]) -> bool:
        """Spool *batch* and tell that it is safe; False when the disk does not take it either."""
        records = [item for item in batch if isinstance(item, Record)]
        stripped = 0
        try:
            if records:
                stripped = self._spool.add(records)
        except OSError as trouble:
            log.error("the spool cannot be written (%s); calls wait in memory", trouble)
            return False
        waited_for = Record | Relink | Removal | Mark
        self._later += [item for item in batch if not isinstance(item, waited_for)]
        if stripped:
            log.error("the spool is full: calls are kept without what was said")
            detail = f"the spool was full: {stripped} calls were kept without what was said"
            self._later.append(Event("content_dropped", detail, now_us()))
            self._forgotten()
        self._tell_saved(records)
        return True

    def _tell_saved(self, batch: Sequence[Item]) -> None:
        ids = [item.call.id for item in batch if isinstance(item, Record)]
        ids += [item.id for item in batch if isinstance(item, StoredEvent)]
        if ids:
            self._saved(ids)

    def _commit(self, batch: Sequence[Item]) -> None:
        self._commit_here(batch)
        while identity(self._path) != self._file:
            # Somebody moved the file away or put another in its place: this batch went with it.
            log.warning("%s was replaced; going on in the new file", self._path)
            self._part()
            self._replaced()
            detail = "the database file was removed or replaced while recording"
            self._commit_here([*batch, Event("database_replaced", detail, now_us())])
        if self._trouble:
            self._trouble = ""
            self._connection().execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        self._committed_calls += sum(1 for item in batch if _is_ended(item))

    def _commit_here(self, batch: Sequence[Item]) -> None:
        db = self._connection()
        # Most of the log is the keeper's then, who brings it home: nobody waits for that.
        pages = 0 if self._keeper.at_work else LONG_PAGES
        db.execute(f"pragma wal_autocheckpoint = {pages}")
        removed: list[tuple[Removal, Gone]] = []
        try:
            with writing(db):
                self._notice_others(db)
                records = Batch(db, self._recent)
                for item in batch:
                    _write(db, item, records)
                    give_way()
                records.finish()
                give_way()
                for item in batch:
                    if isinstance(item, Relink):
                        self._place_again(db, item)
                    elif isinstance(item, Removal):
                        removed.append((item, self._remove(db, item)))
        except BaseException:
            self._recent.forget()  # it may hold what now is not there
            raise
        give_way()
        for removal, gone in removed:
            removal.gone[:] = [gone]
        if records.missed:
            self._forgotten()

    def _remove(self, db: sqlite3.Connection, item: Removal) -> Gone:
        calls = calls_of(db, "trace", item.trace_id)
        rows = delete_calls(db, "trace", item.trace_id)
        self._recent.forget()
        return Gone(tuple(calls), rows)

    def _place_again(self, db: sqlite3.Connection, item: Relink) -> None:
        """Where that fails, calls stay where they are: `traces rebuild` finds their place."""
        db.execute("savepoint relink")
        try:
            item.placed[:] = self._relink(db, item.call_ids)
        except Exception as error:  # the second promise: it costs an edge, never a row
            if is_outage(error) or "pytest" in sys.modules:
                raise
            log.exception("%s were not placed again", item.call_ids)
            db.execute("rollback to relink")
        db.execute("release relink")

    def _notice_others(self, db: sqlite3.Connection) -> None:
        """Trust no memory of stored bodies once another process has written."""
        (version,) = db.execute("pragma data_version").fetchone()
        if version != self._version:
            self._version = version
            self._recent.forget()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = open_database(self._path).conn
            self._file = identity(self._path)
            if self._trouble:
                self._db.execute(f"pragma busy_timeout = {LOCKED_MS}")
        return self._db

    def _part(self) -> None:
        """Close a file that has lost its name.

        Its log of late changes has not: SQLite would apply it to whatever has the name now.
        """
        self._keeper.halt()
        with contextlib.suppress(sqlite3.Error):
            self._connection().execute("pragma wal_checkpoint(truncate)")
        self._close()

    def _close(self) -> None:
        """Begin anew with the next batch."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
            self._recent.forget()

    def _give_up(self, error: Exception) -> None:
        """Let calls wait for a while: *error* keeps them from the database."""
        self._trouble = why(error, self._path)
        self._retry_at = time.monotonic() + RETRY_S
        self._close()

    def _replay(self, *, now: bool) -> bool:
        """Bring what was spooled home, oldest first; False when the database does not take it.

        So soon after it took nothing it is asked only where it has to be *now*.
        """
        waiting = self._spool.waiting()
        if waiting and not now and time.monotonic() < self._retry_at:
            return False
        for file in waiting:
            try:
                for records in _growing(self._spool.read(file)):
                    self._bring_home(records)
                    self._spool.brought_home(file, ended(records))
                if calls := self._spool.home(file):
                    waited_s = max(0, now_us() - moment_of(file.stem)) // 1_000_000
                    detail = f"{calls} calls had waited in the spool, the first for {waited_s} s"
                    self._commit([Event("spool_replayed", detail, now_us())])
            except (sqlite3.Error, StoreError, OSError) as error:
                log.warning("the spool waits (%s)", error)
                self._give_up(error)
                with contextlib.suppress(OSError):
                    self._spool.count()
                return False
            self._spool.done(file)
        return True

    def _bring_home(self, records: list[Record]) -> None:
        try:
            self._commit(records)
        except Exception as error:  # as in `_keep`
            if is_outage(error):
                raise
            self._keep_singly(list(records), error)

    def _let_go(self) -> None:
        """Every hour until nothing is left to do, beside this thread."""
        if time.monotonic() < self._retention_due:
            return
        self._retention_due = time.monotonic() + RETENTION_EVERY_S
        try:
            self._connection()
        except (sqlite3.Error, StoreError) as error:
            log.warning("old content stays for now (%s)", error)
        else:
            self._keeper.begin(self._file)

    def _merge(self, *, came: bool) -> None:
        """Make the pieces of the search index fewer, after each batch; large ones in quiet."""
        if came:
            self._busy_at = time.monotonic()
        if self._db is None:
            return
        try:
            quiet = time.monotonic() - self._busy_at > QUIET_S
            merge_some(self._db, self._merge_pace, large=quiet)
        except sqlite3.Error as error:
            log.warning("the search index stays in pieces for now (%s)", error)


def _growing(records: Iterator[Record]) -> Iterator[list[Record]]:
    """*records* in batches of 1, 2, 4: where there is no room, few are enough to find that out."""
    size = 1
    while batch := list(itertools.islice(records, size)):
        yield batch
        size = min(2 * size, BATCH)


def _is_ended(item: Item) -> bool:
    return isinstance(item, Record) and item.call.outcome != "in_flight"


def _weight(item: Item) -> int:
    return weight(item) if isinstance(item, Record) else 0


def _write(db: sqlite3.Connection, item: Item, records: Batch) -> None:
    match item:
        case Record():
            records.write(item)
        case Relink() | Removal() | Mark():
            pass  # once everything is written
        case StoredEvent():
            db.execute(INSERT_EVENT, item.__dict__ | {"tags": json_text(item.tags)})
        case StoredCommit():
            write_commit(db, item)
        case StoredRef():
            write_ref(db, item)
        case OnBranches():
            write_on_branches(db, item)
        case Event():
            db.execute(
                "insert into recorder_events (at_us, kind, detail) values (?, ?, ?)",
                (item.at_us, item.kind, item.detail),
            )
        case BlindSpot():
            db.execute(
                "insert into blind_spots (at_us, host, reason, client) values (?, ?, ?, ?)",
                (item.at_us, item.host, item.reason, item.client),
            )
