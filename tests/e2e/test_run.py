"""`run -- CMD` with programs in other languages: captured, attributed, not disturbed."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.support.instance import select
from tests.support.providers import Played, json_answer, played

from .test_sdks import REPLIES, answer

PATIENCE_S = 60
CURL = shutil.which("curl")
NODE = shutil.which("node")
URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}

NODE_PROGRAM = """
const [url, body] = process.argv.slice(1);
const response = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/json", authorization: "Bearer sk-e2e-0123456789abcdef" },
  body,
});
process.stdout.write(await response.text());
"""


async def _run(providers: Played, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """`agenttrace-mitm run` with *command*: exit code, stdout, stderr."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agenttrace_mitm", "run", "--agent", "tester", *command),
        env=providers.environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(stdin)
    assert child.returncode is not None
    return child.returncode, out, err


def _served(streamed: bool) -> bytes:
    *_, plain, stream = REPLIES["openai_chat"]
    return b"".join(stream() if streamed else plain())


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_curl(tmp_path: Path, streamed: bool) -> None:
    """curl gets the bytes that were served; the row says whose call it was."""
    body = json.dumps(ASKED | {"stream": streamed})
    async with played(tmp_path, answer) as providers:
        command = ["--", "curl", "-sSN", URL, "-H", "authorization: Bearer sk-e2e-0123456789abcdef"]
        code, out, err = await _run(providers, *command, "-d", body)
        assert (code, out) == (0, _served(streamed)), err.decode()
        rows = select(providers.home / "data.db", "select * from llm_calls")
    assert [(row["agent_id"], row["outcome"], row["tokens_in"]) for row in rows] == [
        ("tester", "ok", 120)
    ]
    assert rows[0]["client"] == "curl"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_node_fetch(tmp_path: Path, streamed: bool) -> None:
    """Node's own fetch, which ignores proxy variables in older versions."""
    program = tmp_path / "program.mjs"
    program.write_text(NODE_PROGRAM.replace("slice(1)", "slice(2)"))
    body = json.dumps(ASKED | {"stream": streamed})
    async with played(tmp_path, answer) as providers:
        code, out, err = await _run(providers, "--", "node", str(program), URL, body)
        assert (code, out) == (0, _served(streamed)), err.decode()
        rows = select(providers.home / "data.db", "select * from llm_calls")
    assert [(row["agent_id"], row["outcome"], row["tokens_out"]) for row in rows] == [
        ("tester", "ok", 30)
    ]


async def test_exit_code_input_and_output_are_the_programs(tmp_path: Path) -> None:
    """What goes in and comes out is not ours; nothing is left running."""
    echo = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(7)"
    async with played(tmp_path, lambda _: json_answer({})) as providers:
        code, out, _ = await _run(providers, "--", sys.executable, "-c", echo, stdin=b"hello")
        assert (code, out) == (7, b"HELLO")
        assert not (providers.home / "run" / "recorder.sock").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only there can an environment be read")
async def test_a_program_that_keeps_the_proxy_out(tmp_path: Path) -> None:
    """A script that sets NO_PROXY for what it starts is a blind spot, and named."""
    script = f"NO_PROXY='.openai.com, x' {shutil.which('sleep')} 600 & read line; kill $!"
    async with played(tmp_path, lambda _: json_answer({})) as providers:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agenttrace_mitm", "run", "--", "sh", "-c", script),
            env=providers.environ,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        database, rows = providers.home / "data.db", []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not rows and child.returncode is None:
                    await asyncio.sleep(0.1)
                    if database.exists():
                        with contextlib.suppress(sqlite3.OperationalError):  # tables are being made
                            rows = select(database, "select * from blind_spots")
        await child.communicate(b"\n")  # or its program would stay
    [row] = rows
    assert (row["host"], row["client"]) == (".openai.com", "sleep")
    assert "NO_PROXY" in row["reason"]
