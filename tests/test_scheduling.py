"""Who wakes up does not wait for who stands back: what was asked for is what the system says."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrace_mitm import scheduling

ASK = """
import os, threading
before = os.getpriority(os.PRIO_PROCESS, 0)
from pathlib import Path
from agenttrace_mitm.scheduling import SHORT_NS, step_back, take_slices
step_back(7, batch=True)
def said(thread):
    lines = Path(f"/proc/self/task/{thread}/sched").read_text().splitlines()
    told = [line.split(":")[1].strip() for line in lines if line.startswith("se.slice")]
    print(thread == os.getpid(), *told)
said(os.getpid())
later = threading.Thread(target=lambda: said(threading.get_native_id()))
later.start()
later.join()
print(take_slices(SHORT_NS))
said(os.getpid())
print(os.getpriority(os.PRIO_PROCESS, 0) - before, os.sched_getscheduler(0) == os.SCHED_BATCH)
"""
release = tuple(map(int, platform.release().split(".")[:2]))


@pytest.mark.skipif(sys.platform != "linux" or release < (6, 12), reason="Linux 6.12 has slices")
def test_who_steps_back_has_long_slices_and_the_rest_stays() -> None:
    said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    *slices, took, short, rest = said.stdout.splitlines()
    assert rest == "7 True"
    assert took == "True"
    assert [line.split()[0] for line in slices] == ["True", "False"]
    if Path("/proc/self/sched").exists():  # else the kernel does not tell
        assert [int(line.split()[1]) for line in slices] == [scheduling.LONG_NS] * 2
        assert int(short.split()[1]) == scheduling.SHORT_NS


BESIDE = """
import os, sys, time
from pathlib import Path
from agenttrace_mitm.scheduling import SHORT_NS, give_way, step_back, take_slices
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
if not (child := os.fork()):
    step_back(19, batch=True)
    while True:
        sum(range(1_000))
        if sys.argv[1] == "polite":
            give_way()
take_slices(SHORT_NS)
end = time.perf_counter() + 0.5
while time.perf_counter() < end:
    pass
ran_ns, _, stretches = map(int, Path(f"/proc/{child}/schedstat").read_text().split())
os.kill(child, 9)
os.waitpid(child, 0)
print(ran_ns / max(1, stretches))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or release < (6, 17) or not Path("/proc/self/schedstat").exists(),
    reason="before Linux 6.17 nothing comes of it, and without schedstat nobody can tell",
)
def test_who_gives_way_does_not_run_to_the_next_tick_while_others_wait() -> None:
    def mean_stretch_ns(manner: str) -> float:
        command = [sys.executable, "-c", BESIDE, manner]
        return float(subprocess.check_output(command, text=True))

    polite = min(mean_stretch_ns("polite") for _ in range(3))
    assert polite < mean_stretch_ns("not") / 2


def test_an_unknown_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert not scheduling.take_slices(scheduling.SHORT_NS)


LATE = """
import os, threading
from agenttrace_mitm.scheduling import Corner
for allowed in (sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(0))[:1]):
    os.sched_setaffinity(0, allowed)
    ready, ask = threading.Event(), threading.Event()
    def said():
        ready.set()
        ask.wait()
        print(*allowed, ":", *sorted(os.sched_getaffinity(0)))
    corner = Corner()
    for late_s in (0.0, 0.05, 0.2, 0.05, 0.0):
        ready.clear(), ask.clear()
        before = threading.Thread(target=said)
        before.start()
        ready.wait()
        corner.keep(late_s)
        ask.set()
        before.join()
        said()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems choose processors themselves")
def test_all_threads_keep_to_the_corner_while_they_are_in_time() -> None:
    said = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    lines = [line.split(" : ") for line in said.stdout.splitlines()]
    told = [(allowed.split(), used.split()) for allowed, used in lines]
    assert len(told) == 20  # two of each: a thread that was there, and the main one
    kept = 2 * [True, True, False, False, True]
    for number, (allowed, used) in enumerate(told):
        assert used == (allowed[1:] or allowed if kept[number // 2] else allowed)
