"""`scripts/hostile`: crowds of clients that misbehave, while others make their calls."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.support.hostile_clients import CLIENTS

from .instance import Instance, instance, memory_mb, upstream
from .load import Load

CALLERS = 4
PER_SECOND = 20.0
GROWTH_MB = 60.0
"""Beyond the first crowd of each kind: buffers that the allocator keeps, and noise."""


def main() -> int:
    """Misbehave for as long as was asked; 1 when somebody noticed."""
    parser = argparse.ArgumentParser("scripts/hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--crowd", type=int, default=50, help="of one kind at a time")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as server,
        instance(Path(name) / "home", server) as ours,
    ):
        return asyncio.run(_play(ours, given))


async def _play(ours: Instance, given: argparse.Namespace) -> int:
    (pid,) = await asyncio.to_thread(ours.pids, "capture")
    load = Load(ours, CALLERS, PER_SECOND)
    load.start()
    chance = random.Random(given.seed)
    end = time.monotonic() + given.minutes * 60
    clients, rounds, first = 0, 0, 0.0
    while time.monotonic() < end:
        for client in CLIENTS:
            seeds = [random.Random(chance.random()) for _ in range(given.crowd)]
            await asyncio.gather(*(client(ours.port, seed) for seed in seeds))
            clients += given.crowd
        rounds += 1
        first = first or memory_mb(pid)
        print(f"{clients:>8,} clients  {memory_mb(pid):>6.0f} MB", flush=True)
    tally = await load.stop()
    await asyncio.to_thread(ours.settle, len(tally.seen))
    same = await asyncio.to_thread(ours.pids, "capture") == [pid]
    grown = memory_mb(pid) - first if same else 0.0
    stored = await asyncio.to_thread(ours.rows)
    print(f"{tally.sent:,} calls of others: {len(tally.seen):,} seen, {len(tally.failed):,} failed")
    print(f"the proxy {'lives' if same else 'DIED'}, grew by {grown:.0f} MB; {stored:,} rows")
    return 0 if same and not tally.failed and grown < GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
