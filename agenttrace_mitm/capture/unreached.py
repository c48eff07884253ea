"""Connections to providers that failed before there was any call, and why.

Comes in: each that failed, for a name that is not known, a port that is closed, a certificate that
is another's.  Goes out: notes for `recorder_events`.  A program tries again and again: a line for
each host and reason every few seconds, with how often it was since the last one.  A rule counts
them (`alerts/rules/provider_unreachable.py`), so none is kept for a line that never comes.
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
        self._since: dict[tuple[str, str], tuple[int, str]] = {}

    @property
    def waits(self) -> bool:
        """Whether some were counted and not told yet: ask for what is `due` after a while."""
        return bool(self._since)

    def failed(self, host: str, reason: str, who: str) -> Note | None:
        """*who* could not connect to *host*; what to tell the operator, if it is time to."""
        now, key = self._clock(), (host, reason)
        if key in self._told and now < self._told[key] + TELL_EVERY_S:
            self._since[key] = self._since.get(key, (0, ""))[0] + 1, who
            return None
        if len(self._told) >= MOST:
            self._told.clear()
            self._since.clear()
        more, _ = self._since.pop(key, (0, ""))
        return self._note(key, who, more)

    def due(self) -> list[Note]:
        """Lines for what was only counted, and was not followed by another failure in time."""
        now = self._clock()
        late = [key for key in self._since if now >= self._told[key] + TELL_EVERY_S]
        counted = [(key, *self._since.pop(key)) for key in late]
        return [self._note(key, who, number - 1) for key, number, who in counted]

    def _note(self, key: tuple[str, str], who: str, more: int) -> Note:
        self._told[key] = self._clock()
        host, reason = key
        often = f", and {more} more since the last line" if more else ""
        return Note(now_us(), UNREACHED, f"{host}: {reason} ({who}{often})")
