"""What was told of sessions, remembered while nothing new happens in them, and not for long.

Content may be let go at any time, by age or by command, and nothing that is looked at here says
so: what has been remembered for ten minutes is told anew.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from agenttrace_mitm import clock

KEPT_US = 600_000_000


class Memory[Found]:
    """What was found of the last *most* sessions that were looked at; any thread may ask."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], tuple[Hashable, int, Found]] = OrderedDict()
        self._lock = Lock()

    def told(
        self, db: sqlite3.Connection, session_id: str, stamp: Hashable, tell: Callable[[], Found]
    ) -> Found:
        """What *tell* says of the session, or said when its *stamp* was the same."""
        file = next((row[2] for row in db.execute("pragma database_list") if row[1] == "main"), "")
        key, now_us = (str(file), session_id), clock.now_us()
        with self._lock:
            before = self._known.get(key)
        if before and before[0] == stamp and 0 <= now_us - before[1] < KEPT_US:
            return before[2]
        found = tell()
        with self._lock:
            self._known[key] = (stamp, now_us, found)
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known.clear()
