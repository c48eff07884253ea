"""One worker of the proxy, as a process of its own: `python -m agenttrace_mitm.capture`.

Reads a JSON line of settings on standard input, which may name `proxy_fd` and `sni_fd` beside
them: listening sockets that the parent keeps.  More than one of `workers` share their ports.
Says `{"ready": true, "proxy_port": ..., "sni_port": ...}` on standard output once it listens,
or `{"error": ..., "remedy": ...}` with exit code 1.  Further lines open and close the listeners
of runs.  When standard input ends, or at SIGTERM, it takes no new connections, lets exchanges
finish for half a minute, hands everything over and ends; told a second time it ends at once.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from .. import health
from .. import settings as settings_module
from ..errors import AgentTraceError, CaptureError
from ..hosts import certificate_names, hosts, speaking
from ..listening import inherited, listener
from ..scheduling import SHORT_NS, take_slices
from ..settings import Settings
from . import authority, bounded, faithful, pressure, quick
from .addon import AgentTrace
from .closing import close_always, wake_once
from .crowd import most_clients
from .doors import Doors
from .gate import Gate, targets
from .handover import Handover
from .master import CaptureMaster
from .namespaced import Handed
from .peers import Run
from .process import Lookup
from .upstream import check_combination

log = logging.getLogger(__name__)

DRAIN_S = 30.0
HANDOVER_S = 5.0
HURRIED_HANDOVER_S = 1.0
HANG_UP_S = 0.5
LEFT_S = 1.0
"""How long until we see that a program that ended has left its calls."""
SAFE_WITHIN_S = 10.0
LINE_BYTES = 1 << 20
YOUNG_OBJECTS = 500
"""New ones that are looked through for garbage at a time: so many that it takes 0.1 ms."""
UPSTREAM_ROOTS = "upstream-roots.pem"

type Message = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """What the first line said."""

    settings: Settings
    proxy_fd: int | None
    sni_fd: int | None

    @classmethod
    def parse(cls, line: bytes) -> "Configuration":
        """The configuration in *line*.  Raises `AgentTraceError` when it is not one."""
        try:
            given = json.loads(line)
            proxy_fd, sni_fd = given.pop("proxy_fd", None), given.pop("sni_fd", None)
        except (ValueError, AttributeError, TypeError):
            raise CaptureError("The first line on standard input is not a JSON object") from None
        return cls(settings_module.load(given), proxy_fd, sni_fd)


class Stop:
    """Asked to end once, and perhaps a second time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.now = asyncio.Event()

    def ask(self) -> None:
        """End; at once when it was asked for before."""
        (self.now if self.asked.is_set() else self.asked).set()


