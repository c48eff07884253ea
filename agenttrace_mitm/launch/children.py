"""One supervised process: started, greeted, listened to, and started again when it dies.

Every child speaks the same small protocol.  We write one line to its stdin, the settings as
JSON; its first line on stdout is `{"ready": true, ...}` or `{"error": ..., "remedy": ...}`; EOF
on stdin means finish what is under way and exit.  So a supervisor that is killed takes nobody
down abruptly: its pipes close, and the children drain.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import AgentTraceError
from ..settings import Settings
from . import logs

READY_WITHIN_S = 60.0
ANSWER_WITHIN_S = 15.0
AGAIN_S = 0.02
STEADY_AFTER_S = 30.0
TERM_TO_KILL_S = 3.0


@dataclass(frozen=True)
class Program:
    """A child's name, the module that `python -m` runs, and what has to be up before it."""

    name: str
    module: str
    after: tuple[str, ...] = ()
    drain_s: float = 30.0
    """How long it may take to finish after EOF, before it is told to end."""

    @property
    def kind(self) -> str:
        """What it is, whichever of several: `capture` of `capture-2`.  They share a log."""
        return self.name.partition("-")[0]

    def workers(self, count: int) -> list["Program"]:
        """The same program *count* times, each with a name of its own."""
        names = [self.name, *(f"{self.name}-{number}" for number in range(2, count + 1))]
        return [replace(self, name=name) for name in names]


def delays() -> Iterator[float]:
    """Seconds to wait before each restart: soon at first, then ever more patient."""
    yield 0.1
    delay = 0.5
    while True:
        yield delay
        delay = min(delay * 2, 30.0)


