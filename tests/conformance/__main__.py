"""`scripts/conformance`: replay, compare, print a table; exit 1 below the floor.

scripts/conformance [--kinds chat,responses,...|all] [--floor 0.99] [--limit N]
scripts/conformance --other      compatible and cloud hosts: stored, and right in tokens
scripts/conformance --sockets    WebSocket sessions: one call a response turn
scripts/conformance traces       recorded runs side by side: links, parents, conversations
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import corpus_cases as corpus
from tests import other_hosts, socket_cases

from . import sockets, traces
from .replay import Replayed, replay


def misses(replayed: Replayed, allowed: dict[str, str]) -> list[str]:
    """What is wrong with one exchange, empty when it agrees in every field."""
    record = replayed.record
    if record["id"] in allowed:
        return []
    if replayed.observed is None:
        return ["no row"]
    wrong = corpus.disagreements(record["expected"], record, replayed.observed)
    return wrong if replayed.same_bytes else [*wrong, "the client got other bytes"]


def main(arguments: Sequence[str]) -> int:
    """Run and report; the exit code."""
    if arguments[:1] == ["traces"]:
        return traces.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("--kinds", default=",".join(corpus.MODEL_KINDS))
    parser.add_argument("--floor", type=float, default=0.99)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--other", action="store_true")
    parser.add_argument("--sockets", action="store_true")
    options = parser.parse_args(arguments)
    if corpus.corpus_folder() is None:
        print("the corpus is not here: set AGENTTRACE_CORPUS")
        return 2
    if options.other or options.sockets:
        with tempfile.TemporaryDirectory() as folder:
            run = _other_hosts if options.other else _sockets
            return run(Path(folder), options.floor, options.limit)
    kinds = None if options.kinds == "all" else options.kinds.split(",")
    records = list(corpus.records(kinds=kinds))[: options.limit]
    with tempfile.TemporaryDirectory() as folder:
        results = replay(Path(folder), records)
    return report(results, options.floor)


def _other_hosts(folder: Path, floor: float, limit: int | None) -> int:
    """Compatible and cloud hosts: every one a row, and the tokens right where they are known."""
    results = replay(folder, list(other_hosts.records())[:limit])
    lost = [result.record["id"] for result in results if result.observed is None]
    altered = [result.record["id"] for result in results if not result.same_bytes]
    counted = [r for r in results if r.observed and other_hosts.is_counted(r.record)]
    wrong = {
        r.record["id"]: found
        for r in counted
        if (found := other_hosts.differences(r.record, r.observed or {}))
    }
    for id_, found in wrong.items():
        print(f"{id_}  {'; '.join(found)}")
    share = 1 - len(wrong) / max(1, len(counted))
    print(f"{len(results) - len(lost)} of {len(results)} stored, {len(altered)} with other bytes")
    print(f"tokens agree in {len(counted) - len(wrong)} of {len(counted)} ({share:.2%})")
    return 0 if counted and not lost and not altered and share >= min(floor, 0.98) else 1


def _sockets(folder: Path, floor: float, limit: int | None) -> int:
    """WebSocket sessions: one call a response turn, with the usage it reported."""
    held = sockets.replay(folder, list(socket_cases.sessions())[:limit])
    for one in held:
        for line in one.wrong:
            print(f"{one.session['id']}  {one.session['provider']}  {line}")
    right = sum(not one.wrong for one in held)
    print(f"{right} of {len(held)} sessions agree, {sum(len(one.turns) for one in held)} turns")
    return 0 if held and right >= floor * len(held) else 1


def report(results: Sequence[Replayed], floor: float) -> int:
    """Print misses by id and a table by provider and kind; 1 below *floor*."""
    allowed = corpus.allowed()
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    for result in results:
        group = result.record["provider"], result.record["endpoint_kind"]
        wrong = misses(result, allowed)
        total[group] += 1
        right[group] += not wrong
        for line in wrong:
            print(f"{result.record['id']}  {'/'.join(group)}  {line}")
    print(f"\n{'provider':<12}{'kind':<24}{'agree':>7}{'of':>7}{'':>9}")
    for group, count in sorted(total.items()):
        share = right[group] / count
        print(f"{group[0]:<12}{group[1]:<24}{right[group]:>7}{count:>7}{share:>9.2%}")
    share = sum(right.values()) / max(1, sum(total.values()))
    print(f"{'all':<36}{sum(right.values()):>7}{sum(total.values()):>7}{share:>9.2%}")
    known = len(allowed.keys() & {result.record["id"] for result in results})
    print(f"{known} of these are on the list of records whose truth is wrong")
    return 0 if results and share >= floor else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
