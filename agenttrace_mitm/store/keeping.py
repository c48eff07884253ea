"""How long what is kept, as the settings say: by age, per agent, and by the size of the file.

Goes in: a connection and the time.  Goes out: one small step of letting go.  Beyond the size, the
oldest content goes first, day by day, then the oldest calls; the last day stays whatever its size.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import aging, merging, retention
from .aging import let_calls_go
from .pace import Pace
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
    """Days of content, of calls at all, both of an agent's as well, and bytes; 0 is no limit.

    How fast steps go is remembered here: use one for all of them.
    """

    days: int = 0
    agents: Mapping[str, int] = field(default_factory=dict)
    metadata_days: int = 0
    max_bytes: int = 0
    metadata_agents: Mapping[str, int] = field(default_factory=dict)
    content_pace: Pace = field(default_factory=retention.a_pace, compare=False, repr=False)
    calls_pace: Pace = field(default_factory=aging.a_pace, compare=False, repr=False)
    vacuum_pace: Pace = field(default_factory=retention.vacuum_pace, compare=False, repr=False)
    merge_pace: Pace = field(default_factory=merging.a_pace, compare=False, repr=False)

    def step(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Let a little go, in a short transaction of its own; False when there is nothing to do."""
        done = self.by_age(db, now_us) or self.calls_by_age(db, now_us) or self.by_size(db, now_us)
        if done:  # what went is a piece of the search index: they never pile up
            merging.merge_some(db, self.merge_pace)
        return done

    def by_age(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Content that is older than it may be."""
        if not self.days and not self.agents:
            return False
        return self._let_go(db, *self.content_before(now_us)) > 0

    def calls_by_age(self, db: sqlite3.Connection, now_us: int) -> bool:
        """Calls that are older than they may be; their sums stay."""
        if not self.metadata_days and not any(self.metadata_agents.values()):
            return False
        return self._let_calls_go(db, *self.calls_before(now_us)) > 0

    def content_before(self, now_us: int) -> tuple[int, dict[str, int]]:
        """The moments since which content is kept: all agents', and those of agents' own."""
        own = {agent: _before(now_us, days) for agent, days in self.agents.items()}
        return _before(now_us, self.days), own

    def calls_before(self, now_us: int) -> tuple[int, dict[str, int]]:
        """The moments since which calls are kept: all agents', and those of agents' own."""
        own = {agent: _before(now_us, days) for agent, days in self.metadata_agents.items()}
        return _before(now_us, self.metadata_days), own

    def by_size(self, db: sqlite3.Connection, now_us: int) -> bool:
        """The oldest, while the file holds more than it may."""
        if not self.max_bytes or bytes_used(db) <= self.max_bytes:
            return False
        last_us = now_us - DAY_US
        content_us = _end_of_day(db.execute(_NEXT_CONTENT, (marked(db),)).fetchone(), last_us)
        if self._let_go(db, content_us):
            return True
        return self._let_calls_go(db, _end_of_day(db.execute(_OLDEST_CALL).fetchone(), last_us)) > 0

    def _let_go(
        self, db: sqlite3.Connection, before_us: int, agents: Mapping[str, int] | None = None
    ) -> int:
        return let_go(db, before_us, agents, self.content_pace, self.vacuum_pace)

    def _let_calls_go(
        self, db: sqlite3.Connection, before_us: int, agents: Mapping[str, int] | None = None
    ) -> int:
        return let_calls_go(db, before_us, agents, self.calls_pace, self.vacuum_pace)


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
