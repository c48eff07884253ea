"""`scripts/conformance traces`: recorded runs, side by side, and what was made of them.

Each run is sent through the running proxy in its recorded order, several runs at a time, from one
process or each as a session of its own.  `--direct` skips proxy and processes: the same pipeline
and store, several times as fast.  `--disturbed` sends calls out of order, again, twice, or with
the recorder started anew in the middle.  Prints what was linked and what is true, every miss by
id, and whether placing all calls again changes anything.
"""

import argparse
import asyncio
import random
import sqlite3
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.providers import HOSTS
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.settings import Settings
from tests import corpus_cases as corpus
from tests.support.instance import Instance
from tests.traces import disturbed
from tests.traces.runs import Run, Score, drive, retries, runs, scores
from tests.traces.talks import PRINTS

from . import upstream
from .client import SESSION_HEADER, Tunnel
from .replay import PATIENCE_S

WIDTH = 8
RESTART_EVERY = 100
NUMBER, RECORD = "x-agenttrace-tag-run", "x-agenttrace-tag-record"
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
        help="what goes wrong on the way; without the proxy. May be given several times",
    )
    options = parser.parse_args(arguments)
    chosen = runs()[: options.limit]
    if not chosen:
        print("the corpus is not here: set AGENTTRACE_CORPUS")
        return 2
    random.Random(options.seed).shuffle(chosen)
    wrong = list(DISTURBANCES) if "all" in options.disturbed else options.disturbed
    met = True
    for disturbance in wrong or [""]:
        for one_process in (False, True):
            whose = "one process" if one_process else "many sessions"
            print(f"\n{whose}{', ' if disturbance else ''}{disturbance}")
            with tempfile.TemporaryDirectory() as folder:
                if wrong or options.direct:
                    met &= _direct(Path(folder), chosen, disturbance, one_process=one_process)
                else:
                    met &= _proxied(Path(folder), chosen, one_process=one_process)
    return 0 if met else 1


def _proxied(folder: Path, chosen: list[Run], *, one_process: bool) -> bool:
    db = asyncio.run(_through_proxy(folder, chosen, one_process=one_process))
    met = report(*scores(db, chosen), retries(db))
    db.close()
    return met


def _direct(folder: Path, chosen: list[Run], disturbance: str, *, one_process: bool) -> bool:
    """Through pipeline and store; placing again must give what was found as calls came."""
    order, restart_every = DISTURBANCES.get(disturbance, (list, 0))
    path = folder / "data.db"
    db = drive(path, chosen, one_process=one_process, order=order, restart_every=restart_every)
    met = report(*scores(db, chosen), retries(db))
    db.close()
    changed = retrace(path, PRINTS).changed
    print(f"{'rebuilt':<12} {changed} calls have another place")
    return met and not changed


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


# A record that stands several times in a run is one to the truth: its first call has the id.
_TOLD = """
insert into known
select id, tags ->> '$.run' || '-' || (tags ->> '$.record') || case when row_number() over (
    partition by tags ->> '$.run', tags ->> '$.record' order by started_us) > 1 then ' ' || id
    else '' end
from llm_calls where tags ->> '$.run' is not null and latency_ms is not null
"""


async def _through_proxy(
    folder: Path, chosen: Sequence[Run], *, one_process: bool
) -> sqlite3.Connection:
    wanted = {id_ for run in chosen for id_ in run["exchange_ids"]}
    by_id = {record["id"]: record for record in corpus.records() if record["id"] in wanted}
    hosts = sorted({record["host"] for record in by_id.values()})
    context, root = server_context(folder / "tls", hosts)
    server, port = await upstream.serve(context, by_id)
    settings = Settings(
        home=folder / "home",
        proxy_port=0,
        port=0,
        upstream_ca=root,
        upstream_map=dict.fromkeys(hosts, f"https://127.0.0.1:{port}"),
        hosts_added={r["host"]: r["provider"] for r in by_id.values() if r["host"] not in HOSTS},
    )
    waiting = list(reversed(list(enumerate(chosen))))
    async with Instance(settings) as instance:
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        context_of = (instance.proxy_port, trust, by_id)
        works = (_work(waiting, *context_of, one_process=one_process) for _ in range(WIDTH))
        sent = sum(await asyncio.gather(*works))
        await _until(settings.database, sent)
    server.close()
    return _with_corpus_ids(settings.database)


async def _work(
    waiting: list[tuple[int, Run]],
    port: int,
    trust: ssl.SSLContext,
    by_id: dict[str, corpus.Record],
    *,
    one_process: bool,
) -> int:
    """Send runs until none waits, each on connections of its own; how many calls that were."""
    sent = 0
    while waiting:
        number, run = waiting.pop()
        tunnels: dict[str, Tunnel] = {}
        for id_ in run["exchange_ids"]:
            if (record := by_id.get(id_)) is None:
                continue
            host = record["host"]
            if host not in tunnels:
                tunnels[host] = await Tunnel.open(port, host, trust)
            told = {NUMBER: str(number), RECORD: id_}
            session = {} if one_process else {SESSION_HEADER: f"run {number}"}
            await tunnels[host].exchange(record, told | session)
            sent += 1
        for tunnel in tunnels.values():
            tunnel.close()
    return sent


async def _until(path: Path, rows: int) -> None:
    """Wait for *rows* ended calls, as long as some come."""
    seen, patience = -1, PATIENCE_S
    db = sqlite3.connect(path)
    while seen < rows and patience > 0:
        [[count]] = db.execute(
            "select count(*) from llm_calls where outcome <> 'in_flight'"
            " and tags ->> '$.run' is not null and latency_ms is not null"
        )
        patience = PATIENCE_S if count > seen else patience - 0.2
        seen = count
        await asyncio.sleep(0.2)
    db.close()


def _with_corpus_ids(path: Path) -> sqlite3.Connection:
    """The database with the ids by which the truth knows the calls: run number and record."""
    db = sqlite3.connect(path)
    db.execute("create temp table known (id text primary key, told text)")
    db.execute(_TOLD)
    for table, columns in {
        "llm_calls": ("continues_call_id", "retry_of", "id"),
        "tool_calls": ("call_id", "answered_by_call_id"),
    }.items():
        for column in columns:
            told = f"(select told from known where known.id = {table}.{column})"
            db.execute(
                f"update {table} set {column} = {told} where {column} in (select id from known)"
            )
    return db
