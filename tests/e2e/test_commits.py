"""A program's commits, from its calls through the proxy to the rows; and when nobody asks git."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.git import Git
from tests.support.instance import Instance
from tests.support.providers import json_answer, played

CANARY = "canary-subject"
COMMAND = f"git commit -qam {CANARY}"
PROGRAM = """
import json, os, ssl, subprocess, sys, urllib.request
proxy, root = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({"https": proxy}), urllib.request.HTTPSHandler(context=context)
)

def call(messages):
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": messages}
    request = urllib.request.Request(
        "https://api.anthropic.com/v1/messages", json.dumps(body).encode(),
        {"content-type": "application/json", "x-claude-code-session-id": "s-1"},
    )
    return json.load(opener.open(request))["content"]

asked = [{"role": "user", "content": "Commit it."}]
[block] = call(asked)
with open("a.py", "a") as file:
    file.write("2\\n")
done = subprocess.run(["sh", "-c", block["input"]["command"]], capture_output=True, text=True)
result = {"type": "tool_result", "tool_use_id": block["id"], "content": done.stdout + done.stderr}
result["is_error"] = done.returncode != 0
asked += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
call(asked)
"""


def _answer(request: Request) -> Answer:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    usage = {"usage": {"input_tokens": 9, "output_tokens": 9}, "stop_reason": "end_turn"}
    block = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": COMMAND}}
    if b"tool_result" in request.body:
        block = {"type": "text", "text": "Done."}
    return json_answer(message | usage | {"content": [block]})


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that has a line for each time that a program of ours asks git."""
    file, real = tmp_path / "asked", shutil.which("git")
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho "$@" >> {file}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    return file


@pytest.mark.parametrize(
    "given", [{}, {"privacy_tier": 2}, {"privacy_tier": 1}, {"git": False}], ids=str
)
async def test_git_is_asked_where_it_may_be(
    given: dict[str, int], tmp_path: Path, asked: Path
) -> None:
    """By default; never at tier 1, never where it is switched off, and then nothing is kept."""
    git = Git(tmp_path / "shop")
    git.commit("Before", 0, a_py="1\n")
    for name in ("name", "email"):
        git("config", f"user.{name}", "a@example.org")
    asked.unlink()  # until here, it was the test
    async with played(tmp_path, _answer) as providers:
        async with Instance(providers.settings(**given)) as instance:
            environ = os.environ | {"PATH": os.environ["PATH"].partition(":")[2]}
            root = str(instance.root_certificate)
            proxy = f"http://127.0.0.1:{instance.proxy_port}"
            arguments = (sys.executable, "-c", PROGRAM, proxy, root)
            program = await asyncio.create_subprocess_exec(*arguments, cwd=git.folder, env=environ)
            assert await program.wait() == 0
            await instance.rows(
                "select * from llm_calls where outcome = 'ok'", lambda r: len(r) == 2
            )
        commits = await instance.rows("select * from commits", lambda r: True)
    wanted = given in ({}, {"privacy_tier": 2})
    told = asked.read_text() if asked.exists() else ""
    assert bool(told) == wanted
    assert "log" in told or not wanted
    head = git.head
    found = [(row["sha"], row["message"], row["how"], row["session_id"]) for row in commits]
    assert found == [(head, CANARY, "time", "s-1")] * wanted
    if given.get("privacy_tier") == 1:
        kept = b"".join(f.read_bytes() for f in providers.home.rglob("*") if f.is_file())
        assert CANARY.encode() not in kept
        assert head.encode() not in kept
