"""A small coding agent: asks a model, does what its tools are asked for, and asks again.

Runs as a program of its own (`python coder.py`), standard library only.  It works in a throw-away
folder; what it is asked to run there comes from the demo's own script.
"""

import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

KEY = "demo-key-that-opens-nothing"
URL = "https://api.anthropic.com/v1/messages"
SYSTEM = "You are a careful coder. " + "Read before you write, and run the tests after. " * 60
NAMES = ("Read", "Edit", "Bash", "Grep", "TodoWrite", "Agent")
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in NAMES]
FILES = {
    "prices.py": '''"""Prices as people write them."""


def parse_price(text):
    """The price in cents."""
    return int(text.strip("$").replace(".", ""))
''',
    "checkout.py": """from prices import parse_price


def total(prices):
    return sum(parse_price(price) for price in prices)
""",
    "report.py": """from prices import parse_price


def line(name, price):
    return f"{name}: {parse_price(price) / 100:.2f}"
""",
    "test_prices.py": """import unittest

import prices


class Prices(unittest.TestCase):
    def test_cents(self):
        self.assertEqual(prices.parse_price("$1.05"), 105)

    def test_whole_dollars(self):
        self.assertEqual(prices.parse_price("$7"), 700)


if __name__ == "__main__":
    unittest.main()
""",
}


def ask(messages: list[dict[str, Any]], agent: str) -> list[dict[str, Any]]:
    """The blocks of the model's reply, put together from its stream."""
    body = {"model": "claude-sonnet-5-5", "max_tokens": 4096, "stream": True, "system": SYSTEM,
            "tools": TOOLS, "messages": messages}  # fmt: skip
    headers = {
        "content-type": "application/json", "x-api-key": KEY, "anthropic-version": "2023-06-01",
        "x-agenttrace-agent": agent, "x-agenttrace-session": "coding-demo",
    }  # fmt: skip
    request = urllib.request.Request(URL, json.dumps(body).encode(), headers)
    blocks: list[dict[str, Any]] = []
    with urllib.request.urlopen(request) as response:  # noqa: S310
        for line in response.read().decode().splitlines():
            if line.startswith("data: {"):
                fold(blocks, json.loads(line[6:]))
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"] or "{}")
    return blocks


def fold(blocks: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """Take an event of the stream into *blocks*."""
    if event["type"] == "content_block_start":
        block = event["content_block"]
        blocks.append(block | {"input": ""} if block["type"] == "tool_use" else block)
    elif event["type"] == "content_block_delta":
        delta = event["delta"]
        for name, field in (("text", "text"), ("thinking", "thinking"), ("partial_json", "input")):
            if name in delta:
                blocks[-1][field] += delta[name]


def use(name: str, told: dict[str, Any], folder: Path) -> tuple[str, bool]:
    """What a tool brings, and whether it failed."""
    match name:
        case "Read":
            lines = (folder / told["file_path"]).read_text().splitlines()
            return "".join(f"{n}\t{line}\n" for n, line in enumerate(lines, 1)), False
        case "Edit":
            file = folder / told["file_path"]
            text = file.read_text()
            file.write_text(text.replace(told["old_string"], told["new_string"], 1))
            return f"The file {told['file_path']} has been updated.", False
        case "Bash":
            words = [sys.executable, *told["command"].split()[1:]]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            output = done.stdout + done.stderr
            return f"Exit code {done.returncode}\n{output}", bool(done.returncode)
        case "Grep":
            found = [
                f"{file.name}:{n}:{line}"
                for file in sorted(folder.glob("*.py"))
                for n, line in enumerate(file.read_text().splitlines(), 1)
                if told["pattern"] in line
            ]
            return "\n".join(found), False
        case "Agent":
            asked = [{"role": "user", "content": told["prompt"]}]
            return work(asked, folder, "coder/search"), False
    return "Noted.", False


def work(messages: list[dict[str, Any]], folder: Path, agent: str = "coder") -> str:
    """Go on until the model calls no more tools; its last words."""
    while True:
        blocks = ask(messages, agent)
        messages.append({"role": "assistant", "content": blocks})
        results = []
        for block in blocks:
            if block["type"] == "tool_use":
                brought, failed = use(block["name"], block["input"], folder)
                result = {"type": "tool_result", "tool_use_id": block["id"], "content": brought}
                results.append(result | {"is_error": failed})
        if not results:
            return "".join(block.get("text", "") for block in blocks)
        messages.append({"role": "user", "content": results})


def main(prompts: list[str]) -> None:
    """One session: each of *prompts* in the same conversation."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in FILES.items():
            (folder / name).write_text(text)
        messages: list[dict[str, Any]] = []
        for prompt in prompts:
            messages.append({"role": "user", "content": prompt})
            work(messages, folder)


if __name__ == "__main__":
    # By way of an exception: the folder goes with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main(sys.argv[1:])
