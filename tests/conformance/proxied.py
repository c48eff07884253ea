"""Recorded runs through the running proxy, several at a time: undisturbed, or with what goes wrong.

`shuffled`: a reply's last byte comes, and the end of its connection up to `LATE_S` later.  The
program goes on without waiting for that, so calls end after those that go on from them.
`retried`: the provider fails every third call at first, and the client sends it again, on the same
connection or on another.
`restart`: the recorder is killed after every `KILL_EVERY` calls; what capture has not heard of
since, it hands over again, so calls come twice as well.
"""

import asyncio
import os
import random
import signal
import sqlite3
import ssl
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.providers import HOSTS
from agenttrace_mitm.settings import Settings
from tests import corpus_cases as corpus
from tests.support.instance import Instance
from tests.traces.runs import FAILED, Run

from . import upstream
from .client import SESSION_HEADER, Tunnel

DISTURBANCES = ("shuffled", "retried", "restart")
WIDTH = 8
LATE_S = 1.0
KILL_EVERY = 400
PATIENCE_S = 30.0
FAILED_STATUS = 529
NUMBER, RECORD = "x-agenttrace-tag-run", "x-agenttrace-tag-record"


@dataclass
class Client:
    """A program that sends runs through the proxy of *instance*; how many calls it has sent."""

    instance: Instance
    records: Mapping[str, corpus.Record]
    disturbance: str
    one_process: bool
    sent: int = 0
    wrong: list[str] = field(default_factory=list)
    """Records whose answer did not come as it was served."""
    _late: random.Random = field(default_factory=lambda: random.Random(1))
    _ending: list[asyncio.Task[None]] = field(default_factory=list)

    async def work(self, waiting: list[tuple[int, Run]]) -> None:
        """Send runs until none waits, each on connections of its own."""
        while waiting:
            number, run = waiting.pop()
            free: defaultdict[str, list[Tunnel]] = defaultdict(list)
            for id_ in run["exchange_ids"]:
                if record := self.records.get(id_):
                    await self._call(number, record, free[record["host"]])
            await asyncio.gather(*self._ending)
            for tunnel in [tunnel for tunnels in free.values() for tunnel in tunnels]:
                tunnel.close()

    async def _call(self, number: int, record: corpus.Record, free: list[Tunnel]) -> None:
        is_first = self.sent % 3 == 0 and record["status"] == 200
        if self.disturbance == "retried" and is_first:
            tunnel = await self._send(
                number, record, free, {upstream.FAILS_HEADER: str(FAILED_STATUS)}
            )
            if self.sent % 2:
                free.append(tunnel)
            else:
                tunnel.close()
        late: dict[str, str] = {}
        if self.disturbance == "shuffled" and record["status"] == 200:
            late = {upstream.LATE_HEADER: f"{self._late.uniform(0, LATE_S):.3f}"}
        tunnel = await self._send(number, record, free, late)
        if late:
            self._ending.append(asyncio.create_task(_end(tunnel, free)))
        else:
            free.append(tunnel)

    async def _send(
        self, number: int, record: corpus.Record, free: list[Tunnel], more: Mapping[str, str]
    ) -> Tunnel:
        """Send one call, and read its answer as far as its bytes go."""
        fails = upstream.FAILS_HEADER in more
        told = {NUMBER: str(number), RECORD: record["id"] + FAILED * fails, **more}
        session = {} if self.one_process else {SESSION_HEADER: f"run {number}"}
        tunnel = free.pop() if free else await self._open(record["host"])
        status, body = await tunnel.exchange(record, told | session)
        served = upstream.FAILED if fails else corpus.response_bytes(record)
        if record["method"] == "HEAD":
            served = b""
        if (status, body) != (FAILED_STATUS if fails else record["status"], served):
            self.wrong.append(record["id"])
        self.sent += 1
        if self.disturbance == "restart" and self.sent % KILL_EVERY == 0:
            self._kill()
        return tunnel

    async def _open(self, host: str) -> Tunnel:
        trust = ssl.create_default_context(cafile=str(self.instance.root_certificate))
        return await Tunnel.open(self.instance.proxy_port, host, trust)

    def _kill(self) -> None:
        if pid := self.instance.supervisor.processes["recorder"]["pid"]:
            os.kill(pid, signal.SIGKILL)


async def _end(tunnel: Tunnel, free: list[Tunnel]) -> None:
    await tunnel.end()
    free.append(tunnel)


async def through_proxy(
    folder: Path, chosen: Sequence[Run], disturbance: str, *, one_process: bool
) -> Settings:
    """Send *chosen* and wait for their rows; the settings of the AgentTrace that recorded them.

    Raises `AssertionError` when a client did not get what was served, or a call has no row.
    """
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
        client = Client(instance, by_id, disturbance, one_process)
        await asyncio.gather(*(client.work(waiting) for _ in range(WIDTH)))
        recorded = await _until(settings.database, client.sent)
        restarts = instance.supervisor.processes["recorder"]["restarts"]
    server.close()
    print(f"{'sent':<12} {client.sent} calls, recorded {recorded}, recorder restarted {restarts}")
    assert not client.wrong, client.wrong
    assert recorded == client.sent
    assert restarts or disturbance != "restart" or client.sent < KILL_EVERY
    return settings


async def _until(path: Path, rows: int) -> int:
    """Wait for *rows* ended calls, as long as some come; how many there are."""
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
    return seen


# A record that stands several times in a run is one to the truth: its first call has the id.
_TOLD = """
insert into known
select id, replace(tags ->> '$.record', '-failed', '') || '-'
    || printf('%04d', tags ->> '$.run')
    || case when tags ->> '$.record' like '%-failed' then '-failed' else '' end
    || case when row_number() over (
        partition by tags ->> '$.run', tags ->> '$.record' order by started_us) > 1
    then ' ' || id else '' end
from llm_calls where tags ->> '$.run' is not null and latency_ms is not null
"""


def with_corpus_ids(path: Path) -> sqlite3.Connection:
    """The database with the ids by which the truth knows the calls: run number and record.

    Only on this connection, whose transaction is never committed.
    """
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
