"""Where the demo plays: a fake provider, settings that lead to it, agents that call it.

Everything lives in a folder of its own below the home, so that made-up calls never mix with real
ones.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from ..errors import AgentTraceError
from ..launch import control
from ..launch.state import lock, prepare, read
from ..settings import Settings
from .certificates import server_context
from .coding import PROMPTS
from .provider import HOSTS, answer
from .server import serve

FOLDER = Path(__file__).parent
AGENTS = (("agent.py",), ("coder.py", *PROMPTS))


@contextlib.asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Settings]:
    """Settings like *settings*, with a fresh database and all providers played on loopback.

    Raises `AgentTraceError` where a demo is under way: it keeps its database.
    """
    home = settings.home / "demo"
    prepare(settings)
    with lock(settings.run_folder / "demo.lock") as ours:
        if not ours or _is_used(home):
            raise _plays_already(home)
        shutil.rmtree(home, ignore_errors=True)
        async with _played(settings, home) as found:
            yield found


@contextlib.asynccontextmanager
async def _played(settings: Settings, home: Path) -> AsyncIterator[Settings]:
    context, root = server_context(home / "provider", HOSTS)
    server, port = await serve(context, answer)
    try:
        yield replace(
            settings,
            home=home,
            db=None,
            upstream_ca=root,
            upstream_proxy=None,
            upstream_map=dict.fromkeys(HOSTS, f"https://127.0.0.1:{port}"),
            hosts_disabled=[],
            proxy_port=_free_port(settings.proxy_host, settings.proxy_port),
            port=_free_port(settings.host, settings.port),
        )
    finally:
        server.close()


async def play(environ: Mapping[str, str], stop: asyncio.Event) -> int:
    """Run each agent once in *environ*, until *stop*; the exit code of the first that failed.

    0 when none did: to be ended by *stop* is no failure.
    """
    for program, *words in AGENTS:
        # In a group of its own: the terminal's Ctrl-C is for us, and we end it.
        agent = await asyncio.create_subprocess_exec(
            sys.executable,
            str(FOLDER / program),
            *words,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        ended = asyncio.ensure_future(agent.wait())
        asked = asyncio.ensure_future(stop.wait())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stop.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGTERM)
            await ended
            return 0
        if code := ended.result():
            return code
    return 0


def _is_used(home: Path) -> bool:
    """Whether an instance runs on the demo's home, whoever started it."""
    if client := control.connect(home / "run"):
        client.close()
    return client is not None


def _plays_already(home: Path) -> AgentTraceError:
    daemon = read(home / "run")
    pages = f" (pages {daemon.web_url})" if daemon and daemon.web_url else ""
    stop = f"AGENTTRACE_HOME={shlex.quote(str(home))} agenttrace-mitm stop"
    return AgentTraceError(
        f"A demo is under way already{pages}", f"Look at that one, or end it: {stop}"
    )


def _free_port(host: str, wanted: int) -> int:
    """*wanted*, or 0 (any) when somebody listens there: a demo must not need a decision."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return 0
    return wanted
