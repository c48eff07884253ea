"""The calls of a database as they are recorded, each told once, when it is over."""

from pathlib import Path

from ..store import queries
from ..store.queries import RecentCall

SHOWN = ("llm", "auxiliary", "count")
POLL_S = 0.5


class Follower:
    """New calls since it was made.  `poll` gives those that have ended since the last time.

    A long call has a row while it runs; it is remembered and told at its end.
    """

    def __init__(self, database: Path, *, last: int = 0) -> None:
        self._database = database
        newest = queries.last_number(database) if database.exists() else 0
        self._seen = max(0, newest - last)
        self._running: set[str] = set()

    def poll(self) -> list[RecentCall]:
        """The calls that ended meanwhile, oldest first."""
        calls = queries.recent_calls(self._database, self._seen, self._running)
        self._seen = max([self._seen, *(call.number for call in calls)])
        self._running = {call.id for call in calls if call.outcome == "in_flight"}
        return [call for call in calls if call.outcome != "in_flight" and call.kind in SHOWN]
