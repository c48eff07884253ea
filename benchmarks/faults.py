"""What `scripts/chaos` does to an instance under load, and what must be so afterwards."""

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import LlmCall, Record

from .instance import Instance


@dataclass
class Stage:
    """Where a round plays."""

    instance: Instance
    chance: random.Random
    given: Namespace
    replaced_at: float = 0.0
    """When the database file was taken away: what was in it before is not looked for."""
    problems: list[str] = field(default_factory=list)
    """What is not as it should be besides the calls."""

    def kill(self, kind: str) -> None:
        """SIGKILL the processes of that kind."""
        for pid in self.instance.pids(kind):
            os.kill(pid, signal.SIGKILL)

    def events(self, kind: str) -> list[str]:
        """The details of recorder events of that kind, once there are some."""
        for _ in range(100):
            with contextlib.suppress(sqlite3.Error), self._reading() as db:
                query = "select detail from recorder_events where kind = ?"
                if found := [row[0] for row in db.execute(query, (kind,))]:
                    return found
            time.sleep(0.1)
        return []

    def expect(self, holds: bool, problem: str) -> None:
        """Note *problem* unless it *holds*."""
        if not holds:
            self.problems.append(problem)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The database's write lock, as another program would hold it."""
        file = self.instance.database
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("pragma busy_timeout = 20000")
            db.execute("begin immediate")
            yield
            db.execute("rollback")

    def _reading(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(
            sqlite3.connect(f"file:{self.instance.database}?mode=ro", uri=True)
        )


@dataclass(frozen=True)
class Fault:
    """A fault: what it does, and what it needs."""

    act: Callable[[Stage], Awaitable[None]]
    explains: str = "nothing"
    """Which failures seen by clients are the fault's own: nothing, calls under way, everything."""
    rate: float = 0.0
    """Calls a second, where it has to be so many."""
    workers: int = 1
    small_disk: bool = False
    clock: bool = False
    long: bool = False
    """Takes a while: played once, other rounds are filled with the others."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.act.__name__


async def recorder_killed(stage: Stage) -> None:
    """SIGKILL of the recorder, twice."""
    for _ in range(2):
        await asyncio.to_thread(stage.kill, "recorder")
        await asyncio.sleep(stage.chance.uniform(0.3, 2.0))


async def recorder_outage(stage: Stage) -> None:
    """No recorder for long: it is killed as often as it comes back."""
    end = time.monotonic() + stage.given.outage_s
    while time.monotonic() < end:
        await asyncio.to_thread(stage.kill, "recorder")
        await asyncio.sleep(0.2)


async def recorder_hung(stage: Stage) -> None:
    """The recorder is stopped for a while, as by a debugger or a machine without memory."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(stage.given.hang_s)
    os.kill(pid, signal.SIGCONT)


async def recorder_slow(stage: Stage) -> None:
    """The recorder gets a tenth of the time that it would have."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    end = time.monotonic() + stage.given.hang_s
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.09)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.01)


async def recorder_out_of_memory(stage: Stage) -> None:
    """The recorder gets no memory any more, and is killed for it after a while."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used, used))
    await asyncio.sleep(stage.chance.uniform(1.0, 3.0))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(1)


async def capture_killed(stage: Stage) -> None:
    """SIGKILL of capture: calls under way break off, new connections wait."""
    await asyncio.to_thread(stage.kill, "capture")
    await asyncio.sleep(2)


async def web_killed(stage: Stage) -> None:
    """SIGKILL of the pages."""
    await asyncio.to_thread(stage.kill, "web")
    await asyncio.sleep(1)


async def supervisor_killed(stage: Stage) -> None:
    """SIGKILL of the parent: its children finish what is under way and end; then a new start."""
    pids = {
        kind: await asyncio.to_thread(stage.instance.pids, kind)
        for kind in ("recorder", "capture", "web")
    }
    await asyncio.to_thread(stage.instance.kill)
    for _ in range(900):
        left = [pid for some in pids.values() for pid in some if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        await asyncio.sleep(0.1)
    stage.expect(not left, f"children of a dead supervisor live on: {pids}")
    await asyncio.to_thread(stage.instance.start)


async def database_locked(stage: Stage) -> None:
    """Another program holds the write lock for longer than we wait for it."""
    with stage.locked():
        await asyncio.sleep(stage.given.lock_s)


async def locked_and_killed(stage: Stage) -> None:
    """The recorder is killed while calls wait in the spool."""
    with stage.locked():
        await asyncio.sleep(min(stage.given.lock_s, 20))
        await asyncio.to_thread(stage.kill, "recorder")


async def disk_full(stage: Stage) -> None:
    """No byte is left where the database and the spool are; later there is room again."""
    filler = stage.instance.home / "filler"
    for size in (65536, 1):
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * size)
    await asyncio.sleep(stage.given.full_s)
    filler.unlink()


async def file_deleted(stage: Stage) -> None:
    """Somebody deletes the database, its log included."""
    stage.replaced_at = time.time()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{stage.instance.database}{suffix}").unlink(missing_ok=True)
    await asyncio.sleep(1)


async def file_replaced(stage: Stage) -> None:
    """Somebody puts an empty file in the place of the database."""
    stage.replaced_at = time.time()
    other = stage.instance.home / "other.db"
    other.touch(mode=0o600)
    other.rename(stage.instance.database)
    await asyncio.sleep(1)


async def file_damaged(stage: Stage) -> None:
    """The recorder starts on a database that was overwritten with garbage."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    os.kill(pid, signal.SIGSTOP)
    stage.replaced_at = time.time()
    with stage.instance.database.open("r+b") as file:
        file.write(os.urandom(1 << 16))
    for suffix in ("-wal", "-shm"):
        Path(f"{stage.instance.database}{suffix}").unlink(missing_ok=True)
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(3)
    aside = list(stage.instance.home.glob("data.db.damaged-*"))
    stage.expect(len(aside) == 1, f"set aside: {aside}")
    said = await asyncio.to_thread(stage.events, "database_set_aside")
    stage.expect(any(".recover" in detail for detail in said), "no salvage was offered")


async def poison_spooled(stage: Stage) -> None:
    """Records that can never be stored, and half a line, wait in the spool at a restart."""
    poison = LlmCall(
        id=new_id(), started_us=1, provider="openai", host="h", method="GET", path="/",
        outcome="ok", tokens_in=2**70,
    )  # fmt: skip
    folder = stage.instance.home / "spool"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = Record(call=poison).model_dump_json()
    (folder / f"{new_id()}.spool").write_text(f'{text}\n{{"call": {{"id"\n')
    await asyncio.to_thread(stage.kill, "recorder")
    letters = folder / "dead-letters.jsonl"
    for _ in range(200):
        if letters.exists() and len(lines := letters.read_text().splitlines()) == 2:
            break
        await asyncio.sleep(0.1)
    else:
        stage.problems.append("the poison is not among the dead letters")
        return
    stage.expect(all(json.loads(line)["reason"] for line in lines), "a letter without a reason")


async def clock_jumps(stage: Stage) -> None:
    """The clock of all processes goes a day back, a day ahead, and home again."""
    for seconds in (-86_400, 86_400, -3_600, 0):
        stage.instance.clock.write_text(str(seconds))
        await asyncio.sleep(1.5)


FAULTS = (
    Fault(recorder_killed),
    Fault(recorder_hung),
    Fault(recorder_slow),
    Fault(recorder_out_of_memory),
    Fault(recorder_outage, rate=100, long=True),
    Fault(capture_killed, explains="calls under way"),
    Fault(capture_killed, explains="calls under way", workers=2),
    Fault(web_killed),
    Fault(supervisor_killed, explains="everything"),
    Fault(database_locked, long=True),
    Fault(locked_and_killed, long=True),
    Fault(disk_full, small_disk=True),
    Fault(file_deleted),
    Fault(file_replaced),
    Fault(file_damaged),
    Fault(poison_spooled),
    Fault(clock_jumps, clock=True),
)
