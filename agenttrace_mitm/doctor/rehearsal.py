"""A real call by each runtime on this machine, through a proxy of ours, to a played provider.

A throw-away instance with a copy of the user's certificate authority stands between the two.
What counts is what arrived at the provider, what the program printed, and what was recorded.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from ..demo.certificates import server_context
from ..demo.server import Answer, Request, serve
from ..errors import AgentTraceError
from ..launch import environment, transparent
from ..launch.supervisor import PROGRAMS, supervised
from ..settings import Settings
from ..store import examined
from . import roots
from .finding import Finding, Patient
from .home import REHEARSAL_LOCK, REHEARSAL_PREFIX
from .runtimes import RUNTIMES, Runtime

HOST = "api.openai.com"
PATH = "/v1/models/agenttrace-doctor-"
ANSWER = json.dumps({"id": "agenttrace-doctor", "object": "model", "owned_by": "doctor"})
BLIND = "you are blind here"
AT_ONCE = 3
ROWS_WITHIN_S = 10.0


def rehearse(patient: Patient, only: Collection[str] = ()) -> list[Finding]:
    """A line for each runtime that is here, or for each of *only*."""
    search = patient.environ.get("PATH")
    found = [each for each in RUNTIMES if each.path(search) or each.name in only]
    chosen = [each for each in found if not only or each.name in only]
    try:
        return asyncio.run(_rehearse(patient, chosen))
    except AgentTraceError as error:
        return [Finding("rehearsal", "wrong", error.problem, error.remedy)]
    except OSError as error:
        said = f"no call was made: {error.filename}: {error.strerror}"
        return [Finding("rehearsal", "wrong", said, "Mend what is wrong above first")]


@dataclass
class _Stage:
    """Where the rehearsal takes place."""

    settings: Settings
    environ: Mapping[str, str] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)


async def _rehearse(patient: Patient, runtimes: list[Runtime]) -> list[Finding]:
    async with _staged(patient) as stage:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(runtime: Runtime) -> Finding:
            async with gate:
                return await _call(stage, runtime)

        findings = await asyncio.gather(*map(one, runtimes))
        good = sum(finding.state == "ok" for finding in findings)
        seen = [await _recorded(stage, good)] if good else []
        return [*findings, *seen, *_in_order(findings)]


def _in_order(findings: list[Finding]) -> list[Finding]:
    """What to try, said once, where a runtime goes unseen."""
    blind = [finding.check for finding in findings if finding.said.startswith(BLIND)]
    if not blind:
        return []
    said = f"{', '.join(blind)}: try in this order, and look with `tail` whether calls come"
    return [Finding("unseen", "note", said, roots.in_order(sys.platform))]


@contextlib.asynccontextmanager
async def _staged(patient: Patient) -> AsyncIterator[_Stage]:
    """An instance with a private home of its own, a played provider, what programs are told."""
    settings = patient.settings
    with contextlib.ExitStack() as stack:
        # Not in the home folder: the names of sockets have to be short.
        home = Path(tempfile.mkdtemp(prefix=REHEARSAL_PREFIX))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        lock = stack.enter_context((home / "lock.new").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        (home / "lock.new").rename(home / REHEARSAL_LOCK)  # never there without being held
        if settings.ca_folder.exists():
            shutil.copytree(settings.ca_folder, home / "ca")
        context, root = server_context(home / "provider", [HOST])
        stage = _Stage(settings)

        def answer(request: Request) -> Answer:
            stage.arrived.add(request.path)
            length = ("content-length", str(len(ANSWER)))
            return Answer(
                headers=(("content-type", "application/json"), length), pieces=(ANSWER.encode(),)
            )

        server, port = await serve(context, answer)
        stack.callback(server.close)
        stage.settings = replace(
            settings,
            home=home,
            db=None,
            proxy_host="127.0.0.1",
            proxy_port=0,
            workers=1,
            upstream_ca=root,
            upstream_proxy=None,
            upstream_map={HOST: f"https://127.0.0.1:{port}"},
            hosts_disabled=[each for each in settings.hosts_disabled if each != HOST],
        )
        plain = dict(patient.plain_environ)
        # No pages: nobody would look at them.
        async with supervised(stage.settings, plain, stays=True, programs=PROGRAMS[:2]) as running:
            await running.ready()
            ports = {"proxy_port": running.daemon.proxy_port, "sni_port": running.daemon.sni_port}
            told = dataclasses.replace(
                patient.context(stage.settings, ports), folder=home / _inside(settings.run_folder)
            )
            chosen = environment.variables(told, plain)
            caches = {"GOCACHE": str(home / "go"), "GOPATH": str(home / "go"), "GO111MODULE": "off"}
            stage.environ = {**plain, **chosen, **caches}
            yield stage


def _inside(folder: Path) -> Path:
    """The place of *folder* below another: what a program makes of blanks and quotes shows."""
    return Path(os.path.normpath(folder)).relative_to(folder.anchor) / "env"


async def _call(stage: _Stage, runtime: Runtime) -> Finding:
    program = runtime.path(stage.environ.get("PATH"))
    if program is None:
        return Finding(runtime.name, "skipped", "not on PATH")
    folder = stage.settings.home / runtime.name
    folder.mkdir()
    command = runtime.command(program, f"https://{HOST}{PATH}{runtime.name}", folder)
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=dict(stage.environ),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return Finding(runtime.name, "skipped", f"{program} cannot be run ({error.strerror})")
    try:
        async with asyncio.timeout(runtime.patience_s):
            out, err = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        said = f"no answer within {runtime.patience_s:.0f} s"
        return Finding(runtime.name, "wrong", said, roots.unproxied(sys.platform))
    return _judged(stage, runtime, program, out.decode("utf-8", "replace"), err)


def _judged(stage: _Stage, runtime: Runtime, program: str, out: str, err: bytes) -> Finding:
    arrived = f"{PATH}{runtime.name}" in stage.arrived
    if arrived and out == ANSWER:
        return Finding(runtime.name, "ok", f"{program} is recorded")
    complaint = err.decode("utf-8", "replace")
    if runtime.unable and runtime.unable in complaint:
        return Finding(runtime.name, "skipped", f"{program} cannot run a source file")
    last = next((line for line in reversed(complaint.splitlines()) if line.strip()), "no output")
    if arrived:
        said = f"{program} does not show the answer that it got: {last.strip()}"
        return Finding(runtime.name, "wrong", said)
    if roots.is_about_trust(complaint):
        said = f"{BLIND}: {program} does not trust our root: {last.strip()}"
        return Finding(runtime.name, "wrong", said, roots.distrust(runtime.name, "", sys.platform))
    said = f"{BLIND}: {program} does not use the proxy: {last.strip()}"
    return Finding(runtime.name, "wrong", said, roots.unproxied(sys.platform))


async def _recorded(stage: _Stage, expected: int) -> Finding:
    """Whether the calls that went through have their rows."""
    deadline = asyncio.get_running_loop().time() + ROWS_WITHIN_S
    found = 0
    while asyncio.get_running_loop().time() < deadline:
        found = examined.calls(stage.settings.database, PATH)
        if found >= expected:
            return Finding("recorder", "ok", f"{found} calls of {expected} have their row")
        await asyncio.sleep(0.1)
    said = f"only {found} calls of {expected} have a row"
    return Finding("recorder", "wrong", said, "See agenttrace-mitm logs")


def namespaces() -> Finding:
    """Whether `run --transparent` works here."""
    if why := transparent.why_not():
        said = f"not here: {why}; `run` uses the proxy variables instead"
        return Finding("transparent", "note", said)
    return Finding("transparent", "ok", "programs that know no proxy can be recorded as well")
