"""`scripts/chaos`: faults under load, and an account of every call.

Each round has an instance of its own under steady load, one fault at a random moment, and a
reckoning once the load has ended: calls whose clients saw the end and that are missing in the
database are lost.  Only the death of capture may be seen by clients, and only by calls under way.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .instance import Instance, Upstream, upstream
from .load import NUMBER, Load, Tally

CLIENTS = 6
SETTLE_S = 60.0
TMPFS_MB = 24


@dataclass
class Stage:
    """Where a round plays."""

    instance: Instance
    chance: random.Random
    given: argparse.Namespace
    replaced_at: float = 0.0
    """When the database file was taken away: what was in it before is not looked for."""

    def kill(self, kind: str) -> None:
        """SIGKILL a process of that kind."""
        for pid in self.instance.pids(kind):
            os.kill(pid, signal.SIGKILL)


async def recorder_killed(stage: Stage) -> None:
    """SIGKILL of the recorder, twice."""
    for _ in range(2):
        await asyncio.to_thread(stage.kill, "recorder")
        await asyncio.sleep(stage.chance.uniform(0.3, 2.0))


async def capture_killed(stage: Stage) -> None:
    """SIGKILL of capture: calls under way break off, new connections wait."""
    await asyncio.to_thread(stage.kill, "capture")
    await asyncio.sleep(2)


async def web_killed(stage: Stage) -> None:
    """SIGKILL of the pages."""
    await asyncio.to_thread(stage.kill, "web")
    await asyncio.sleep(1)


async def recorder_hung(stage: Stage) -> None:
    """The recorder is stopped for a while, as by a debugger or a machine without memory."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(stage.given.hang_s)
    os.kill(pid, signal.SIGCONT)


async def database_locked(stage: Stage) -> None:
    """Another program holds the write lock for longer than we wait for it."""
    with contextlib.closing(sqlite3.connect(stage.instance.database, isolation_level=None)) as db:
        db.execute("pragma busy_timeout = 20000")
        db.execute("begin immediate")
        await asyncio.sleep(stage.given.lock_s)
        db.execute("rollback")


async def locked_and_killed(stage: Stage) -> None:
    """The recorder is killed while calls wait in the spool."""
    with contextlib.closing(sqlite3.connect(stage.instance.database, isolation_level=None)) as db:
        db.execute("pragma busy_timeout = 20000")
        db.execute("begin immediate")
        await asyncio.sleep(stage.given.lock_s)
        await asyncio.to_thread(stage.kill, "recorder")
        db.execute("rollback")


async def disk_full(stage: Stage) -> None:
    """No byte is left where the database and the spool are; later there is room again."""
    filler = stage.instance.home / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(b"x")
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
    """The database is overwritten with garbage while the recorder is down."""
    (pid,) = await asyncio.to_thread(stage.instance.pids, "recorder")
    os.kill(pid, signal.SIGSTOP)
    stage.replaced_at = time.time()
    with stage.instance.database.open("r+b") as file:
        file.write(os.urandom(1 << 16))
    for suffix in ("-wal", "-shm"):
        Path(f"{stage.instance.database}{suffix}").unlink(missing_ok=True)
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(3)


type Fault = Callable[[Stage], Awaitable[None]]

FAULTS: tuple[Fault, ...] = (
    recorder_killed,
    capture_killed,
    web_killed,
    recorder_hung,
    database_locked,
    locked_and_killed,
    disk_full,
    file_deleted,
    file_replaced,
    file_damaged,
)
QUICK = (recorder_killed, capture_killed, web_killed, file_deleted, file_replaced, file_damaged)
"""What fills the rounds after each fault had one."""


@dataclass(frozen=True)
class Account:
    """What became of the calls of a round."""

    fault: str
    sent: int
    seen: int
    stored: int
    lost: int
    doubled: int
    failures: int
    """Seen by clients, and none of their business."""

    @property
    def is_fine(self) -> bool:
        """Nothing lost, nothing doubled, nobody bothered."""
        return not (self.lost or self.doubled or self.failures)


