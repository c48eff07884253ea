"""The running instance: there, whole, of this version, and reachable."""

import http.client
import time
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..errors import AgentTraceError
from ..launch import control, environment, state
from ..store import recorders
from .finding import Finding, Patient
from .home import is_running

PATIENCE_S = 5.0
SETTLES_S = 10.0
LOOKS_EVERY_S = 0.05
RESTART = "agenttrace-mitm stop, then agenttrace-mitm start"


def status(patient: Patient) -> dict[str, Any] | None:
    """What the running instance says of itself, None when there is none."""
    client = control.connect(patient.settings.run_folder)
    if client is None:
        return None
    try:
        with client:
            return client.ask(op="status")
    except AgentTraceError:
        return None


def settle(patient: Patient) -> None:
    """Wait for an instance that is starting or ending, as after each `run`; not for long calls."""
    until = time.monotonic() + SETTLES_S
    while time.monotonic() < until:
        facts = status(patient)
        if not (facts.get("ending") if facts else is_running(patient.settings.run_folder)):
            return
        time.sleep(LOOKS_EVERY_S)


def instance(patient: Patient) -> Iterator[Finding]:
    """Processes up, of one version, proxy and pages answering."""
    facts = status(patient)
    if facts is None:
        yield _absent(patient)
        return
    if facts.get("ending"):
        said = f"pid {facts['pid']} is ending: it waits for the calls under way"
        yield Finding("instance", "note", said)
        return
    down = [name for name, process in facts["processes"].items() if not process["up"]]
    if down:
        said = f"pid {facts['pid']} runs, but {', '.join(down)} is down"
        yield Finding("instance", "wrong", said, "See agenttrace-mitm logs")
    else:
        yield Finding("instance", "ok", f"runs as pid {facts['pid']}")
    if facts["version"] != __version__:
        said = f"{facts['version']} is running, {__version__} is installed"
        yield Finding("version", "wrong", said, RESTART)
    else:
        yield Finding("version", "ok", f"{__version__}, running and installed")
    host, port = state.reachable(facts["proxy_host"]), facts["proxy_port"]
    yield _answers("proxy", f"http://{host}:{port}", host, port)
    if facts.get("port"):
        host, port = state.reachable(facts["host"]), facts["port"]
        yield _answers("pages", f"http://{host}:{port}/", host, port)


def _absent(patient: Patient) -> Finding:
    if is_running(patient.settings.run_folder):
        said = "somebody holds the lock of this home and does not answer"
        return Finding("instance", "wrong", said, "Wait a moment; then see agenttrace-mitm logs")
    found = recorders.recorder_of(patient.settings.database)
    if found and not found.is_ours:
        return Finding("instance", "note", f"{found} records into {patient.settings.database}")
    return Finding("instance", "note", "nothing is running; `run` starts one by itself")


def _answers(check: str, url: str, host: str, port: int) -> Finding:
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/-/agenttrace-doctor")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        said = f"{url} does not answer ({error})"
        return Finding(check, "wrong", said, f"{RESTART}; see agenttrace-mitm logs")
    finally:
        connection.close()
    return Finding(check, "ok", f"{url} answers")


def shell(patient: Patient) -> Iterator[Finding]:
    """Whether this shell was told of a proxy that is there no more."""
    if environment.SAVED not in patient.environ:
        return
    proxy = patient.environ.get("HTTPS_PROXY", "")
    facts = status(patient)
    # A `run` has ports of its own, which only it knows: then we are inside of it.
    known = facts is not None and (
        proxy.rpartition(":")[2] == str(facts["proxy_port"]) or bool(facts["runs"])
    )
    if not known:
        said = f"this shell sends everything to {proxy}, where nobody listens"
        undo = 'eval "$(agenttrace-mitm env --unset)"'
        yield Finding("shell", "wrong", said, undo)
    else:
        yield Finding("shell", "ok", f"this shell is recorded through {proxy}")
