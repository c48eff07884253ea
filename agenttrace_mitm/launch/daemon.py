"""The supervisor as a process of its own: behind `start --detach`, and behind `run`.

It speaks the protocol of its own children (see `children`): settings in, one ready line out, and
EOF means that its owner is gone.  With `--stay` it goes on nevertheless.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

from ..errors import AgentTraceError
from ..settings import Settings, heard
from . import logs, state
from .children import Program
from .supervisor import PROGRAMS, supervised


def spawn(settings: Settings, environ: Mapping[str, str], *, stay: bool) -> subprocess.Popen[bytes]:
    """Start the daemon in a session of its own and wait until it is ready.

    Its stdin is kept open by the caller: closing it lets the daemon end when unused.
    Raises `TakenError` where there is one already, else `AgentTraceError`.
    """
    state.prepare(settings)
    with logs.opened(settings.log_folder, "supervisor") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *(["--stay"] if stay else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(environ),
            start_new_session=True,
        )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(settings.told()).encode() + b"\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
    except (OSError, ValueError):
        process.stdin.close()
        raise AgentTraceError(
            "AgentTrace did not start", f"See {logs.file(settings.log_folder, 'supervisor')}"
        ) from None
    if "error" in said:
        process.stdin.close()
        process.wait()
        kind = state.TakenError if said["taken"] else AgentTraceError
        raise kind(said["error"], said["remedy"])
    return process


async def _serve(settings: Settings, programs: Iterable[Program], *, stay: bool) -> None:
    async with supervised(settings, os.environ, stays=stay, programs=programs) as supervisor:
        # A program can run before the pages are there; a failing page server must not stop it.
        await supervisor.ready(*(() if stay else ("recorder", "capture")))
        _say({"ready": True, "pid": os.getpid()})
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), lambda: _stdin_closed(loop, supervisor.owner_left))
        if not stay:
            web = asyncio.create_task(supervisor.ready(), name="web")
            web.add_done_callback(lambda done: done.cancelled() or done.exception())
        await supervisor.stop_asked.wait()


def _stdin_closed(loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        then()


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def main(programs: Iterable[Program] = PROGRAMS) -> int:
    """Read the settings from stdin, serve, say what went wrong on stdout."""
    # os.read, not sys.stdin: a buffered reader would hide the EOF from the event loop.
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 1 << 16)):
        line += more
    try:
        settings = heard(json.loads(line))
        asyncio.run(_serve(settings, programs, stay="--stay" in sys.argv[1:]))
    except AgentTraceError as error:
        taken = isinstance(error, state.TakenError)
        _say({"error": error.problem, "remedy": error.remedy, "taken": taken})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
