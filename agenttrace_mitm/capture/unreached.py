"""Connections to providers that failed before there was any call, and why.

Comes in: each that failed, for a name that is not known, a port that is closed, a certificate that
is another's.  Goes out: notes for `recorder_events`.  A program tries again and again: a line for
each host and reason every few seconds, with how often it was since the last one.
"""

import time
from collections.abc import Callable

from ..clock import now_us
from ..frames import UNREACHED, Note

TELL_EVERY_S = 10.0
MOST = 256
"""Hosts and reasons that are told apart; beyond them all are forgotten, and told anew."""


class Unreached:
    """What could not be reached, by host and reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}
        self._since: dict[tuple[str, str], int] = {}

    def failed(self, host: str, reason: str, who: str) -> Note | None:
        """*who* could not connect to *host*; what to tell the operator, if it is time to."""
        now, key = self._clock(), (host, reason)
        if key in self._told and now < self._told[key] + TELL_EVERY_S:
            self._since[key] = self._since.get(key, 0) + 1
            return None
        if len(self._told) >= MOST:
            self._told.clear()
            self._since.clear()
        self._told[key] = now
        more = self._since.pop(key, 0)
        often = f", and {more} more since the last line" if more else ""
        return Note(now_us(), UNREACHED, f"{host}: {reason} ({who}{often})")