class Child:
    """A child process that stays up until `stop`.

    `ready` resolves with the first ready line, or raises what the child said was wrong.
    `facts` is the latest ready line; `on_restart` runs after every later one.  *descriptors* are
    open files that the child inherits, under the names by which the first line tells of them.
    """

    def __init__(
        self,
        program: Program,
        environ: Mapping[str, str],
        descriptors: Mapping[str, int] | None = None,
        on_restart: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.program = program
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.facts: dict[str, Any] = {}
        self.restarts = 0
        self._environ = dict(environ)
        self._descriptors = dict(descriptors or {})
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._up = False
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._life: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether it has said that it is ready, and lives."""
        return self._up and self.pid is not None  # its death is seen before it is heard of

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def start(self, settings: Callable[[], Settings], after: list["Child"]) -> None:
        """Begin, as soon as all of *after* are ready."""
        self._life = asyncio.create_task(self._live(settings, after), name=self.program.name)
        # A failure is told through `ready` to those who wait for it; nobody has to.
        self.ready.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def ask(
        self, message: dict[str, Any], key: str, *, patient: bool = False
    ) -> dict[str, Any]:
        """Write *message* to the child and return the answer whose `run` is *key*.

        A *patient* question goes to whoever is started in its place when it has died.
        """
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                said = await self._answer(message, key)
                while said is None and patient and not self._stopping.is_set():
                    await asyncio.sleep(AGAIN_S)
                    said = await self._answer(message, key)
        except TimeoutError:
            said = None
        if said is None:
            raise AgentTraceError(
                f"The {self.program.name} process does not answer", "See `agenttrace-mitm logs`"
            )
        if "error" in said:
            raise AgentTraceError(said["error"], said.get("remedy", ""))
        return said

    async def _answer(self, message: dict[str, Any], key: str) -> dict[str, Any] | None:
        """What it says to *message*; None when it is not there, or dies before it answers."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        try:
            await self._write(message)
            return await answer
        except OSError:
            return None
        finally:
            self._answers.pop(key, None)

    async def tell(self, message: dict[str, Any]) -> None:
        """Write *message* to the child, if it is there to read it."""
        with contextlib.suppress(OSError):
            await self._write(message)

    async def stop(self, *, now: bool = False) -> None:
        """Let it finish and wait for its end; *now* ends it within seconds."""
        self._stopping.set()
        if self._process:
            await self._finish(self._process, 0 if now else self.program.drain_s)
        if self._life:
            await self._life

    async def _live(self, settings: Callable[[], Settings], after: list["Child"]) -> None:
        waits = delays()
        while not self._stopping.is_set():
            try:
                await asyncio.gather(*(asyncio.shield(child.ready) for child in after))
            except AgentTraceError as error:
                self.ready.set_exception(error)
                return
            born = time.monotonic()
            with logs.opened(settings().log_folder, self.program.kind) as log:
                problem = await self._one_life(settings, log)
            if self._stopping.is_set():
                break
            if not self.ready.done():
                self.ready.set_exception(problem)
            if time.monotonic() - born > STEADY_AFTER_S:
                waits = delays()
            self.restarts += 1
            wait = next(waits)
            logs.say(settings().log_folder, self.program.kind, f"{problem} Again in {wait} s.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
        if not self.ready.done():
            self.ready.set_exception(AgentTraceError(f"{self.program.name} was stopped"))

    async def _one_life(self, settings: Callable[[], Settings], log: int) -> AgentTraceError:
        """From start to death; returns what there is to say about it."""
        name = self.program.name
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the user's folder must not shadow our modules
            "-m",
            self.program.module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=self._environ,
            limit=1 << 20,
            pass_fds=tuple(self._descriptors.values()),
            # A group of its own: Ctrl-C is for us.  Not a session: where these are scheduled as
            # groups (sched(7), "The autogroup feature"; most desktops) niceness counts only within
            # one, so the recorder would step back before all the machine, not just before capture.
            process_group=0,
        )
        if self._stopping.is_set():  # while we were starting it
            await self._finish(process, 0)
        problem: AgentTraceError | None = None
        try:
            self.facts = await self._greet(process, settings())
            self._up = True
            if self.ready.done():
                if self._on_restart:
                    asyncio.create_task(self._on_restart())  # noqa: RUF006 - awaits our answers
            else:
                self.ready.set_result(self.facts)
            await self._listen(process)
        except AgentTraceError as error:
            problem = error
            await self._end(process, 0)
        code = await process.wait()
        self._up = False
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError())
        return problem or AgentTraceError(
            f"The {name} process ended with exit code {code}",
            f"See {settings().log_folder / self.program.kind}.log",
        )

    async def _greet(
        self, process: asyncio.subprocess.Process, settings: Settings
    ) -> dict[str, Any]:
        with contextlib.suppress(OSError):  # died already: the missing answer says so
            await self._write({**settings.told(), **self._descriptors})
        assert process.stdout
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        name = self.program.name
        see = f"See {settings.log_folder / self.program.kind}.log"
        try:
            said = json.loads(line)
        except ValueError:
            raise AgentTraceError(f"The {name} process did not start", see) from None
        if not isinstance(said, dict) or said.get("ready") is not True:
            problem, remedy = said.get("error"), said.get("remedy")
            raise AgentTraceError(str(problem or f"{name} did not start"), str(remedy or see))
        return said

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Match answers with questions until the child closes its stdout."""
        assert process.stdout
        while line := await process.stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            answer = self._answers.get(str(said.get("run"))) if isinstance(said, dict) else None
            if answer and not answer.done():
                answer.set_result(said)

    async def _write(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise ConnectionResetError
        process.stdin.write(json.dumps(message).encode() + b"\n")
        await process.stdin.drain()

    async def _finish(self, process: asyncio.subprocess.Process, patience_s: float) -> None:
        if process.stdin:
            process.stdin.close()
        await self._end(process, patience_s)

    async def _end(self, process: asyncio.subprocess.Process, patience_s: float) -> None:
        for patience, sign in ((patience_s, signal.SIGTERM), (TERM_TO_KILL_S, signal.SIGKILL)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await process.wait()
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        await process.wait()
