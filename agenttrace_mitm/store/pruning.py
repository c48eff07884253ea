"""Lets content go by hand: by age, or the oldest first until the file is small enough.

The steps are those of daily retention, whose settings hold as well where nothing else was asked.
Nobody may record meanwhile: a recorder remembers which messages it has stored.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..clock import oldest_id
from ..errors import StoreError, no_database
from . import merging
from .aging import MAY_GO, ages_of
from .keeping import Keeping, bytes_used
from .log import bring_home
from .opening import open_database
from .pace import Pace, give_back
from .retention import a_pace, let_go, vacuum_pace
from .rollups import DAY_US

NO_LIMITS = Keeping()
BITE = 2_000
"""Pages, 16 MB."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go: content from before `before_us`, 0 when none."""

    before_us: int
    payloads: int
    messages: int
    size_before: int
    size_after: int | None
    calls: int = 0


_IS_KEPT = """
    (c.id >= coalesce((select value from json_each(:agents) where key = c.agent_id), :oldest)
     or c.session_id in (select session_id from holds))
"""
_PAYLOADS = f"""
    select count(*) from payloads p join llm_calls c on c.id = p.call_id where not {_IS_KEPT}
"""
# Some of them stay, where a kept conversation goes on from them.
_MESSAGES = f"""
    select count(*) from messages m
    where m.first_seen_us < :last_us and m.content is not null and not exists (
        select 1 from call_messages u join llm_calls c on c.id = u.call_id
        where u.message_id = m.id and {_IS_KEPT}
    )
"""
_OLDEST = """
    select min(at) from (
        select min(started_us) as at from llm_calls
        where id = (select min(call_id) from payloads)
        union all select min(first_seen_us) from messages where content is not null
    )
"""


def prune(
    database: Path,
    now_us: int,
    *,
    days: int | None,
    max_bytes: int | None,
    dry_run: bool,
    keeping: Keeping = NO_LIMITS,
) -> Pruned:
    """Let content go that is older than *days*, then the oldest until *max_bytes* are enough.

    Then what *keeping* does not keep: content, calls that are too old, and, where the file is
    still too large, the oldest content and calls; sums stay, and sessions on hold.  The last day
    stays whatever its size.  With *dry_run* nothing is written, and only *days* and the age of
    calls can be answered for: how small a file gets is known when it is.
    """
    with _opened(database) as db:
        before = bytes_used(db)
        before_us = now_us - days * DAY_US if days is not None else 0
        if dry_run:
            counted = _counts(db, before_us, keeping.content_before(now_us)[1])
            calls = _calls_before(db, *keeping.calls_before(now_us))
            return Pruned(before_us, *counted, before, None, calls)
        total = _contents(db)
        _let_go_until(db, before_us)
        if max_bytes is not None:
            before_us = max(before_us, _shrink(db, now_us, max_bytes))
        calls = _calls(db)
        while keeping.step(db, now_us):
            pass
        calls -= _calls(db)
        while merging.merge_some(db, merging.a_pace(), large=True):  # nobody records
            bring_home(db)
        left = _contents(db)
        gone = [was - now for was, now in zip(total, left, strict=True)]
        _give_all_back(db)
        db.execute("pragma wal_checkpoint(truncate)")
        return Pruned(before_us, gone[0], gone[1], before, bytes_used(db), calls)


def _shrink(db: sqlite3.Connection, now_us: int, max_bytes: int) -> int:
    """Let go day by day, the oldest first; before which moment content is gone now."""
    oldest: int | None = db.execute(_OLDEST).fetchone()[0]
    if oldest is None:
        return 0
    cut_us = (oldest // DAY_US) * DAY_US
    while bytes_used(db) > max_bytes and cut_us + DAY_US <= now_us - DAY_US:
        cut_us += DAY_US
        _let_go_until(db, cut_us)
    return cut_us


def _let_go_until(db: sqlite3.Connection, before_us: int) -> None:
    pace, vacuum, merges = a_pace(), vacuum_pace(), merging.a_pace()
    while before_us > 0 and let_go(db, before_us, None, pace, vacuum):
        merging.merge_some(db, merges)


def _counts(db: sqlite3.Connection, before_us: int, agents: dict[str, int]) -> tuple[int, int]:
    """Payloads and messages from before *before_us*, or an agent's own moment."""
    given = {
        "agents": json.dumps({agent: oldest_id(max(at_us, 0)) for agent, at_us in agents.items()}),
        "oldest": oldest_id(max(before_us, 0)),
        "last_us": max(before_us, *agents.values(), 0),
    }
    payloads, messages = (db.execute(sql, given).fetchone()[0] for sql in (_PAYLOADS, _MESSAGES))
    return payloads, messages


def _give_all_back(db: sqlite3.Connection) -> None:
    """All free pages, in bites: what moves stands in the log first."""
    pace, before, free = Pace(BITE, BITE, BITE), 0, _free(db)
    while free != before:  # none is left, or they cannot be
        give_back(db, pace)
        before, free = free, _free(db)


def _free(db: sqlite3.Connection) -> int:
    return int(db.execute("pragma freelist_count").fetchone()[0])


def _calls(db: sqlite3.Connection) -> int:
    return int(db.execute("select count(*) from llm_calls").fetchone()[0])


def _calls_before(db: sqlite3.Connection, before_us: int, agents: dict[str, int]) -> int:
    counts = (
        db.execute(f"select count(*) from llm_calls where {old} and {MAY_GO}", given).fetchone()[0]
        for old, given in ages_of(db, before_us // DAY_US * DAY_US, agents)
    )
    return sum(counts)


def _contents(db: sqlite3.Connection) -> tuple[int, int]:
    sql = (
        "select (select count(*) from payloads),"
        " (select count(*) from messages where content is not null)"
    )
    payloads, messages = db.execute(sql).fetchone()
    return payloads, messages


@contextlib.contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    if not database.exists():
        raise no_database(database)
    try:
        with contextlib.closing(open_database(database).conn) as db:
            yield db
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be changed ({error})", "Try again") from error
