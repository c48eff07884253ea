"""Which process holds a socket: /proc says it, if one asks every process for every file.

A machine has hundreds of processes and a program opens connections one after the other, so what
was seen last is asked first: the places where the same programs held their last sockets, then all
files of the one that connected last, of the processes that began last (which may have ended before
we get to them), of those programs, and only then of all others of the socket's owner, newest first.
"""

# ruff: noqa: PTH115, PTH116, PTH208
# Hundreds of small look-ups for a connection: to make a Path for each would be half of their cost.

import contextlib
import os
from collections import OrderedDict

_PROC = "/proc"
_PROGRAMS = 64
"""Programs that connected last."""
_PLACES = 4
"""Descriptors that each of them used last: the lowest free one is taken, so they come again."""
_NEWEST = 16
"""Processes that began last, any of which may be about to end."""
_SEEN = 4096
"""Sockets that were passed on the way, some of which will be asked for next."""


class Holders:
    """Finds the process that holds a socket.  Not for several threads at once."""

    def __init__(self) -> None:
        self._programs: OrderedDict[int, list[str]] = OrderedDict()
        self._seen: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def of(self, inode: int, uid: int) -> int | None:
        """The process of the user *uid* that holds the socket *inode*; None when there is none."""
        wanted = f"socket:[{inode}]"
        found = self._passed(wanted) or self._in_usual_places(wanted) or self._anywhere(wanted, uid)
        if found is None:
            return None
        pid, file = found
        places = self._programs.setdefault(pid, [])
        self._programs.move_to_end(pid)
        if file not in places:
            places.insert(0, file)
            del places[_PLACES:]
        while len(self._programs) > _PROGRAMS:
            self._programs.popitem(last=False)
        return pid

    def _passed(self, wanted: str) -> tuple[int, str] | None:
        found = self._seen.pop(wanted, None)
        return found if found and _link(*found) == wanted else None

    def _in_usual_places(self, wanted: str) -> tuple[int, str] | None:
        for pid, places in reversed(self._programs.items()):
            # Or the one after the last: where several connections are opened, they go up.
            for file in (*places, str(int(places[0]) + 1)):
                if self._is(pid, file, wanted):
                    return pid, file
        return None

    def _anywhere(self, wanted: str, uid: int) -> tuple[int, str] | None:
        pids = sorted((int(name) for name in os.listdir(_PROC) if name.isdigit()), reverse=True)
        known = list(reversed(self._programs))
        for pid in dict.fromkeys([*known[:1], *pids[:_NEWEST], *known, *pids]):
            with contextlib.suppress(OSError):
                if os.stat(f"{_PROC}/{pid}").st_uid == uid and (file := self._file(pid, wanted)):
                    return pid, file
        return None

    def _file(self, pid: int, wanted: str) -> str | None:
        """The descriptor by which *pid* holds *wanted*."""
        try:
            files = os.listdir(f"{_PROC}/{pid}/fd")
        except OSError:
            self._programs.pop(pid, None)
            return None
        found = None
        for file in files:
            if self._is(pid, file, wanted):
                found = file
        return found

    def _is(self, pid: int, file: str, wanted: str) -> bool:
        """Whether that descriptor is the socket *wanted*; another one is remembered."""
        link = _link(pid, file)
        if link != wanted and link.startswith("socket:"):
            self._seen[link] = pid, file
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
        return link == wanted


def _link(pid: int, file: str) -> str:
    try:
        return os.readlink(f"{_PROC}/{pid}/fd/{file}")
    except OSError:  # closed since
        return ""
