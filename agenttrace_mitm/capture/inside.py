# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""Recording inside somebody else's mitmproxy: `mitmdump -s addons/agenttrace.py`.

Certificates, modes and options stay theirs, except that bodies are streamed.  The recorder is
started as a child and ends with us; one that is running already is used instead.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from mitmproxy import ctx

from .. import settings as settings_module
from ..errors import AgentTraceError
from ..hosts import hosts, speaking
from ..settings import Settings
from . import bounded, faithful, pressure
from .addon import AgentTrace
from .closing import close_always
from .gate import Gate, targets
from .handover import Handover
from .process import Lookup

log = logging.getLogger(__name__)

HANDOVER_S = 5.0
RECORDER_S = 30.0


class Inside:
    """The addon that brings the others."""

    name = "agenttrace-inside"

    def __init__(self) -> None:
        self._agenttrace: AgentTrace | None = None
        self._handover: Handover | None = None
        self._lookup: Lookup | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[None] | None = None

    def running(self) -> None:
        """Begin to record."""
        try:
            settings = settings_module.load()
            self._begin(settings)
        except AgentTraceError as error:
            log.error("AgentTrace does not record: %s", error)

    def done(self) -> "asyncio.Task[None]":
        """Hand everything over and end the recorder; mitmproxy waits for it where it can."""
        return asyncio.get_running_loop().create_task(self._end(), name="agenttrace-end")

    def _begin(self, settings: Settings) -> None:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = hosts(settings.hosts_added, settings.hosts_disabled, settings.hosts_enabled)
        speaks = speaking(settings.hosts_added)
        gate = Gate(known, targets(settings.upstream_map), speaks=speaks)
        self._handover = Handover(settings.recorder_socket)
        self._lookup = Lookup()
        # In upstream mode the login in a request may be the one that theirs put there.
        is_chained = any(mode.startswith("upstream") for mode in ctx.options.mode)
        self._agenttrace = AgentTrace(
            gate, self._handover, lookup=self._lookup, takes_login=not is_chained
        )
        ctx.options.update(stream_large_bodies="1")
        ctx.master.addons.add(self._agenttrace)
        bounded.apply()
        close_always()
        pressure.apply()
        for problem in faithful.apply():
            log.warning("%s", problem)
            self._agenttrace.note("not_faithful", problem)
        self._handover.start()
        loop = asyncio.get_running_loop()
        self._starting = loop.create_task(self._start_recorder(settings), name="recorder")

    async def _start_recorder(self, settings: Settings) -> None:
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        try:
            child = self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "agenttrace_mitm.recorder",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                process_group=0,  # Ctrl-C is for mitmproxy; the recorder outlasts it
            )
            assert child.stdin
            assert child.stdout
            told = {**settings.told(), "for": Path(sys.argv[0]).name or "mitmproxy"}
            child.stdin.write(json.dumps(told).encode() + b"\n")
            said = json.loads(await child.stdout.readline())
        except (OSError, ValueError) as error:
            log.error("AgentTrace's recorder did not start (%s); traffic goes on", error)
            return
        if "error" in said:
            log.warning("AgentTrace's recorder: %s. %s", said["error"], said.get("remedy", ""))

    async def _end(self) -> None:
        if self._agenttrace:
            self._agenttrace.interrupt()
        if self._lookup:
            self._lookup.close()
        if self._starting:  # on a busy machine it may not be up yet, and calls wait for it
            await asyncio.wait([self._starting], timeout=RECORDER_S)
        if self._handover:
            await self._handover.close(HANDOVER_S)
        if self._starting:
            self._starting.cancel()
        if self._child and self._child.returncode is None:
            assert self._child.stdin
            self._child.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECORDER_S):
                    await self._child.wait()
