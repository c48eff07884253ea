"""Who wakes up does not wait for who stands back: what was asked for is what the system says."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrace_mitm import scheduling
from agenttrace_mitm.settings import Settings

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


def test_an_unknown_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert not scheduling.take_slices(scheduling.SHORT_NS)


LEFT = """
import os, threading
from agenttrace_mitm.scheduling import leave_a_processor
for allowed in (sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(0))[:1]):
    os.sched_setaffinity(0, allowed)
    leave_a_processor()
    thread = threading.Thread(target=lambda: print(*allowed, ":", *os.sched_getaffinity(0)))
    thread.start()
    thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems choose processors themselves")
def test_the_first_processor_is_left_where_there_is_another() -> None:
    said = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=True)
    for line in said.stdout.splitlines():
        allowed, used = (part.split() for part in line.split(":"))
        assert used == (allowed[1:] or allowed)
    assert len(said.stdout.splitlines()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems choose processors themselves")
def test_the_recorder_leaves_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    command = [sys.executable, "-m", "agenttrace_mitm.recorder"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdin
        assert recorder.stdout
        recorder.stdin.write(settings.model_dump_json().encode() + b"\n")
        recorder.stdin.flush()
        assert recorder.stdout.readline() == b'{"ready": true}\n'
        allowed = sorted(os.sched_getaffinity(0))
        threads = [int(one.name) for one in Path(f"/proc/{recorder.pid}/task").iterdir()]
        used = [sorted(os.sched_getaffinity(thread)) for thread in threads]
        recorder.stdin.close()
    assert len(used) > 1
    assert all(one == (allowed[1:] or allowed) for one in used)
