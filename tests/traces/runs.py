"""The recorded runs through pipeline and store: what was linked, and what is true."""

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agenttrace_mitm.model import Caller, Exchange
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.relink import relink
from agenttrace_mitm.store import KnownContent, open_database
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.traces import Fingerprinter
from tests import corpus_cases as corpus

FAILED = "-failed"
"""What the id of an attempt ends with that was not recorded: see `disturbed`."""
MOMENT_US = 1_000_000
NOON_US = 1_760_000_000_000_000

type Run = dict[str, Any]
type Edge = tuple[str, str]


def runs() -> list[Run]:
    """The runs of the corpus; none where it is not here."""
    folder = corpus.corpus_folder()
    if folder is None:
        return []
    with gzip.open(folder / "runs.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def interleaved(runs: Iterable[Run], width: int) -> Iterator[tuple[int, str]]:
    """Run number and exchange id, in the order of each run, *width* runs side by side."""
    waiting = [(n, list(run["exchange_ids"])) for n, run in enumerate(runs)]
    for start in range(0, len(waiting), width):
        side_by_side = waiting[start : start + width]
        for step in range(max(len(ids) for _, ids in side_by_side)):
            yield from ((n, ids[step]) for n, ids in side_by_side if step < len(ids))


def told_id(number: int, id_: str) -> str:
    """The id of an exchange in the run of that *number*: its last 16 characters are its own."""
    return f"{id_}-{number:04}"


@dataclass
class Score:
    """What was found of what is true; misses and surplus as readable lines."""

    name: str
    true: int = 0
    found: int = 0
    right: int = 0
    misses: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.true)

    @property
    def surplus_share(self) -> float:
        """How much of what was found is wrong."""
        return (self.found - self.right) / max(1, self.found)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.found)

    def add(self, run: str, true: set[Any], found: set[Any]) -> None:
        self.true += len(true)
        self.found += len(found)
        self.right += len(true & found)
        self.misses += [f"{run} {self.name} missed {edge}" for edge in sorted(true - found)]
        self.surplus += [f"{run} {self.name} too much {edge}" for edge in sorted(found - true)]

    def __str__(self) -> str:
        return (
            f"{self.name:<12} true {self.true:5} found {self.found:5} right {self.right:5}"
            f"  recall {self.recall:.4f}  precision {self.precision:.4f}"
        )


def exchanges(wanted: set[str]) -> dict[str, Exchange]:
    """The exchanges of these ids."""
    return {r["id"]: corpus.exchange(r) for r in corpus.records() if r["id"] in wanted}


def drive(
    path: Path,
    chosen: list[Run],
    *,
    one_process: bool,
    width: int = 8,
    tier: Any = 3,
    order: Callable[[list[Exchange]], list[Exchange]] = lambda all_: all_,
    restart_every: int = 0,
) -> sqlite3.Connection:
    """A database that has seen *chosen*, *width* runs at a time, from one process or from many.

    An exchange that several runs share comes once for each, with an id of its own.
    """
    seen: set[str] = set()
    wire = exchanges({id_ for run in chosen for id_ in run["exchange_ids"]})
    calls: list[Exchange] = []
    for turn, (number, id_) in enumerate(interleaved(chosen, width)):
        if id_ not in wire:
            continue
        at_us = NOON_US + turn * MOMENT_US
        name = told_id(number, id_)
        name += f"-{turn}" if name in seen else ""  # the first has the id that the truth knows
        seen.add(name)
        calls.append(
            replace(
                wire[id_],
                id=name,
                started_us=at_us,
                ended_us=at_us + 1000,
                caller=Caller(
                    pid=1 if one_process else 100 + number, address=f"127.0.0.1:{5000 + number}"
                ),
            )
        )
    db = open_database(path).conn
    record_all(db, order(calls), tier, restart_every)
    return db


def record_all(
    db: sqlite3.Connection, calls: list[Exchange], tier: Any = 3, restart_every: int = 0
) -> None:
    """Put *calls* through pipeline and store, with a fresh recorder after every so many."""
    prints = Fingerprinter(b"k" * 32)
    known = KnownContent(db)
    pipeline = Pipeline(tier, prints, known)
    for count, exchange in enumerate(calls, 1):
        record = pipeline.record(exchange)
        write_record(db, record)
        known.remember(record)
        if record.awaited:
            known.learn_again(relink(db, prints, record.awaited))
        if restart_every and count % restart_every == 0:
            known = KnownContent(db)
            pipeline = Pipeline(tier, prints, known)


def retries(db: sqlite3.Connection) -> Score:
    """Attempts that we let fail, and which call was told to be the next of their operation.

    What the recordings hold of retries, nobody has told: they are not counted.
    """
    score = Score("retries")
    failed = {id_ for [id_] in db.execute("select id from llm_calls") if id_.endswith(FAILED)}
    true = {(id_, id_.removesuffix(FAILED)) for id_ in failed}
    found = db.execute(
        "select lag(id) over (partition by operation_id order by attempt, started_us), id"
        " from llm_calls"
    )
    score.add("all", true, {edge for edge in found if edge[0] in failed})
    return score


def scores(db: sqlite3.Connection, chosen: list[Run]) -> tuple[Score, Score, Score]:
    """Tool links, parents, and calls in a thread whose first call is of another conversation.

    Attempts of one operation are one request that was sent again: their first one's conversation
    is theirs, where the truth makes one of each.
    """
    links, parents, joined = Score("tool links"), Score("parents"), Score("joined")
    thread = dict(db.execute("select id, thread_id from llm_calls"))
    # An attempt that we let fail stands for the one that was recorded.
    stands_for = f"replace({{}}, '{FAILED}', '')"
    parents_sql = f"select id, {stands_for.format('continues_call_id')} from llm_calls"
    parent = dict(db.execute(parents_sql))
    made: dict[str, set[Edge]] = {}
    for from_, to in db.execute(
        f"select call_id, {stands_for.format('answered_by_call_id')} from tool_calls"
        " where answered_by_call_id is not null and not server"
    ):
        made.setdefault(from_, set()).add((from_, to))
    home: dict[str, tuple[str, int]] = {}
    for number, run in enumerate(chosen):  # what was not recorded cannot be linked
        ids = [told_id(number, id_) for id_ in run["exchange_ids"]]
        name = run["run_id"]
        true = {(told_id(number, e["from"]), told_id(number, e["to"])) for e in run["tool_links"]}
        true = {edge for edge in true if thread.keys() >= set(edge)}
        links.add(name, true, {edge for id_ in ids for edge in made.get(id_, ())})
        told = ((e["parent"], e["child"]) for e in run["parents"])
        edges = {(told_id(number, parent), told_id(number, child)) for parent, child in told}
        edges = {edge for edge in edges if thread.keys() >= set(edge)}
        parents.add(name, edges, {(p, c) for c in ids if (p := parent.get(c))})
        for id_, place in zip(ids, run["thread_of_call"], strict=True):
            home[id_] = name, place
    for id_, operation in db.execute("select id, operation_id from llm_calls where attempt > 1"):
        if id_ in home:  # what we let fail is no call of its own
            home[id_] = home.get(operation.replace(FAILED, ""), home[id_])
    first: dict[str, str] = {}
    for id_, place in thread.items():
        if place is None or id_ not in home:
            continue
        joined.found += 1
        other = first.setdefault(place, id_)
        if home[other] == home[id_]:
            joined.right += 1
        else:
            joined.surplus.append(f"{id_} {home[id_]} joined {other} {home[other]}")
    return links, parents, joined
