"""`scripts/conformance traces`: recorded runs, side by side, and what was made of them.

Each run is sent through the running proxy in its recorded order, several runs at a time, from one
process or each as a session of its own.  `--direct` skips proxy and processes: the same pipeline
and store, several times as fast.  `--disturbed` sends calls out of order, again, twice, or with
the recorder started anew in the middle, directly, or with `--proxy` what of it can be provoked
there.  Prints what was linked and what is true, every miss by id, and whether placing all calls
again changes anything.
"""

import argparse
import asyncio
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from agenttrace_mitm.access import fingerprint_key
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.traces import Fingerprinter
from tests.traces import disturbed
from tests.traces.inferred import differences, rows
from tests.traces.runs import Run, Score, drive, retries, runs, scores
from tests.traces.talks import PRINTS

from . import proxied

RESTART_EVERY = 100
DISTURBANCES: dict[str, tuple[disturbed.Disturbance, int]] = {
    "shuffled": (disturbed.shuffled, 0),
    "belated": (disturbed.belated, 0),
    "retried": (disturbed.retried, 0),
    "twice": (disturbed.twice, 0),
    "restart": (list, RESTART_EVERY),
}
"""In what order calls come, and after how many the recorder is another one (0: never)."""
LINKS, PARENTS, JOINED, RETRIES = 0.995, 0.99, 0.002, 0.995


def main(arguments: Sequence[str]) -> int:
    """Run and report; 1 where a goal is missed, 2 without the corpus."""
    parser = argparse.ArgumentParser(prog="scripts/conformance traces", description=__doc__)
    parser.add_argument("--direct", action="store_true", help="without proxy and processes")
    parser.add_argument("--limit", type=int, default=None, help="only the first so many runs")
    parser.add_argument("--seed", type=int, default=1, help="which runs stand side by side")
    parser.add_argument(
        "--disturbed",
        choices=(*DISTURBANCES, "all"),
        action="append",
        default=[],
        help="what goes wrong on the way; may be given several times",
    )
    parser.add_argument("--proxy", action="store_true", help="disturbed calls through the proxy")
    options = parser.parse_args(arguments)
    wrong = _wrong(options.disturbed, proxied.DISTURBANCES if options.proxy else DISTURBANCES)
    if unknown := set(wrong) - set(proxied.DISTURBANCES) if options.proxy else ():
        parser.error(f"only without the proxy: {', '.join(sorted(unknown))}")
    chosen = runs()[: options.limit]
    if not chosen:
        print("the corpus is not here: set AGENTTRACE_CORPUS")
        return 2
    random.Random(options.seed).shuffle(chosen)
    direct = options.direct or (wrong and not options.proxy)
    met = True
    for disturbance in wrong or [""]:
        for one_process in (False, True):
            whose = "one process" if one_process else "many sessions"
            print(f"\n{whose}{', ' if disturbance else ''}{disturbance}")
            with tempfile.TemporaryDirectory() as folder:
                drive_them = _direct if direct else _proxied
                met &= drive_them(Path(folder), chosen, disturbance, one_process=one_process)
    return 0 if met else 1


def _wrong(given: list[str], known: Iterable[str]) -> list[str]:
    return list(known) if "all" in given else given


def _proxied(folder: Path, chosen: list[Run], disturbance: str, *, one_process: bool) -> bool:
    sending = proxied.through_proxy(folder, chosen, disturbance, one_process=one_process)
    settings = asyncio.run(sending)
    db = proxied.with_corpus_ids(settings.database)
    met = report(*scores(db, chosen), retries(db))
    db.close()
    prints = Fingerprinter(fingerprint_key(settings.fingerprint_file))
    return _rebuilt(settings.database, prints) and met


def _direct(folder: Path, chosen: list[Run], disturbance: str, *, one_process: bool) -> bool:
    """Through pipeline and store; placing again must give what was found as calls came."""
    order, restart_every = DISTURBANCES.get(disturbance, (list, 0))
    path = folder / "data.db"
    db = drive(path, chosen, one_process=one_process, order=order, restart_every=restart_every)
    met = report(*scores(db, chosen), retries(db))
    db.close()
    return _rebuilt(path, PRINTS) and met


def _rebuilt(path: Path, prints: Fingerprinter) -> bool:
    """Place all calls again, and print every value that it changes; True where it is none."""
    db = sqlite3.connect(path)
    before = rows(db)
    moved = retrace(path, prints).changed
    found = differences(before, rows(db))
    db.close()
    for line in found:
        print(f"  rebuilt: {line}")
    tables = Counter(line.partition(" ")[0] for line in found)
    named = ", ".join(f"{table} {count}" for table, count in tables.items())
    print(f"{'rebuilt':<12} {moved} calls have another place; values changed: {named or 0}")
    return not moved and not found


def report(links: Score, parents: Score, joined: Score, again: Score) -> bool:
    """Print the figures and every miss; True when all goals are met."""
    for score in (links, parents, joined, again):
        for line in (*score.misses, *score.surplus):
            print(f"  {line}")
    for score in (links, parents, *([again] if again.true or again.found else [])):
        print(score)
    print(f"{'joined':<12} calls {joined.found}, wrongly joined {joined.surplus_share:.2%}")
    told = not again.true or min(again.recall, again.precision) >= RETRIES
    return (
        told
        and min(links.recall, links.precision) >= LINKS
        and min(parents.recall, parents.precision) >= PARENTS
        and joined.surplus_share <= JOINED
    )
