"""A piece of work that real coding agents are told to do: look, edit, run, ask a sub-agent, commit.

What a model would say at each step depends on nothing but how many results the conversation has.
"""

import json
from pathlib import Path
from typing import Any

from . import agent_scripts as scripts
from .agent_scripts import Call

FILE = "parse.py"
BEFORE = "def parse(text):\n    return text.split()\n\n\nprint(parse('a,b'))\n"
OLD, NEW = "text.split()", 'text.split(",")'
AFTER = BEFORE.replace(OLD, NEW)
RUN = f"python3 {FILE}"
PRINTED = "['a', 'b']"
ASKED_BELOW = "Find out whether anything else splits at blanks, and say so in a sentence."
LOOK = "grep -rn split ."
ANSWER_BELOW = "Nothing else splits at blanks."
SUBJECT = "Split at commas"
COMMIT = f'git add {FILE} && git commit -m "{SUBJECT}"'
DONE = "It splits at commas now, and that is committed."

_HUNK = [
    " def parse(text):",
    f"-    return {OLD}",
    f"+    return {NEW}",
    " ",
    " ",
    " print(parse('a,b'))",
]
PATCH = "\n".join(["*** Begin Patch", f"*** Update File: {FILE}", "@@", *_HUNK, "*** End Patch"])


def anthropic(work: Path, body: dict[str, Any]) -> bytes:
    """What Claude says: to Claude Code, and to the sub-agent that it starts."""
    if not any(tool.get("name") == "Bash" for tool in body.get("tools", ())):
        return scripts.anthropic_answer(body, scripts.TITLE)
    below = ASKED_BELOW in json.dumps(body["messages"][0])
    path = str(work / FILE)
    steps: list[str | Call] = [
        ("Read", "", {"file_path": path}),
        ("Edit", "", {"file_path": path, "old_string": OLD, "new_string": NEW}),
        ("Bash", "", {"command": RUN, "description": "Run it"}),
        (
            "Agent",
            "",
            {
                "description": "Look for more",
                "prompt": ASKED_BELOW,
                "subagent_type": "general-purpose",
                "run_in_background": False,
            },
        ),
        ("Bash", "", {"command": COMMIT, "description": "Commit it"}),
        DONE,
    ]
    if below:
        steps = [("Bash", "", {"command": LOOK, "description": "Look"}), ANSWER_BELOW]
    results = sum(
        block.get("type") == "tool_result"
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    )
    return scripts.anthropic_answer(body, _step(steps, results, below=below))


def openai(_: Path, body: dict[str, Any]) -> bytes:
    """What the model says to Codex, whose tool takes scripts."""
    sources = [
        f'text(await tools.exec_command({{cmd: "cat {FILE}"}}));',
        f"text(await tools.apply_patch({json.dumps(PATCH)}));",
        f"text(await tools.exec_command({json.dumps({'cmd': RUN})}));",
        f"text(await tools.exec_command({json.dumps({'cmd': COMMIT})}));",
    ]
    results = sum(str(item.get("type")).endswith("_call_output") for item in body["input"])
    if results >= len(sources):
        return scripts.openai_answer(body, DONE)
    call = {"id": f"item_{results}", "call_id": f"call_{results}", "status": "completed"}
    call |= {"type": "custom_tool_call", "name": "exec", "input": sources[results]}
    return scripts.openai_answer(body, call)


def openai_team(_: Path, body: dict[str, Any]) -> bytes:
    """What it says to Codex where tools are functions, and to the sub-agent that it starts."""
    start = {"task_name": "look", "message": ASKED_BELOW, "fork_turns": "none"}
    steps: list[str | dict[str, Any]] = [
        _function("exec_command", cmd=f"cat {FILE}"),
        {"type": "custom_tool_call", "name": "apply_patch", "input": PATCH},
        _function("exec_command", cmd=RUN),
        _function("spawn_agent", **start) | {"namespace": "collaboration"},
        _function("wait_agent", timeout_ms=30_000) | {"namespace": "collaboration"},
        _function("exec_command", cmd=COMMIT),
        DONE,
    ]
    below = "x-codex-parent-thread-id" in body["client_metadata"]
    if below:
        steps = [_function("exec_command", cmd=LOOK), ANSWER_BELOW]
    results = sum(str(item.get("type")).endswith("_call_output") for item in body["input"])
    says = steps[min(results, len(steps) - 1)]
    if isinstance(says, dict):
        id_ = f"{'below' if below else 'main'}_{results}"
        says = says | {"id": f"item_{id_}", "call_id": f"call_{id_}", "status": "completed"}
    return scripts.openai_answer(body, says)


def _function(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}


def google(work: Path, body: dict[str, Any]) -> bytes:
    """What Gemini says: to Gemini CLI, and to the sub-agent that it starts."""
    declared = [f for tool in body.get("tools", ()) for f in tool.get("functionDeclarations", ())]
    names = {function["name"] for function in declared}
    if "run_shell_command" not in names:
        return scripts.google_answer(body, DONE)
    path = str(work / FILE)
    below = "complete_task" in names
    edit = {"file_path": path, "instruction": "Split at commas", "old_string": OLD}
    steps: list[str | Call] = [
        ("read_file", "", {"file_path": path}),
        ("replace", "", edit | {"new_string": NEW}),
        ("run_shell_command", "", {"command": RUN}),
        ("invoke_agent", "", {"agent_name": "generalist", "prompt": ASKED_BELOW}),
        ("run_shell_command", "", {"command": COMMIT}),
        DONE,
    ]
    if below:
        steps = [
            ("run_shell_command", "", {"command": LOOK}),
            ("complete_task", "", {"result": {"response": ANSWER_BELOW}}),
        ]
    results = sum(
        "functionResponse" in part for content in body["contents"] for part in content["parts"]
    )
    return scripts.google_answer(body, _step(steps, results, below=below))


def _step(steps: list[str | Call], results: int, *, below: bool) -> str | Call:
    says = steps[min(results, len(steps) - 1)]
    if isinstance(says, str):
        return says
    name, _, arguments = says
    return name, f"toolu_{'below' if below else 'main'}_{results}", arguments