class Worker:
    """The proxy, what it watches with, and the doors of its runs."""

    def __init__(self, configuration: Configuration) -> None:
        settings = self._settings = configuration.settings
        mapped = targets(settings.upstream_map)
        check_combination(settings.upstream_proxy, mapped)
        self._prepare()
        self._doors = Doors(settings.upstream_proxy)
        self.ports = self._doors.open(
            Run(),
            self._door(settings.proxy_port, configuration.proxy_fd),
            self._door(0, configuration.sni_fd),
        )
        decrypted = hosts(settings.hosts_added, settings.hosts_disabled, settings.hosts_enabled)
        gate = self._gate = Gate(decrypted, mapped, speaks=speaking(settings.hosts_added))
        self._lookup = Lookup()
        self._handover = Handover(settings.recorder_socket)
        self._addon = AgentTrace(
            gate,
            self._handover,
            self._doors,
            self._lookup,
            token_file=settings.token_file,
            most_clients=most_clients(),
        )
        self._master = CaptureMaster(
            gate,
            self._addon,
            ca_folder=settings.ca_folder,
            upstream_roots=settings.run_folder / UPSTREAM_ROOTS,
            upstream_login=self._doors.login,
        )
        self._life: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and hand over."""
        bounded.apply()
        pressure.apply()
        for problem in faithful.apply():
            log.warning("%s", problem)
            self._addon.note("not_faithful", problem)
        quick.apply()
        self._handover.start()
        self._master.serve(self._doors.specs)
        self._life = asyncio.create_task(self._master.run(), name="proxy")
        started = asyncio.create_task(self._master.started.wait(), name="started")
        await asyncio.wait({self._life, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._life.done() or len(self._master.proxyserver.listen_addrs()) < len(self.ports):
            raise CaptureError("The proxy did not start", "See the log of capture")
        name, where = f"capture-{os.getpid()}", self._settings.run_folder
        self._saying = asyncio.create_task(
            health.keep_saying(where, name, self._addon.figures), name="health"
        )

    def answer(self, message: Message) -> Message | Coroutine[None, None, Message] | None:
        """Do what a control line asks; what to say to it, now or later."""
        id_ = str(message.get("id") or "")
        match message.get("op"):
            case "open_run" if id_:
                return self._open_run(id_, message)
            case "open_namespace" if id_:
                return self._open_namespace(id_, message)
            case "settle" if id_:
                return self._settle(id_, str(message.get("of")))
            case "close_run" if id_:
                self._doors.close(id_)
                self._master.serve(self._doors.specs)
                return None
            case "blind":
                told = (str(message.get(name) or "") for name in ("host", "reason", "client"))
                self._addon.blind(*told)
                return None
            case _:
                return {"error": "That is not something the proxy understands", "remedy": ""}

    async def stop(self, stop: Stop) -> None:
        """Let exchanges finish, hand everything over, and end."""
        self._master.stop_listening()
        if not stop.now.is_set():
            drained = asyncio.create_task(self._drained(), name="drain")
            hurry = asyncio.create_task(stop.now.wait(), name="hurry")
            await asyncio.wait(
                {drained, hurry}, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED
            )
            drained.cancel()
            hurry.cancel()
        self._addon.interrupt()
        self._lookup.close()
        if self._saying:
            self._saying.cancel()
        await self._handover.close(HURRIED_HANDOVER_S if stop.now.is_set() else HANDOVER_S)
        await self._master.hang_up(HANG_UP_S)
        self._master.shutdown()  # type: ignore[no-untyped-call]  # mitmproxy's
        if self._life:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._life

    async def _drained(self) -> None:
        while self._addon.live or not self._master.is_written:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)  # the end of a message is written after its hook

    def _open_run(self, id_: str, message: Message) -> Message:
        run = _run(id_, message)
        try:
            proxy = self._door(int(message.get("proxy_port") or 0))
            try:
                sni = self._door(int(message.get("sni_port") or 0))
            except AgentTraceError:
                proxy.close()
                raise
        except AgentTraceError as error:
            return {"run": id_, "error": error.problem, "remedy": error.remedy}
        proxy_port, sni_port = self._doors.open(run, proxy, sni)
        self._master.serve(self._doors.specs)
        return {"run": id_, "proxy_port": proxy_port, "sni_port": sni_port}

    async def _settle(self, id_: str, run: str) -> Message:
        """Wait until the calls that *run* has ended are safe, and say how many go on."""
        until = time.monotonic() + LEFT_S
        while (running := self._addon.under_way(run)) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        try:
            trouble = await self._handover.settle(SAFE_WITHIN_S)
        except TimeoutError:
            trouble = "the last calls are not written yet"
        return {"run": id_, "running": running, "trouble": trouble}

    def _open_namespace(self, id_: str, message: Message) -> Message:
        try:
            path = str(message.get("path"))
            handed = Handed.take(path, self._is_recorded, self._addon.blind)
        except AgentTraceError as error:
            return {"run": id_, "error": error.problem, "remedy": error.remedy}
        self._doors.open_namespace(_run(id_, message), handed)
        self._master.serve(self._doors.specs)
        return {"run": id_}

    def _is_recorded(self, host: str) -> bool:
        return self._gate.provider(host) is not None

    def _door(self, port: int, descriptor: int | None = None) -> socket.socket:
        if descriptor is not None:
            return inherited(descriptor)
        host, shared = self._settings.proxy_host, self._settings.workers > 1
        return listener(host, port, "The proxy", "proxy-port", shared=shared)

    def _prepare(self) -> None:
        settings = self._settings
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A host that is switched off keeps its name: switching must not cost a new root.
        known = hosts(settings.hosts_added, (), settings.hosts_enabled)
        names = certificate_names(known)
        if authority.ensure(settings.ca_folder, names):
            log.warning("There is a new certificate authority in %s", settings.ca_folder)
        authority.write_bundle(settings.ca_folder, os.environ, settings.upstream_ca)
        authority.write_upstream_roots(
            settings.run_folder / UPSTREAM_ROOTS, os.environ, settings.upstream_ca
        )


def _run(id_: str, message: Message) -> Run:
    return Run(
        id=id_,
        agent=str(message.get("agent") or ""),
        session=str(message.get("session") or ""),
        tags={str(k): str(v) for k, v in (message.get("tags") or {}).items()},
    )


def main() -> None:
    """Run until standard input ends or SIGTERM."""
    wake_once()
    close_always()
    # Who called is looked up in a thread, by dozens of small reads: after each it would wait for up
    # to 5 ms until the loop lets it go on, and short calls would be over.
    sys.setswitchinterval(0.001)
    take_slices(SHORT_NS)
    sys.exit(asyncio.run(_main()))


async def _main() -> int:
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        configuration = Configuration.parse(await lines.readline())
        logging.basicConfig(
            level=configuration.settings.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        worker = Worker(configuration)
        await worker.start()
    except AgentTraceError as error:
        _say({"error": error.problem, "remedy": error.remedy})
        return 1
    # What there is by now stays: to look through it for garbage again and again would stop all
    # streams for 60 to 100 ms every few seconds of load.
    gc.freeze()
    # A flow is garbage that only this finds.  Python's own 2,000 objects a time, and ten times that
    # each tenth time, held up one call in ten for 0.4 ms, and one in a hundred for 1 to 4.
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    gc.enable()
    proxy_port, sni_port = worker.ports
    _say({"ready": True, "proxy_port": proxy_port, "sni_port": sni_port})
    control = asyncio.create_task(_control(lines, worker, stop), name="control")
    await stop.asked.wait()
    await worker.stop(stop)
    control.cancel()
    return 0


async def _control(lines: asyncio.StreamReader, worker: Worker, stop: Stop) -> None:
    """Answer the parent until it hangs up."""
    later: set[asyncio.Task[None]] = set()
    while line := await lines.readline():
        try:
            message = json.loads(line)
            answer = worker.answer(message)
        except (ValueError, TypeError, AttributeError) as error:
            answer = {"error": f"That line cannot be used ({error})", "remedy": ""}
        if isinstance(answer, Coroutine):
            task = asyncio.create_task(_say_then(answer))
            later.add(task)
            task.add_done_callback(later.discard)
        elif answer is not None:
            _say(answer)
    stop.ask()


async def _say_then(answer: Coroutine[None, None, Message]) -> None:
    _say(await answer)


def _say(message: Message) -> None:
    with contextlib.suppress(OSError):  # the parent has gone; its end of stdin says so too
        print(json.dumps(message), flush=True)
