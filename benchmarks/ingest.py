"""Events by the API, in batches of 100, while programs make calls through the proxy.

50 calls a second go through the proxy: alone, beside 5,000 events a second, beside plain
arithmetic that takes as much processor time, and beside senders that send as fast as they are
answered.  Processors share a core's units, a machine its caches: any work slows a call, and the
arithmetic tells how much of it is not ours.  Every event that was answered for has to be stored,
every call too, and what was sent twice once.  Processor time is that of the web process and the
recorder, less what as many calls took them alone, and that of the senders, who are no part of the
product.
"""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from datasette_agenttrace.__main__ import NICENESS

from .client import Connection
from .instance import Instance, cpu_s, instance, upstream
from .load import Load
from .report import Row, quantile

BATCH = 100
SENDERS = 3
RATE = 5_000.0
CALLS_A_SECOND = 50
ROUNDS, SECONDS = 15, 4.0
CLIENTS = 4
KINDS = ("web", "recorder")
ROUND = "777777"
"""Stands for the number of a batch, which takes its place: who sends is to send, not to write."""


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
    pids = {kind: one.pids(kind)[0] for kind in KINDS}
    alone, beside, other, paced = [], [], [], []
    without = dict.fromkeys(KINDS, 0.0)
    for number in range(ROUNDS):
        began = _spent(pids)
        load, _ = await _calls(one, None)
        alone.append(load)
        one.settle(_made(*alone, *beside, *other) + sum(sent.events for sent in paced))
        took = {kind: used - began[kind] for kind, used in _spent(pids).items()}
        without = {kind: without[kind] + took[kind] for kind in KINDS}
        began = _spent(pids)
        load, sent = await _calls(one, _Given(*_address(one), f"paced-{number}", RATE))
        beside.append(load)
        paced.append(sent)
        one.settle(_made(*alone, *beside, *other) + sum(sent.events for sent in paced))
        events = sum(used - began[kind] - took[kind] for kind, used in _spent(pids).items())
        with _working((events + sent.spent) / sent.seconds):
            load, _ = await _calls(one, None)
        other.append(load)
        one.settle(_made(*alone, *beside, *other) + sum(sent.events for sent in paced))
    before = _spent(pids)
    crowded, fast = await _calls(one, _Given(*_address(one), "fast", None, ROUNDS * SECONDS))
    loads, told = [*alone, *beside, *other, crowded], [*paced, fast]
    events, calls = sum(sent.events for sent in told), _made(*loads)
    one.settle(events + calls)
    after, share = _spent(pids), _made(crowded) / _made(*alone)
    spent = {kind: after[kind] - before[kind] - without[kind] * share for kind in KINDS}
    rows = _rows(one)
    return [
        Row("events a second", fast.events / fast.seconds, f">= {RATE:g}"),
        *(
            Row(f"processor time of {kind} for an event, us", used / fast.events * 1e6)
            for kind, used in spent.items()
        ),
        Row("processor time of who sends it, us", fast.spent / fast.events * 1e6),
        Row("events answered for and not stored, or twice", abs(rows["sdk"] - events), "== 0"),
        Row("requests refused", sum(sent.refused for sent in told), "== 0"),
        Row("calls that failed", sum(len(load.tally.failed) for load in loads), "== 0"),
        Row("calls not stored, or twice", abs(rows["proxy"] - calls), "== 0"),
        Row.of(
            "events a second, paced",
            [sent.events / sent.seconds for sent in paced],
            f">= {RATE * 0.99:g}",
        ),
        *(
            Row.of(f"a call {where}, {name}, ms", [quantile(load.took, part) for load in loads])
            for name, part in (("p50", 0.5), ("p95", 0.95))
            for where, loads in (
                ("alone", alone),
                ("beside the paced events", beside),
                ("beside as much arithmetic", other),
                ("beside as many events as go", [crowded]),
            )
        ),
        *(
            Row.of(
                f"{name} of a call beside {what}",
                [
                    quantile(more.took, part) / quantile(less.took, part)
                    for less, more in zip(fewer, others, strict=True)
                ],
                goal,
            )
            for name, part in (("p50", 0.5), ("p95", 0.95))
            for what, fewer, others, goal in (
                ("the paced events / alone", alone, beside, ""),
                ("as much arithmetic / alone", alone, other, ""),
                ("the paced events / beside the arithmetic", other, beside, "<= 1.05"),
            )
        ),
    ]


def _made(*loads: "_Timed") -> int:
    return sum(load.tally.sent for load in loads)


def _spent(pids: dict[str, int]) -> dict[str, float]:
    """Processor time of each process so far, in seconds."""
    return {kind: cpu_s(pid) for kind, pid in pids.items()}


