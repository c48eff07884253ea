"""Any program, any language, untouched: each through `run --` and `run --transparent --`.

Right bytes, one row, right process name.  What a machine does not have is skipped by name;
`scripts/runtimes` installs what npm has.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agenttrace_mitm.launch.transparent import why_not
from tests.providers.test_gemini_grpc import framed, pb
from tests.support.fake_upstream import PROVIDERS, Exchange, Upstream
from tests.support.instance import select

from . import wire
from .programs import GRPC_METHOD, Program, programs

FORBIDDEN = why_not()
COMMAND = [sys.executable, "-m", "agenttrace_mitm"]
PROGRAMS = programs(wire.TEXT)
GRPC_REPLY = pb(
    (1, pb((1, pb((1, pb((2, "Hi."))), (2, "model"))), (2, 1))), (3, pb((1, 5), (2, 2)))
)
ANSWERS = {
    "/chat/completions": wire.openai_chat,
    "/v1/messages": wire.anthropic,
    ":generateContent": wire.google,
}
PATIENCE_S = 120.0
THOUGHT_S = 0.1
"""No model answers sooner; a call that is over at once can be over before anybody looks who made
it, where more programs want the processor than there are."""


async def answer(exchange: Any) -> None:
    """What the providers say, on HTTP/1, HTTP/2 and gRPC."""
    target = exchange.request.target
    await asyncio.sleep(THOUGHT_S)
    if target == GRPC_METHOD:
        await exchange.ended.wait()
        exchange.start(200, [("content-type", "application/grpc")])
        exchange.data(framed(GRPC_REPLY))
        exchange.trailers([("grpc-status", "0")])
        return
    if isinstance(exchange, Exchange):
        await exchange.read_body()
    reply = next(reply for part, reply in ANSWERS.items() if part in target)
    await exchange.respond(200, b"".join(reply()), [("content-type", "application/json")])


class Place:
    """An AgentTrace that runs, and a provider behind it."""

    def __init__(self, environ: dict[str, str], home: Path) -> None:
        self.environ = environ
        self.home = home

    def rows(self, agent: str) -> list[dict[str, Any]]:
        """The calls of *agent*, once they are all there: none comes after the first."""
        end = time.monotonic() + PATIENCE_S
        sql = "select * from llm_calls where agent_id = ? and outcome <> 'in_flight'"
        while not (found := select(self.home / "data.db", sql, agent)) and time.monotonic() < end:
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The providers, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="providers", daemon=True)
    thread.start()
    found = Upstream(tmp_path_factory.mktemp("upstream"), answer, alpn=("h2", "http/1.1"))
    asyncio.run_coroutine_threadsafe(found.__aenter__(), loop).result()
    yield found
    asyncio.run_coroutine_threadsafe(found.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def place(upstream: Upstream) -> Iterator[Place]:
    """An instance that stays: what is measured is the programs."""
    home = Path(tempfile.mkdtemp(prefix="at-"))  # short: sockets have short names
    environ = os.environ | {
        "AGENTTRACE_HOME": str(home),
        "AGENTTRACE_PROXY_PORT": "0",
        "AGENTTRACE_PORT": "0",
        "AGENTTRACE_UPSTREAM_CA": str(upstream.ca),
        "AGENTTRACE_UPSTREAM_MAP": json.dumps(upstream.map(*PROVIDERS)),
    }
    subprocess.run([*COMMAND, "start", "--detach", "--no-open"], env=environ, check=True)
    try:
        yield Place(environ, home)
    finally:
        subprocess.run([*COMMAND, "stop", "--now"], env=environ, check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are: built once for both ways."""
    return tmp_path_factory.mktemp("programs")


def _recorded(place: Place, folder: Path, program: Program, *options: str) -> None:
    try:
        command = program.prepare(folder)
    except LookupError as missing:
        pytest.skip(str(missing))
    agent = " ".join([program.id, *options])
    done = subprocess.run(
        [*COMMAND, "run", "--quiet", "--agent", agent, *options, "--", *command],
        env=place.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, _expected(program)), done.stderr.decode()
    [row] = place.rows(agent)
    assert row["outcome"] == "ok"
    assert row["tokens_in"]
    # A compiled program is called after itself, any other after its source.
    called = Path(command[0]).name if program.runtime == "go" else program.file
    assert (row["process"] or "").startswith(called)


def _expected(program: Program) -> bytes:
    if program.told:
        return program.told.encode()
    if program.file == "with_grpc.py":
        return GRPC_REPLY
    return b"".join(wire.openai_chat())


@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.env], ids=lambda p: p.id)
def test_environment(place: Place, folder: Path, program: Program) -> None:
    """By variables and hooks."""
    _recorded(place, folder, program)


@pytest.mark.skipif(bool(FORBIDDEN), reason=f"no namespaces here: {FORBIDDEN}")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.id)
def test_transparent(place: Place, folder: Path, program: Program) -> None:
    """By a network of its own, whatever the program thinks of variables."""
    _recorded(place, folder, program, "--transparent")
