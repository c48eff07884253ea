"""How long what is kept, as the settings say: by age, per agent, and by the size of the file.

Goes in: a connection and the time.  Goes out: one small step of letting go.  Beyond the size, the
oldest content goes first, day by day, then the oldest calls; the last day stays whatever its size.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from .aging import let_calls_go
from .retention import let_go, marked
from .rollups import DAY_US

CENTURY_DAYS = 36_500
"""Content that is kept for ever, as an age."""

_NEXT_CONTENT = "select started_us from llm_calls where id > ? order by id limit 1"
_OLDEST_CALL = """
select started_us from llm_calls
where session_id is null or session_id not in (select session_id from holds)
order by started_us limit 1
"""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Days of content, of an agent's content, of calls at all, and bytes; 0 is no limit."""

    days: int = 0
    agents: Mapping[str, int] = field(default_factory=dict)
    metadata_days: int = 0
    max_bytes: int = 0

    def step(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Let a little go, in a short transaction of its own; False when there is nothing to do."""
        return self.by_age(db, now_us) or self.calls_by_age(db, now_us) or self.by_size(db, now_us)

    def by_age(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Content that is older than it may be."""
        if not self.days and not self.agents:
            return False
        agents = {agent: _before(now_us, days) for agent, days in self.agents.items()}
        return let_go(db, _before(now_us, self.days), agents) > 0

    def calls_by_age(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Calls that are older than they may be; their sums stay."""
        return self.metadata_days > 0 and (
            let_calls_go(db, now_us - self.metadata_days * DAY_US) > 0
        )

    def by_size(self, db: sqlite3.Connection, now_us: int) -> bool:
        """The oldest, while the file holds more than it may."""
        if not self.max_bytes or bytes_used(db) <= self.max_bytes:
            return False
        last_us = now_us - DAY_US
        content_us = _end_of_day(db.execute(_NEXT_CONTENT, (marked(db),)).fetchone(), last_us)
        if let_go(db, content_us):
            return True
        return let_calls_go(db, _end_of_day(db.execute(_OLDEST_CALL).fetchone(), last_us)) > 0


def bytes_used(db: sqlite3.Connection) -> int:
    """Bytes in use: pages that are free are given back, or used again."""
    pages, free, size = (
        db.execute(f"pragma {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _before(now_us: int, days: int) -> int:
    return now_us - (days or CENTURY_DAYS) * DAY_US


def _end_of_day(found: tuple[int] | None, last_us: int) -> int:
    """After the day of the moment *found*, no later than *last_us*."""
    return last_us if found is None else min((found[0] // DAY_US + 1) * DAY_US, last_us)
