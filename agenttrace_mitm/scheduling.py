"""How long this process keeps a processor that others wait for, and which, where it can say so.

Linux lets who is running finish its slice, or the tick of 4 ms that it ends in, before who wakes up
gets the processor; since 6.12 not where who wakes up has the shorter slice (`PREEMPT_SHORT`).  A
call wakes its client, capture and its upstream in turn, several times each: behind a busy recorder
one call in a hundred took thrice as long.  So capture asks for the shortest, which lets it run at
once, and who stands back for one that is longer than other programs', which lets all others.

That is for who wakes up.  Who is waiting already, for its slice was over or another one woke up,
has to wait for the tick: so who stands back asks now and then to be looked at (`give_way`).
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
import time
from pathlib import Path

SHORT_NS = 100_000
"""The shortest that Linux takes (sched(7), `sched_runtime`; before 6.12 it is ignored)."""
LONG_NS = 20_000_000
"""Others have 1.4 to 2.8 ms.  With the longest, 100 ms, others interrupt no better, and it has a
price: beside programs that want all processors, who has long slices waits long for each."""

LATE_S, IN_TIME_S = 0.1, 0.03
"""Of work that has waited so long there is too much for a corner; and so short, not."""

# https://docs.kernel.org/process/syscalls.html: 64-bit systems but the oldest share one table.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""


def step_back(niceness: int, *, batch: bool = False) -> None:
    """Leave the processor to capture, which is in the same session, and scheduling group.

    A *batch* process does not interrupt others when something comes for it: it has until nobody
    else wants to run.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.nice(niceness)
    if batch and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    take_slices(LONG_NS)


def give_way() -> None:
    """Let who waits for this processor have it now, if its turn has come, and not at the next tick.

    For work that takes long, every few tenths of a millisecond; it costs half a microsecond.  To
    tell how long a thread has run, Linux brings its account up to date, and sees then whether its
    slice is over: by the shortest that anybody has who waits there, since 6.17.  Before, and
    elsewhere, nothing comes of it.  `sched_yield` would be far too polite: it gives up the slice.
    """
    time.thread_time()


class Corner:
    """All processors but the first of those that this process may use, for while it is in time.

    Threads that wait for one interpreter use two processors by turns, hardly more than one at a
    time: moved to whichever has just become free, they are in the way of who comes back to it.
    Where there is one processor, or the system does not let a process choose, nothing is done.
    """

    def __init__(self) -> None:
        self._allowed = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        self._kept = False

    def keep(self, late_s: float) -> None:
        """Have all threads of now stay there, unless work has piled up for *late_s*, in seconds.

        With much to do they get more from all processors, and who is in the corner as well could
        take theirs.
        """
        if len(self._allowed) < 2 or sys.platform != "linux":
            return
        if late_s > LATE_S and self._kept:
            self._use(self._allowed)
        elif late_s < IN_TIME_S and not self._kept:
            self._use(self._allowed[1:])

    def _use(self, processors: list[int]) -> None:
        self._kept = processors != self._allowed
        with contextlib.suppress(OSError):
            for thread in Path("/proc/self/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), processors)


def take_slices(ns: int) -> bool:
    """Have slices of *ns* from now on, this thread and those that it starts.

    False where the system does not know how, or does not allow it; nothing has changed then.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, nice, 0, ns, 0, 0)
    with contextlib.suppress(OSError, AttributeError):  # a C library without `syscall`
        failed: int = ctypes.CDLL(None).syscall(number, 0, ctypes.create_string_buffer(wanted), 0)
        return not failed
    return False
