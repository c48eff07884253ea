"""Events by the API, in batches of 100, while programs make calls through the proxy.

Senders send as fast as they are answered; 50 calls a second go through the proxy meanwhile, and
before, which is what they take without.  Every event that was answered for has to be stored, every
call too, and what was sent twice once.  Processor time is that of the web process and the
recorder, which other programs on the machine change little.
"""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import sqlite3
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from .client import Connection
from .instance import Instance, cpu_s, instance, upstream
from .load import Load
from .report import Row, quantile

BATCH = 100
SENDERS = 3
CALLS_A_SECOND = 50
SECONDS = 15.0
CLIENTS = 4


def run() -> list[Row]:
    """Figures of taking events."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        with (
            upstream(folder) as provider,
            instance(folder / "home", provider, ingest_per_minute=10**7, git=False) as one,
        ):
            return asyncio.run(_measured(one))


async def _measured(one: Instance) -> list[Row]:
    before, _ = await _calls(one, None)
    pids = {kind: one.pids(kind)[0] for kind in ("web", "recorder")}
    spent = {kind: cpu_s(pid) for kind, pid in pids.items()}
    during, sent = await _calls(one, _address(one))
    one.settle(sent.events + before.tally.sent + during.tally.sent)
    spent = {kind: cpu_s(pid) - spent[kind] for kind, pid in pids.items()}
    missing = len(before.tally.failed) + len(during.tally.failed)
    rows = _rows(one)
    calls = rows["proxy"] - before.tally.sent - during.tally.sent
    return [
        Row("events a second", sent.events / sent.seconds, ">= 5000"),
        *(
            Row(f"processor time of {kind} for an event, us", used / sent.events * 1e6)
            for kind, used in spent.items()
        ),
        Row("events answered for and not stored, or twice", abs(rows["sdk"] - sent.events), "== 0"),
        Row("requests refused", sent.refused, "== 0"),
        Row("calls through the proxy that failed", missing, "== 0"),
        Row("calls not stored", abs(calls), "== 0"),
        Row("a call without events, ms", quantile(before.took, 0.5), "", *_spread(before)),
        Row("a call beside events, ms", quantile(during.took, 0.5), "", *_spread(during)),
    ]


def _spread(load: "_Timed") -> tuple[float, float]:
    return quantile(load.took, 0.25), quantile(load.took, 0.95)


class _Timed(Load):
    """Calls through the proxy, and how long each took, in ms."""

    def __init__(self, one: Instance) -> None:
        super().__init__(one, CLIENTS, CALLS_A_SECOND)
        self.took: list[float] = []

    async def _call(self, connection: Connection, number: int) -> None:
        began = time.perf_counter()
        await super()._call(connection, number)
        self.took.append((time.perf_counter() - began) * 1000)


class _Sent:
    """What the senders together sent."""

    def __init__(self, told: list[tuple[int, int, float]]) -> None:
        self.events = sum(one[0] for one in told)
        self.refused = sum(one[1] for one in told)
        self.seconds = max((one[2] for one in told), default=SECONDS)


async def _calls(one: Instance, where: tuple[str, int, str] | None) -> tuple[_Timed, _Sent]:
    load = _Timed(one)
    load.start()
    if where:
        sent = _Sent(await asyncio.to_thread(_send_all, where))
    else:
        await asyncio.sleep(SECONDS / 3)
        sent = _Sent([])
    await load.stop()
    return load, sent


def _send_all(where: tuple[str, int, str]) -> list[tuple[int, int, float]]:
    context = multiprocessing.get_context("spawn")
    told = []
    with contextlib.ExitStack() as ending:
        for number in range(SENDERS):
            here, there = context.Pipe()
            process = context.Process(target=_send, args=(there, where, number))
            process.start()
            ending.callback(process.join)
            told.append(here)
        return [pipe.recv() for pipe in told]


def _send(there: Pipe, where: tuple[str, int, str], sender: int) -> None:
    """Send until the time is over; the last batch twice.  Tells events, refusals, seconds."""
    host, port, token = where
    link = http.client.HTTPConnection(host, port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    events, refused, body = 0, 0, b""
    began = time.perf_counter()

    def post() -> bool:
        link.request("POST", "/api/events", body, headers)
        answer = link.getresponse()
        answer.read()
        return answer.status == 200

    while (now := time.perf_counter()) - began < SECONDS:
        body = json.dumps([_event(sender, events + n) for n in range(BATCH)]).encode()
        if post():
            events += BATCH
        else:
            refused += 1
    refused += not post()
    there.send((events, refused, now - began))


def _event(sender: int, number: int) -> dict[str, Any]:
    return {
        "id": f"{sender}-{number}", "agent_id": f"agent-{sender}", "event_type": "llm_call",
        "timestamp": 1_760_000_000_000 + number, "provider": "openai", "model": "gpt-4o",
        "tokens_in": 900 + number % 400, "tokens_out": 50, "latency_ms": 812.5, "status_code": 200,
        "session_id": f"{sender}-{number // 50}", "tags": {"env": "bench"},
    }  # fmt: skip


def _address(one: Instance) -> tuple[str, int, str]:
    port = int(json.loads((one.home / "run" / "daemon.json").read_text())["port"])
    return "127.0.0.1", port, (one.home / "token").read_text().strip()


def _rows(one: Instance) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as db:
        return dict(db.execute("select source, count(*) from llm_calls group by source").fetchall())
