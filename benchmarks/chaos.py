"""`scripts/chaos`: faults under load, and an account of every call.

Each round has an instance of its own under steady load, one fault at a random moment, and a
reckoning once the load has ended: calls whose clients saw the end and that are missing in the
database are lost.  Only the death of capture or of everything may be seen by clients.
"""

import argparse
import asyncio
import contextlib
import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from .faults import FAULTS, Fault, Stage
from .instance import Instance, Upstream, upstream
from .load import NUMBER, Load

CALLS_OF_A_CLIENT = 8.0
"""A second, at most: so many clients that the rate holds."""

SETTLE_S = 60.0
TMPFS_MB = 24


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
    own: int
    """Seen by clients, and the fault itself: calls under way in a process that was killed."""
    problems: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Nothing lost, nothing doubled, nobody bothered."""
        return not (self.lost or self.doubled or self.failures or self.problems)


def main() -> int:
    """Play the rounds; 1 when one of them was not fine."""
    given = _given()
    chance = random.Random(given.seed)
    print(f"{'fault':<24}" + "".join(f"{name:>9}" for name in _COLUMNS), flush=True)
    accounts = []
    end = time.monotonic() + given.minutes * 60
    with tempfile.TemporaryDirectory() as folder, upstream(Path(folder)) as server:
        for number, fault in enumerate(_faults(given, chance)):
            if reason := _impossible(fault):
                print(f"{fault.name:<24} skipped: {reason}", flush=True)
                continue
            if time.monotonic() > end:
                print(f"after {given.minutes:g} minutes no further round is begun")
                break
            with _disk(Path(folder) / f"home-{number}", small=fault.small_disk) as home:
                accounts.append(asyncio.run(_round(fault, home, server, chance, given)))
            _print(accounts[-1])
    total = [sum(getattr(one, name) for one in accounts) for name in _COLUMNS]
    _print(Account(f"{len(accounts)} rounds", *total))
    return 0 if all(one.is_fine for one in accounts) else 1


_COLUMNS = ("sent", "seen", "stored", "lost", "doubled", "failures", "own")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/chaos", description=__doc__)
    names = sorted({fault.name for fault in FAULTS})
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no round after them")
    parser.add_argument("--rate", type=float, default=60.0, help="calls a second (default: 60)")
    parser.add_argument("--only", action="append", choices=names, help="these faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hang-s", type=float, default=10.0)
    parser.add_argument("--lock-s", type=float, default=60.0)
    parser.add_argument("--full-s", type=float, default=10.0)
    parser.add_argument("--outage-s", type=float, default=60.0)
    return parser.parse_args()


def _print(account: Account) -> None:
    figures = "".join(f"{getattr(account, name):>9,}" for name in _COLUMNS)
    print(f"{account.fault:<24}{figures}{'' if account.is_fine else '   <--'}", flush=True)
    for problem in account.problems:
        print(f"  {problem}", flush=True)


def _faults(given: argparse.Namespace, chance: random.Random) -> list[Fault]:
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    more = [fault for fault in chosen if not fault.long] or chosen
    rounds = [*chosen, *(chance.choice(more) for _ in range(given.rounds - len(chosen)))]
    return rounds[: given.rounds]


def _impossible(fault: Fault) -> str:
    if fault.small_disk and os.geteuid() != 0:
        return "only root can mount a small disk"
    return ""


async def _round(
    fault: Fault, home: Path, server: Upstream, chance: random.Random, given: argparse.Namespace
) -> Account:
    instance = Instance(home, server, workers=fault.workers)
    if fault.clock:
        instance.fake_clock()
    await asyncio.to_thread(instance.start)
    stage = Stage(instance, chance, given)
    try:
        clients = math.ceil((fault.rate or given.rate) / CALLS_OF_A_CLIENT)
        async with _under_load(instance, clients, fault.rate or given.rate) as load:
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            await fault.act(stage)
            await asyncio.sleep(1)
        wanted = {n for n, at in load.tally.seen.items() if at > stage.replaced_at}
        stored = await asyncio.to_thread(_stored, instance.database, wanted)
    finally:
        await asyncio.to_thread(instance.stop)
    return _account(fault, load, wanted, stored, stage.problems)


@contextlib.asynccontextmanager
async def _under_load(instance: Instance, clients: int, rate: float) -> AsyncIterator[Load]:
    load = Load(instance, clients, rate)
    load.start()
    try:
        yield load
    finally:
        await load.stop()


def _account(
    fault: Fault, load: Load, wanted: set[int], stored: list[int], problems: list[str]
) -> Account:
    tally = load.tally
    failed = len(tally.failed)
    # Calls under way on the connections of a capture that was killed break off: one a client.
    allowed = {"nothing": 0, "calls under way": load.clients, "everything": failed}[fault.explains]
    own = min(failed, allowed)
    missing = sorted(wanted - set(stored))
    if missing:
        problems.append(f"missing {missing[:8]}")
    if failed > own:
        problems.append(f"failed {list(tally.failed.items())[:4]}")
    return Account(
        fault.name + (f" ({fault.workers} workers)" if fault.workers > 1 else ""),
        sent=tally.sent,
        seen=len(tally.seen),
        stored=len(stored),
        lost=len(missing),
        doubled=len(stored) - len(set(stored)),
        failures=failed - own,
        own=own,
        problems=tuple(problems),
    )


def _stored(database: Path, wanted: set[int]) -> list[int]:
    """The numbers of the finished calls in the database, once all that are wanted are there.

    Where others want the processors the recorder is slow: it is waited for while more come.
    """
    deadline = time.monotonic() + SETTLE_S
    found: list[int] = []
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.Error):
            before, found = len(found), _numbers(database)
            if wanted <= set(found):
                break
            if len(found) > before:
                deadline = time.monotonic() + SETTLE_S
        time.sleep(0.5)
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
