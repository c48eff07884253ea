"""How long this process keeps a processor that others wait for, and which, where it can say so.

Linux lets who is running finish its slice, or the tick of 4 ms that it ends in, before who wakes up
gets the processor; since 6.12 not where who wakes up has the shorter slice (`PREEMPT_SHORT`).  A
call wakes its client, capture and its upstream in turn, several times each: behind a busy recorder
one call in a hundred took thrice as long.  So capture asks for the shortest, which lets it run at
once, and who stands back for one that is longer than other programs', which lets all others.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys

SHORT_NS = 100_000
"""The shortest that Linux takes (sched(7), `sched_runtime`; before 6.12 it is ignored)."""
LONG_NS = 20_000_000
"""Others have 1.4 to 2.8 ms.  With the longest, 100 ms, others interrupt no better, and it has a
price: beside programs that want all processors, who has long slices waits long for each."""

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


def leave_a_processor() -> None:
    """Stay off the first of the processors that this process may use, unless it is the only one.

    Threads that wait for one interpreter use two processors by turns, hardly more than one at a
    time: moved to whichever has just become free, they are in the way of who was there.  Threads
    and processes that are started later stay off it too.
    """
    if sys.platform == "linux":
        _, *others = sorted(os.sched_getaffinity(0))
        if others:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, others)


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
