"""Real coding agents through `run --`: a prompt, a command that they run, their calls as rows.

`scripts/agents` installs them; without it these tests are skipped by name.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_upstream import PROVIDERS, Exchange, Upstream
from tests.support.instance import select

from . import agent_scripts as scripts

INSTALLED = Path(__file__).parent / "agents" / "node_modules" / ".bin"
COMMAND = [sys.executable, "-m", "agenttrace_mitm"]
PROMPT = "Make the file made.txt"
PATIENCE_S = 180.0
ANSWERS: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "/v1/messages": (scripts.anthropic, "text/event-stream"),
    "/v1/responses": (scripts.openai, "text/event-stream"),
    ":streamGenerateContent": (scripts.google, "text/event-stream"),
    ":generateContent": (scripts.google, "application/json"),
}
MODELS = {"data": [], "models": [], "object": "list"}


@dataclass(frozen=True)
class Agent:
    """A coding agent: how it is started, what its environment needs, how it is told by the wire."""

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    client: str
    calls_itself: str
    provider: str
    tool: str


AGENTS = (
    Agent(
        "claude",
        ("-p", PROMPT, "--allowedTools", "Bash"),
        {"ANTHROPIC_API_KEY": "sk-ant-api03-not-a-key"},
        "claude-code",
        "claude-cli/2.1.329",
        "anthropic",
        "Bash",
    ),
    Agent(
        "codex",
        ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT),
        {"CODEX_API_KEY": "sk-not-a-key", "OPENAI_API_KEY": "sk-not-a-key"},
        "codex",
        "codex_exec/0.171.0",
        "openai",
        "",
    ),
    Agent(
        "gemini",
        ("-p", PROMPT, "--yolo", "-m", "gemini-2.5-pro"),
        {"GEMINI_API_KEY": "not-a-key", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
        "gemini-cli",
        "GeminiCLI-tui/0.61.0/",
        "google",
        "run_shell_command",
    ),
)


async def answer(exchange: Any) -> None:
    """What the script says; lists are empty, sockets are refused, all else is fine."""
    target = exchange.request.target.partition("?")[0]
    if exchange.request.header("upgrade"):
        await exchange.respond(404, b"{}")
        return
    if isinstance(exchange, Exchange):
        await exchange.read_body()
    else:
        await exchange.ended.wait()
    found = next((ANSWERS[part] for part in ANSWERS if target.endswith(part)), None)
    if found is None or exchange.request.method != "POST":
        known = [("content-type", "application/json")]
        await exchange.respond(200, json.dumps(MODELS).encode(), known)
        return
    script, kind = found
    body = script(json.loads(exchange.request.body))
    if kind == "text/event-stream" and body.startswith(b"{"):
        body = b"data: " + body + b"\r\n\r\n" if "Generate" in target else body
        kind = kind if "Generate" in target else "application/json"
    await exchange.respond(200, body, [("content-type", kind)])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The providers, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="providers", daemon=True)
    thread.start()
    found = Upstream(tmp_path_factory.mktemp("upstream"), answer)
    asyncio.run_coroutine_threadsafe(found.__aenter__(), loop).result()
    yield found
    with contextlib.suppress(Exception):  # agents hang up as they like
        asyncio.run_coroutine_threadsafe(found.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def environ(upstream: Upstream) -> Iterator[dict[str, str]]:
    """An instance that stays."""
    home = Path(tempfile.mkdtemp(prefix="at-"))  # short: sockets have short names
    given = os.environ | {
        "AGENTTRACE_HOME": str(home),
        "AGENTTRACE_PROXY_PORT": "0",
        "AGENTTRACE_PORT": "0",
        "AGENTTRACE_UPSTREAM_CA": str(upstream.ca),
        "AGENTTRACE_UPSTREAM_MAP": json.dumps(upstream.map(*PROVIDERS)),
    }
    subprocess.run([*COMMAND, "start", "--detach", "--no-open"], env=given, check=True)
    try:
        yield given
    finally:
        subprocess.run([*COMMAND, "stop", "--now"], env=given, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _rows(environ: dict[str, str], agent: Agent) -> list[dict[str, Any]]:
    """Its model calls in order, once both of them are there."""
    database = Path(environ["AGENTTRACE_HOME"]) / "data.db"
    sql = """
        select * from llm_calls
        where agent_id = ? and kind = 'llm' and outcome = 'ok' order by started_us
    """
    end = time.monotonic() + 30
    while len(found := select(database, sql, agent.name)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_a_coding_agent_is_recorded(agent: Agent, environ: dict[str, str], tmp_path: Path) -> None:
    """It works as without us; its calls have client, version, session, tokens and the tool call."""
    program = INSTALLED / agent.name
    if not program.exists():
        pytest.skip(f"{agent.name} is not installed: scripts/agents")
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    done = subprocess.run(
        [*COMMAND, "run", "--quiet", "--agent", agent.name, "--", str(program), *agent.arguments],
        cwd=work,
        env=environ | agent.environ | {"HOME": str(home), "IS_SANDBOX": "1", "CI": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    assert scripts.DONE in said
    assert (work / "made.txt").read_text() == "made-by-the-agent\n", said

    asked, told = _rows(environ, agent)[-2:]
    assert {asked["client"], told["client"]} == {agent.client}
    assert asked["user_agent"].startswith(agent.calls_itself)
    assert asked["provider"] == agent.provider
    assert asked["session_id"] == told["session_id"]
    assert asked["session_id"]
    assert (asked["tokens_in"], told["tokens_out"]) == (scripts.USED_IN, scripts.USED_OUT)
    assert asked["finish_reason"] == "tool_calls"
    assert told["continues_call_id"] == asked["id"]
    database = Path(environ["AGENTTRACE_HOME"]) / "data.db"
    [tool] = select(database, "select * from tool_calls where call_id = ?", asked["id"])
    assert scripts.COMMAND in (tool["arguments"] or "").replace("\\", "")
    assert tool["answered_by_call_id"] == told["id"]
    assert agent.tool in ("", tool["name"])
