"""Calls that wait for one that began before them and has not come yet.

A reply may be complete to the program long before its connection ends, and two processes that
capture are not equally quick: so the request that repeats a reply may come before it.  Such a
request leaves keys here, prints and ids of what it looked for in vain.  When the call comes that
has one of them, those that waited are told, to be placed again.
"""

from collections import OrderedDict
from collections.abc import Iterable

REMEMBERED = 20_000
SIDE_BY_SIDE = 16
"""Calls that may wait for the same key, the last that came."""


class Waiting:
    """Keys in memory, the latest of them; after a restart nobody waits."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, dict[str, int]] = OrderedDict()
        self.latest_us = 0
        """When the last of those began that have waited for something."""

    def wait(self, call_id: str, started_us: int, keys: Iterable[str]) -> None:
        """Note that a call looked for *keys*."""
        for key in keys:
            calls = self._by_key.setdefault(key, {})
            calls[call_id] = started_us
            if len(calls) > SIDE_BY_SIDE:
                del calls[next(iter(calls))]
            self.latest_us = max(self.latest_us, started_us)
        while len(self._by_key) > REMEMBERED:
            self._by_key.popitem(last=False)

    def came(self, call_id: str, started_us: int, keys: Iterable[str]) -> tuple[str, ...]:
        """Those that began after *started_us* and wait for one of *keys*, the first first.

        They go on waiting: the twin of what came may come yet, and be the likelier.
        """
        found: dict[str, int] = {}
        for key in keys:
            calls = self._by_key.get(key, {})
            found |= {id_: at for id_, at in calls.items() if at > started_us and id_ != call_id}
        return tuple(sorted(found, key=lambda id_: (found[id_], id_)))