class _Timed(Load):
    """Calls through the proxy, and how long each took that is answered at once, in ms."""

    def __init__(self, one: Instance) -> None:
        super().__init__(one, CLIENTS, CALLS_A_SECOND)
        self.took: list[float] = []

    async def _call(self, connection: Connection, number: int) -> None:
        began = time.perf_counter()
        await super()._call(connection, number)
        if number % 3:  # the others are streams
            self.took.append((time.perf_counter() - began) * 1000)


@dataclass(frozen=True)
class _Given:
    """Where to send, with which token, under which ids, how many a second."""

    host: str
    port: int
    token: str
    name: str
    per_second: float | None
    seconds: float = SECONDS


class _Sent:
    """What the senders together sent."""

    def __init__(self, told: list[tuple[int, int, float, float]]) -> None:
        self.events = sum(one[0] for one in told)
        self.refused = sum(one[1] for one in told)
        self.seconds = max((one[2] for one in told), default=SECONDS)
        self.spent = sum(one[3] for one in told)


async def _calls(one: Instance, given: _Given | None) -> tuple[_Timed, _Sent]:
    with _senders(given) as senders:
        load = _Timed(one)
        load.start()
        for pipe in senders:
            pipe.send(None)
        if senders:
            sent = _Sent(await asyncio.to_thread(lambda: [pipe.recv() for pipe in senders]))
        else:
            await asyncio.sleep(SECONDS)
            sent = _Sent([])
        await load.stop()
        for pipe in senders:
            pipe.send(None)
    return load, sent


@contextlib.contextmanager
def _working(share: float) -> Iterator[None]:
    """A program that takes *share* of a processor, as nice as the web process, batch for batch."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_work, args=(ready, share), daemon=True)
    process.start()
    ready.wait()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _work(ready: Event, share: float) -> None:
    os.nice(NICENESS)
    each = BATCH / RATE
    ready.set()
    due, known = time.perf_counter(), dict[int, int]()
    while True:
        began = time.process_time()
        while time.process_time() - began < each * share:
            for number in range(200):
                known[number] = number * number % 7
        due += each
        time.sleep(max(0.0, due - time.perf_counter()))


@contextlib.contextmanager
def _senders(given: _Given | None) -> Iterator[list[Pipe]]:
    """Processes that send when they hear something, and end when they hear something again.

    To start and to end takes them more than to send: that is not to be while calls are measured.
    """
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as ending:
        pipes = []
        for number in range(SENDERS if given else 0):
            here, there = context.Pipe()
            process = context.Process(target=_send, args=(there, given, number))
            process.start()
            ending.callback(process.join)
            pipes.append(here)
        for pipe in pipes:
            pipe.recv()
        yield pipes


def _send(there: Pipe, given: _Given, sender: int) -> None:
    """Say that this one is ready; once told to, send until the time is over, the last batch twice.

    Tells events, refusals, seconds, and seconds of processor time.  Ends once told to.
    """
    link = http.client.HTTPConnection(given.host, given.port, timeout=60)
    headers = {"Authorization": f"Bearer {given.token}", "Content-Type": "application/json"}
    name = f"{given.name}-{sender}"
    pattern = json.dumps([_event(name, number) for number in range(BATCH)]).encode()
    batches, refused, body = 0, 0, b""
    pause = BATCH * SENDERS / given.per_second if given.per_second else 0.0
    there.send(None)
    there.recv()
    began = due = time.perf_counter()
    spent = time.process_time()

    def post() -> bool:
        link.request("POST", "/api/events", body, headers)
        answer = link.getresponse()
        answer.read()
        return answer.status == 200

    while (now := time.perf_counter()) - began < given.seconds:
        body = pattern.replace(ROUND.encode(), b"%06d" % (batches + refused))
        if post():
            batches += 1
        else:
            refused += 1
        due += pause
        time.sleep(max(0.0, due - time.perf_counter()))
    refused += not post()
    there.send((batches * BATCH, refused, now - began, time.process_time() - spent))
    there.recv()


def _event(sender: str, number: int) -> dict[str, Any]:
    """One of a batch; `ROUND` in it is the number of the batch, in six digits."""
    return {
        "id": f"{sender}-{ROUND}-{number}", "agent_id": f"agent-{sender}",
        "event_type": "llm_call", "timestamp": int(f"1760{ROUND}{number:03}"),
        "provider": "openai", "model": "gpt-4o",
        "tokens_in": 900 + 3 * number, "tokens_out": 50, "latency_ms": 812.5, "status_code": 200,
        "session_id": f"{sender}-{ROUND}-{number // 50}", "tags": {"env": "bench"},
    }  # fmt: skip


def _address(one: Instance) -> tuple[str, int, str]:
    port = int(json.loads((one.home / "run" / "daemon.json").read_text())["port"])
    return "127.0.0.1", port, (one.home / "token").read_text().strip()


def _rows(one: Instance) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as db:
        return dict(db.execute("select source, count(*) from llm_calls group by source").fetchall())
