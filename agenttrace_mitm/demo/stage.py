"""Where the demo plays: a fake provider, settings that lead to it, agents that call it.

Everything lives in a folder of its own below the home, so that made-up calls never mix with real
ones.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from ..launch.state import prepare
from ..settings import Settings
from .certificates import server_context
from .coding import PROMPTS
from .provider import HOSTS, answer
from .server import serve

FOLDER = Path(__file__).parent
AGENTS = (("agent.py",), ("coder.py", *PROMPTS))


@contextlib.asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Settings]:
    """Settings like *settings*, with a fresh database and all providers played on loopback."""
    home = settings.home / "demo"
    shutil.rmtree(home, ignore_errors=True)
    prepare(settings)
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


async def play(environ: Mapping[str, str]) -> int:
    """Run each agent once in *environ*; the exit code of the first that failed, else 0."""
    for program, *words in AGENTS:
        command = (sys.executable, str(FOLDER / program), *words)
        agent = await asyncio.create_subprocess_exec(*command, env=dict(environ))
        if code := await agent.wait():
            return code
    return 0


def _free_port(host: str, wanted: int) -> int:
    """*wanted*, or 0 (any) when somebody listens there: a demo must not need a decision."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return 0
    return wanted
