"""The parent of recorder, capture and web: starts them, keeps them up, ends them in order.

It holds no data and does no work on calls, so it has little to crash of; if it is killed anyway,
its children see EOF, finish what is under way and exit.
"""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from msgspec.structs import replace

from .. import __version__, clock, health
from ..errors import AgentTraceError
from ..settings import Settings
from . import control, logs, state
from .children import Child, Program
from .ports import ProxyPorts

PROGRAMS = (
    # First, for programs wait for it; what they call is held until there is a recorder.
    Program("capture", "agenttrace_mitm.capture", drain_s=60.0),
    Program("recorder", "agenttrace_mitm.recorder"),
    # Needs the tables that the recorder makes; the processor belongs to the proxy first.
    Program("web", "datasette_agenttrace", after=("recorder", "capture"), drain_s=5.0),
)
LOG_CHECK_S = 60.0
NAME = "supervisor"


class Supervisor:
    """The processes of one home.

    *stays* says whether it goes on without its owner: `start` stays until it is told to stop,
    an instance that `run` started ends with the last run.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        stays: bool,
        programs: Iterable[Program] = PROGRAMS,
    ) -> None:
        self.settings = settings
        self.stop_asked = asyncio.Event()
        self.stop_now = asyncio.Event()
        self.leads_shells = False
        """Whether `env` told a shell of us: such a one reaches nothing once we end."""
        self._stays = stays
        self._owner_left = False
        self._started_us = clock.now_us()
        self._runs: dict[str, dict[str, Any]] = {}
        self._opening = 0
        self._environ = {**environ, "AGENTTRACE_HOME": str(settings.home)}
        self._ports = ProxyPorts(settings)
        self._children: dict[str, Child] = {}
        for program in programs:
            if program.kind == "capture":
                self._add_capture(program)
            else:
                self._children[program.name] = Child(program, self._environ)

    def _add_capture(self, program: Program) -> None:
        for worker in program.workers(self.settings.workers):
            reopen = functools.partial(self._reopen_runs, worker.name)
            child = Child(worker, self._environ, self._ports.open(), reopen)
            self._children[worker.name] = child

    async def start(self) -> None:
        """Start all children, without waiting for them."""
        for child in self._children.values():
            after = [self._children[name] for name in child.program.after]
            child.start(self._settings_now, after)

    async def up(self, *names: str) -> None:
        """Wait until these children are up (all of them by default); raises what went wrong."""
        waits = [asyncio.shield(self._children[name].ready) for name in names or self._children]
        await asyncio.gather(*waits)

    async def ready(self, *names: str) -> None:
        """Wait like `up`, then tell the world in `daemon.json`."""
        await self.up(*names)
        state.write(self.settings.run_folder, self.daemon)

    async def stop(self) -> None:
        """End everything: capture first, the recorder once it has what capture held."""
        now = self.stop_now
        self._ports.close()
        with contextlib.suppress(KeyError):
            web = asyncio.create_task(self._children["web"].stop(now=now.is_set()))
        for kind in ("capture", "recorder"):
            await asyncio.gather(*(self._stop_or_now(child) for child in self._all(kind)))
        if "web" in self._children:
            await web

    @property
    def daemon(self) -> state.Daemon:
        """Who and where we are, as far as it is known yet."""
        settings, capture = self.settings, self._facts("capture")
        return state.Daemon(
            pid=os.getpid(),
            started_us=self._started_us,
            home=str(settings.home),
            version=__version__,
            proxy_host=settings.proxy_host,
            proxy_port=capture.get("proxy_port", settings.proxy_port),
            sni_port=capture.get("sni_port"),
            host=settings.host,
            port=self._facts("web").get("port"),
        )

    @property
    def processes(self) -> dict[str, dict[str, Any]]:
        """Each child by name: whether it is up, its pid, how often it was started again."""
        return {
            name: {"up": child.up, "pid": child.pid, "restarts": child.restarts}
            for name, child in self._children.items()
        }

    def request_stop(self, *, now: bool = False) -> None:
        """Ask for the end; a second request, or *now*, does not wait for calls under way."""
        if now or self.stop_asked.is_set():
            self.stop_now.set()
        self.stop_asked.set()

    def owner_left(self) -> None:
        """Whoever started us is gone: end when nobody else uses us."""
        self._owner_left = True
        self._stop_if_unused()

    async def keep_logs_small(self) -> None:
        """Watch the size of the log files, for ever."""
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            logs.bound(self.settings.log_folder)

    async def keep_saying(self) -> None:
        """Tell how the children fare, for ever."""
        while True:
            await asyncio.to_thread(health.say, self.settings.run_folder, NAME, {}, self._fares())
            await asyncio.sleep(health.EVERY_S)

    def _fares(self) -> dict[str, dict[str, float]]:
        return {
            name: {"up": float(child.up), "restarts": child.restarts}
            for name, child in self._children.items()
        }

    def converse(self) -> control.Conversation:
        """What a connection to the control socket may ask."""
        opened: list[str] = []

        async def open_run(message: control.Message) -> control.Message:
            run = await self._open_run(message)
            opened.append(run["run"])
            return run

        async def over() -> None:
            for run in opened:
                await self._close_run(run)

        return control.Conversation(
            {
                "status": self._status,
                "settings": self._in_force,
                "lead": self._lead,
                "stop": self._stop,
                "stay": self._stay,
                "open_run": open_run,
                "settle": self._settle,
                "open_namespace": self._open_namespace,
                "blind": self._blind,
            },
            over,
        )

    async def _status(self, message: control.Message) -> control.Message:
        settings = self.settings
        said = health.told(settings.run_folder)
        return {
            **asdict(self.daemon),
            "stays": self._stays,
            "ending": self.stop_asked.is_set(),
            "privacy_tier": settings.privacy_tier,
            "retention_days": settings.retention_days,
            "db": str(settings.database),
            "runs": [run["agent"] for run in self._runs.values()],
            "processes": self.processes,
            "health": {one.name: dict(one.figures) for one in said if one.is_fresh},
            "troubles": health.troubles(said),
        }

    async def _lead(self, message: control.Message) -> control.Message:
        self._refuse_when_ending()
        self.leads_shells = True
        return await self._status(message)

    async def _in_force(self, message: control.Message) -> control.Message:
        """The settings as we run by them.  Not in the status: passwords may be among them."""
        self._refuse_when_ending()
        return {"settings": self._settings_now().told()}

    async def _stop(self, message: control.Message) -> control.Message:
        self.request_stop(now=bool(message.get("now")))
        return {"stopping": True, "leads_shells": self.leads_shells}

    async def _stay(self, message: control.Message) -> control.Message:
        self._refuse_when_ending()
        self._stays = True
        return {"stays": True}

    def _refuse_when_ending(self) -> None:
        if self.stop_asked.is_set():
            raise control.EndingError("AgentTrace is ending", "Try again in a moment")

    async def _open_run(self, message: control.Message) -> control.Message:
        """Let a program in; from now on we are used, and end with it at the earliest."""
        self._refuse_when_ending()
        self._opening += 1
        try:
            return await self._listen_for(message)
        except AgentTraceError:
            self._refuse_when_ending()  # that is why it failed
            raise
        finally:
            self._opening -= 1
            self._stop_if_unused()

    async def _listen_for(self, message: control.Message) -> control.Message:
        await self._children["recorder"].ready
        first, *others = self._all("capture")
        await first.ready
        id_ = clock.new_id()
        run: dict[str, Any] = {
            "op": "open_run",
            "id": id_,
            "agent": str(message.get("agent") or ""),
            "session": str(message.get("session") or ""),
            "tags": {**(message.get("tags") or {}), "run": id_},
        }
        # A run may begin while capture is started again.
        ports = await first.ask(run, id_, patient=True)
        # Should capture restart, the program still knows these ports: ask for them again.
        run |= {"proxy_port": ports["proxy_port"], "sni_port": ports.get("sni_port")}
        self._runs[id_] = run
        for child in others:
            await self._reopen(child, run)
        return {**ports, "run": id_}

    async def _open_namespace(self, message: control.Message) -> control.Message:
        """Let a run in through the listeners that are handed out at the socket `path`."""
        id_ = str(message.get("run") or "")
        run = self._runs.get(id_)
        if run is None:
            raise AgentTraceError("That run is not open")
        run["namespace"] = {**run, "op": "open_namespace", "path": str(message.get("path"))}
        for child in self._all("capture"):
            await child.ask(run["namespace"], id_)
        return {"run": id_}

    async def _settle(self, message: control.Message) -> control.Message:
        """Wait until the calls that a run has ended are in the database, or kept for it.

        `trouble` says what keeps them from it, "" for nothing; `running` calls have not ended.
        """
        if self.stop_asked.is_set():  # capture listens no more, and hands all over at its end
            return {"running": 0, "trouble": "recording is being stopped"}
        asked = {"op": "settle", "of": str(message.get("run") or "")}
        ids = [(child, clock.new_id()) for child in self._all("capture")]
        said = await asyncio.gather(*(child.ask({**asked, "id": id_}, id_) for child, id_ in ids))
        troubles = filter(None, (one["trouble"] for one in said))
        return {
            "running": sum(one["running"] for one in said),
            "trouble": next(troubles, ""),
        }

    async def _blind(self, message: control.Message) -> control.Message:
        """Somebody saw that a program's calls will not come through us: the proxy records that."""
        await self._all("capture")[0].tell(
            {"op": "blind", **{k: message.get(k) for k in ("host", "reason", "client")}}
        )
        return {"told": True}

    async def _close_run(self, run: str) -> None:
        if self._runs.pop(run, None):
            for child in self._all("capture"):
                await child.tell({"op": "close_run", "id": run})
        self._stop_if_unused()

    async def _reopen_runs(self, name: str) -> None:
        for run in list(self._runs.values()):
            await self._reopen(self._children[name], run)

    async def _reopen(self, child: Child, run: dict[str, Any]) -> None:
        """Let *run* in through another worker, or one that is new."""
        with contextlib.suppress(AgentTraceError):  # it is down: it will be told when it is back
            await child.ask(run, run["id"])
            if "namespace" in run:
                await child.ask(run["namespace"], run["id"])

    def _all(self, kind: str) -> list[Child]:
        return [child for child in self._children.values() if child.program.kind == kind]

    def _stop_if_unused(self) -> None:
        if self._owner_left and not (self._stays or self._runs or self._opening):
            self.request_stop()

    async def _stop_or_now(self, child: Child) -> None:
        """Stop *child*, patiently until somebody becomes impatient."""
        gentle = asyncio.create_task(child.stop(now=self.stop_now.is_set()))
        hurry = asyncio.create_task(self.stop_now.wait())
        await asyncio.wait({gentle, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not gentle.done():
            await child.stop(now=True)
        await gentle

    def _facts(self, name: str) -> dict[str, Any]:
        child = self._children.get(name)
        return child.facts if child else {}

    def _settings_now(self) -> Settings:
        """The settings with the ports that were found, so that a restart keeps them."""
        found = {
            "proxy_port": self._facts("capture").get("proxy_port"),
            "port": self._facts("web").get("port"),
        }
        return replace(self.settings, **{k: v for k, v in found.items() if v})


@contextlib.asynccontextmanager
async def supervised(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    stays: bool,
    on_signal: Callable[[], None] = lambda: None,
    programs: Iterable[Program] = PROGRAMS,
) -> AsyncIterator[Supervisor]:
    """A started supervisor, the only one of its home, with control socket and signal handlers."""
    state.prepare(settings)
    with state.only_one(settings.run_folder):
        supervisor = Supervisor(settings, environ, stays=stays, programs=programs)

        def interrupted() -> None:
            supervisor.request_stop()
            with contextlib.suppress(OSError):  # the terminal may have gone, and sent the signal
                on_signal()

        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sign, interrupted)
        server = await control.serve(settings.run_folder, supervisor.converse)
        chores = [
            asyncio.create_task(supervisor.keep_logs_small(), name="log sizes"),
            asyncio.create_task(supervisor.keep_saying(), name="health"),
        ]
        try:
            await supervisor.start()
            yield supervisor
        finally:
            await supervisor.stop()
            for chore in chores:
                chore.cancel()
            (health.folder(settings.run_folder) / f"{NAME}.json").unlink(missing_ok=True)
            server.close()
            control.path(settings.run_folder).unlink(missing_ok=True)
