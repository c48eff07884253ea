"""What was let go for want of room, counted until somebody can be told.

Goes out: notes for `recorder_events`, one of a kind and not more often than every few seconds, so
that a long outage is a line and not a thousand.
"""

import time
from collections.abc import Callable

from ..clock import now_us
from ..frames import Note

TELL_EVERY_S = 10.0


class Drops:
    """Counts of what capture did not keep: since it started, and since it was last told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes = 0
        """Body bytes, for whichever reason."""
        self.calls = 0
        """Calls of which nothing is left."""
        self._clock = clock
        self._due = clock()
        self._cut = [0, 0]
        self._stripped = [0, 0]
        self._lost = 0

    def cut(self, size: int) -> None:
        """An exchange ended of which *size* body bytes were more than is kept of one."""
        self._add(self._cut, size)

    def stripped(self, size: int) -> None:
        """An exchange that waited for the recorder lost *size* body bytes, to make room."""
        self._add(self._stripped, size)

    def lost(self) -> None:
        """A call was forgotten altogether."""
        self.calls += 1
        self._lost += 1

    def notes(self, *, now: bool = False) -> list[Note]:
        """What has not been told yet, if it is time to, or *now*."""
        if not (self._lost or self._cut[0] or self._stripped[0]):
            return []
        if not now and self._clock() < self._due:
            return []
        self._due = self._clock() + TELL_EVERY_S
        said = {
            "calls_lost": self._lost
            and f"{self._lost} calls were forgotten while the recorder did not take them",
            "content_dropped": self._stripped[0]
            and "{} calls lost {:,} body bytes while the recorder did not take them".format(
                *self._stripped
            ),
            "content_cut": self._cut[0]
            and "{} calls had {:,} body bytes more than is kept of one".format(*self._cut),
        }
        self._lost, self._cut, self._stripped = 0, [0, 0], [0, 0]
        return [Note(now_us(), kind, detail) for kind, detail in said.items() if detail]

    def _add(self, count: list[int], size: int) -> None:
        count[0] += 1
        count[1] += size
        self.bytes += size
