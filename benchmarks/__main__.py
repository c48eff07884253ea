"""`scripts/bench`: speed and size, as a table and as JSON."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from . import (
    alerts,
    attribution,
    capture,
    fresh,
    inference,
    ingest,
    pages,
    recorder,
    retention,
    start,
    store,
)
from .report import Row, machine, table, write

BENCHMARKS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "capture": lambda given: capture.run(given.rounds, given.seconds),
    "memory": lambda given: capture.memory((2_000, 20_000)),
    "recorder": lambda given: recorder.run(given.rounds),
    "attribution": lambda given: attribution.run(),
    "traces": lambda given: inference.run(),
    "fresh": lambda given: fresh.run(30.0),
    "store": lambda given: store.run(),
    "ingest": lambda given: ingest.run(),
    "retention": lambda given: retention.run(max(given.calls), given.cache),
    "alerts": lambda given: alerts.run(given.rounds, max(given.calls), given.cache),
    "start": lambda given: start.run(given.rounds),
    "pages": lambda given: pages.run(given.rounds, given.calls, given.cache),
}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *BENCHMARKS], help="all by default")
    parser.add_argument("--rounds", type=int, default=11, help="repetitions of each (default: 11)")
    parser.add_argument("--seconds", type=float, default=0.7, help="of load in each (default: 0.7)")
    parser.add_argument(
        "--calls",
        type=int,
        nargs="+",
        default=pages.CALLS,
        help="recorded, for pages, alerts and retention",
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps those databases")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    found = {}
    print(" · ".join(machine().values()), end="\n\n", flush=True)
    for name in given.what or BENCHMARKS:
        found[name] = BENCHMARKS[name](given)
        print(table(name, found[name]), flush=True)
    if given.json:
        write(given.json, found)
    return 1 if any(row.holds is False for rows in found.values() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
