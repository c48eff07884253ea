"""A recorder that cannot write, and one that does not answer: `python -m` this, with two folders.

The second is on a disk of 4 MB; the home is there too where a third argument says so.  Prints what
was said before, during and after, as JSON.
"""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from agenttrace_mitm import access
from agenttrace_mitm.cli.text import recording
from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import Instance, select
from tests.support.providers import played

from . import wire

CALLS = 100


def _answer(request: Request) -> Answer:
    return Answer(200, (("content-type", "application/json"),), tuple(wire.openai_chat()), 0)


class Scene:
    """An instance, a client of it, and what it says of itself."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        self._client = httpx.AsyncClient(verify=trust, proxy=proxy, timeout=30)
        token = access.read_or_create_token(instance.settings.token_file)
        self._pages = httpx.AsyncClient(headers={"x-api-key": token}, timeout=30)

    async def calls(self, count: int) -> None:
        """So many calls of 80 kB, no two alike."""
        for _ in range(count):
            words = os.urandom(40_000).hex()
            answer = await self._client.post(
                "https://api.openai.com/v1/chat/completions",
                json={"model": "gpt-5.5", "messages": [{"role": "user", "content": words}]},
            )
            assert answer.status_code == 200

    async def said(self) -> dict[str, Any]:
        """What health, the Overview, metrics and `status` say now."""
        url = self._instance.web_url.rstrip("/")
        health = (await self._pages.get(f"{url}/api/health")).json()
        page = (await self._pages.get(f"{url}/-/agenttrace/overview.json")).json()
        metrics = (await self._pages.get(f"{url}/-/agenttrace/metrics")).text
        status = await self._instance.supervisor._status({})
        return {
            "health": health,
            "fares": page.get("fares"),
            "metrics": {
                name: float(value)
                for name, _, value in (line.rpartition(" ") for line in metrics.splitlines())
                if name in ("agenttrace_spooled_calls", "agenttrace_recording_troubles")
            },
            "status": [*status["troubles"], *recording(status["health"]).splitlines()],
        }

    async def until(self, enough: Callable[[dict[str, Any]], bool], patience_s: int = 120) -> Any:
        """What is said, once that is *enough*, or at last."""
        for _ in range(patience_s * 4):
            said = await self.said()
            if enough(said):
                break
            await asyncio.sleep(0.25)
        return said


def _told(said: dict[str, Any], trouble: str, calls: int) -> bool:
    """Whether all tell of that trouble, it has lasted, and of *calls* none is on its way."""
    health = said["health"]
    waiting = f": {calls - health['calls']} calls wait in "
    words, _, places = next(iter(health["reasons"]), "").partition(waiting)
    return (
        trouble in words
        and places in ("memory", "the spool")
        and health["waiting_calls"] == calls - health["calls"]
        and health["lag_seconds"] > 5
        and _agree(said)
    )


def _stored(said: dict[str, Any], calls: int) -> bool:
    """Whether all is well, as all tell, and nothing waits any more."""
    return said["health"]["status"] == "ok" and said["health"]["calls"] >= calls and _agree(said)


def _agree(said: dict[str, Any]) -> bool:
    """Whether they tell the same: they were asked one after the other."""
    troubles = said["health"]["reasons"]
    metric = said["metrics"]["agenttrace_recording_troubles"]
    shown = said["status"][: len(troubles)]
    return troubles == said["fares"]["troubles"] == shown and metric == len(troubles)


async def main(folder: Path, disk: Path, *, home_too: bool) -> dict[str, Any]:
    """What was said in the three states: a full disk, room again, a recorder that is stopped."""
    async with played(folder, _answer) as providers:
        settings = replace(providers.settings(), db=disk / "data.db")
        if home_too:
            settings = replace(settings, home=disk / "home")
        async with Instance(settings, "recorder", "capture", "web") as instance:
            scene = Scene(instance)
            before = await scene.until(lambda said: _stored(said, 0))
            await scene.calls(CALLS)
            later = await scene.until(lambda said: _told(said, "the disk is full", CALLS))
            subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
            after = await scene.until(lambda said: _stored(said, CALLS))
            [rows] = select(settings.database, "select count(*) as calls from llm_calls")
            events = select(settings.database, "select kind, detail from recorder_events")
            pid = instance.supervisor.processes["recorder"]["pid"]
            os.kill(pid, signal.SIGSTOP)
            await scene.calls(3)
            silent = await scene.until(lambda said: _told(said, "not been heard", CALLS + 3))
            os.kill(pid, signal.SIGCONT)
            again = await scene.until(lambda said: _stored(said, CALLS + 3))
    return {
        "before": before, "later": later, "after": after, "rows": rows["calls"],
        "events": events, "silent": silent, "again": again,
    }  # fmt: skip


if __name__ == "__main__":
    place, disk = map(Path, sys.argv[1:3])
    print(json.dumps(asyncio.run(main(place, disk, home_too=len(sys.argv) > 3)), indent=1))
