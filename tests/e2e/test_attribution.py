"""Who called: fifty programs of three agents at the same moment, each call to its own."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agenttrace_mitm.demo.server import Answer, Request
from tests.support.instance import Instance
from tests.support.providers import json_answer, played

PROGRAMS = 50
AGENTS = ("planner", "coder", "reviewer")

PROGRAM = """
import http.client, json, os, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
print(flush=True)
sys.stdin.readline()
for number in (1, 2):
    connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context)
    connection.set_tunnel("api.openai.com", 443)
    asked = [{"role": "user", "content": f"{os.getpid()} {number}"}]
    body = json.dumps({"model": "gpt-5.5", "messages": asked})
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    assert connection.getresponse().read()
    connection.close()
"""


def _answer(request: Request) -> Answer:
    """Says back who asked."""
    said = json.loads(request.body)["messages"][-1]["content"]
    message = {"role": "assistant", "content": said}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = json_answer({"id": said, "model": "gpt-5.5", "choices": [choice], "usage": usage})
    return replace(answer, pause_s=0.1)  # no model answers sooner


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by sock_diag, on Linux")
async def test_fifty_programs_at_once(tmp_path: Path) -> None:
    """Three scripts in folders of their own, each many times; no label, no header, no login."""
    for agent in AGENTS:
        (tmp_path / agent).mkdir()
        (tmp_path / agent / f"{agent}.py").write_text(PROGRAM)
    pipe = asyncio.subprocess.PIPE
    async with played(tmp_path, _answer) as providers, Instance(providers.settings()) as instance:
        arguments = (str(instance.proxy_port), str(instance.root_certificate))
        children = {}
        for number in range(PROGRAMS):
            agent = AGENTS[number % len(AGENTS)]
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, f"{agent}.py", *arguments),
                cwd=tmp_path / agent,
                env=dict(os.environ),
                stdin=pipe,
                stdout=pipe,
            )
            children[child.pid] = agent, child
        for _, child in children.values():
            assert child.stdout
            await child.stdout.readline()  # it is ready
        for _, child in children.values():
            assert child.stdin
            child.stdin.write(b"go\n")
        assert {await child.wait() for _, child in children.values()} == {0}
        rows = await instance.rows(
            "select pid, process, cwd, agent_id, response_id from llm_calls",
            lambda rows: len(rows) == 2 * PROGRAMS,
        )
    found = sorted(
        (r["response_id"], r["pid"], r["process"], r["cwd"], r["agent_id"]) for r in rows
    )
    assert found == sorted(
        (f"{pid} {number}", pid, f"{agent}.py", str(tmp_path / agent), f"{agent}.py")
        for pid, (agent, _) in children.items()
        for number in (1, 2)
    )