def main() -> int:
    """Play the rounds; 1 when one of them was not fine."""
    parser = argparse.ArgumentParser("scripts/chaos", description=__doc__)
    names = [fault.__name__ for fault in FAULTS]
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--rate", type=float, default=60.0, help="calls a second (default: 60)")
    parser.add_argument("--only", action="append", choices=names, help="these faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hang-s", type=float, default=10.0)
    parser.add_argument("--lock-s", type=float, default=30.0)
    parser.add_argument("--full-s", type=float, default=10.0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    print(f"{'fault':<18}" + "".join(f"{name:>9}" for name in _COLUMNS), flush=True)
    accounts = []
    with tempfile.TemporaryDirectory() as folder, upstream(Path(folder)) as server:
        for number, fault in enumerate(_faults(given, chance)):
            if fault is disk_full and os.geteuid() != 0:
                print(f"{fault.__name__:<18} skipped: only root can mount a small disk")
                continue
            with _disk(Path(folder) / f"home-{number}", small=fault is disk_full) as home:
                accounts.append(asyncio.run(_round(fault, home, server, chance, given)))
            _print(accounts[-1])
    total = [sum(getattr(one, name) for one in accounts) for name in _COLUMNS]
    _print(Account(f"{len(accounts)} rounds", *total))
    return 0 if all(one.is_fine for one in accounts) else 1


_COLUMNS = ("sent", "seen", "stored", "lost", "doubled", "failures")


def _print(account: Account) -> None:
    figures = "".join(f"{getattr(account, name):>9,}" for name in _COLUMNS)
    print(f"{account.fault:<18}{figures}{'' if account.is_fine else '   <--'}", flush=True)


def _faults(given: argparse.Namespace, chance: random.Random) -> list[Fault]:
    chosen = [fault for fault in FAULTS if not given.only or fault.__name__ in given.only]
    more = [fault for fault in chosen if fault in QUICK] or chosen
    rounds = [*chosen, *(chance.choice(more) for _ in range(given.rounds - len(chosen)))]
    return rounds[: given.rounds]


async def _round(
    fault: Fault, home: Path, server: Upstream, chance: random.Random, given: argparse.Namespace
) -> Account:
    instance = Instance(home, server)
    await asyncio.to_thread(instance.start)
    stage = Stage(instance, chance, given)
    try:
        async with _under_load(instance, given.rate) as load:
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            await fault(stage)
            await asyncio.sleep(1)
        wanted = {n for n, at in load.tally.seen.items() if at > stage.replaced_at}
        stored = await asyncio.to_thread(_stored, instance.database, wanted)
    finally:
        await asyncio.to_thread(instance.stop)
    return _account(fault, load.tally, wanted, stored)


@contextlib.asynccontextmanager
async def _under_load(instance: Instance, rate: float) -> AsyncIterator[Load]:
    load = Load(instance.route, CLIENTS, rate)
    load.start()
    try:
        yield load
    finally:
        await load.stop()


def _account(fault: Fault, tally: Tally, wanted: set[int], stored: list[int]) -> Account:
    # Calls under way on the connections of a capture that was killed break off: one a client.
    allowed = CLIENTS if fault is capture_killed else 0
    missing = sorted(wanted - set(stored))
    if missing or len(tally.failed) > allowed:
        print(f"  missing {missing[:8]}, failed {list(tally.failed.items())[:4]}")
    return Account(
        fault.__name__,
        sent=tally.sent,
        seen=len(tally.seen),
        stored=len(stored),
        lost=len(missing),
        doubled=len(stored) - len(set(stored)),
        failures=max(0, len(tally.failed) - allowed),
    )


def _stored(database: Path, wanted: set[int]) -> list[int]:
    """The numbers of the finished calls in the database, once all that are wanted are there."""
    deadline = time.monotonic() + SETTLE_S
    found: list[int] = []
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.Error):
            found = _numbers(database)
            if wanted <= set(found):
                break
        time.sleep(0.2)
    return found


def _numbers(database: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        query = "select json_extract(tags, :path) from llm_calls where outcome <> 'in_flight'"
        rows = db.execute(query, {"path": f"$.{NUMBER}"})
        return [int(number) for (number,) in rows if number is not None]


@contextlib.contextmanager
def _disk(folder: Path, *, small: bool) -> Iterator[Path]:
    """A folder for a home, on a disk that is soon full when it has to be *small*."""
    folder.mkdir()
    if small:
        command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)]
        subprocess.run(command, check=True)
    try:
        yield folder
    finally:
        if small:
            subprocess.run(["umount", "-l", str(folder)], check=True)


if __name__ == "__main__":
    sys.exit(main())
