"""How soon a call can be seen: from the last byte at its client to its row through Datasette."""

import asyncio
import contextlib
import json
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from .instance import Instance, instance, upstream
from .load import NUMBER, Load
from .report import Row, quantile

CLIENTS = 16
PER_SECOND = 100.0
POLL_S = 0.1
SQL = (
    "select json_extract(tags, '$.{number}') as n from llm_calls"
    " where outcome <> 'in_flight' order by started_us desc limit 400"
)


def run(seconds: float) -> list[Row]:
    """Ask Datasette again and again for the newest rows, under 100 calls/s."""
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as server,
        instance(Path(name) / "home", server) as ours,
    ):
        delays, rate = asyncio.run(_watch(ours, seconds))
    return [
        Row("calls/s meanwhile", rate, ">= 95"),
        Row("call to row through Datasette, p50, s", quantile(delays, 0.5)),
        Row("call to row through Datasette, p95, s", quantile(delays, 0.95), "<= 1"),
        Row("call to row through Datasette, the slowest, s", max(delays)),
    ]


async def _watch(ours: Instance, seconds: float) -> tuple[list[float], float]:
    load = Load(ours, CLIENTS, PER_SECOND)
    load.start()
    began = time.time()
    shown: dict[int, float] = {}
    watching = asyncio.create_task(_look(ours, shown))
    await asyncio.sleep(seconds)
    tally = await load.stop()
    took = time.time() - began
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while tally.seen.keys() - shown.keys():
                await asyncio.sleep(POLL_S)
    watching.cancel()
    never = time.time()
    delays = [max(0.0, shown.get(n, never) - at) for n, at in tally.seen.items()]
    return delays, len(tally.seen) / took


async def _look(ours: Instance, shown: dict[int, float]) -> None:
    """Note when each call is first in an answer of Datasette; asking is part of the delay."""
    facts = json.loads((ours.home / "run" / "daemon.json").read_text())
    query = urllib.parse.urlencode({"sql": SQL.format(number=NUMBER), "_shape": "arrays"})
    request = urllib.request.Request(f"http://127.0.0.1:{facts['port']}/data.json?{query}")
    request.add_header("authorization", f"Bearer {(ours.home / 'token').read_text().strip()}")

    def ask() -> list[int]:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [int(n) for (n,) in json.load(answer)["rows"] if n is not None]

    while True:
        for number in await asyncio.to_thread(ask):
            shown.setdefault(number, time.time())
        await asyncio.sleep(POLL_S)
