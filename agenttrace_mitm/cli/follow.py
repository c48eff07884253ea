"""The calls of a database as they are recorded, each told once, when it is over."""

from pathlib import Path

from ..store import queries
from ..store.queries import RecentCall

SHOWN = ("llm", "auxiliary", "count")
POLL_S = 0.5


class Follower:
    """New calls since it was made.  `poll` gives those that have ended since the last time.

    A long call has a row while it runs; it is remembered and told at its end.
    Of more than *most* new ones only the last are given, and `passed_over` counts the others.
    """

    def __init__(self, database: Path, *, last: int = 0, most: int | None = None) -> None:
        self._database = database
        self._most = most
        self.passed_over = 0
        newest = queries.last_number(database) if database.exists() else 0
        self._seen = max(0, newest - last)
        self._running: set[str] = set()

    def poll(self) -> list[RecentCall]:
        """The calls that ended meanwhile, oldest first."""
        self.passed_over, first = 0, self._seen
        if self._most is not None:
            first = max(first, queries.last_number(self._database) - self._most)
        calls = queries.recent_calls(self._database, first, self._running)
        # Not before: where that fails, the next look finds them.
        self.passed_over = first - self._seen
        self._seen = max([first, *(call.number for call in calls)])
        self._running = {call.id for call in calls if call.outcome == "in_flight"}
        return [call for call in calls if call.outcome != "in_flight" and call.kind in SHOWN]
