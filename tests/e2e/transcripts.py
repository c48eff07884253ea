"""What coding agents wrote down of a session themselves, to hold what was recorded against it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Turn:
    """One answer of a model: its tokens (those from a cache are of those in), the tools called."""

    model: str
    tokens_in: int
    cached: int
    tokens_out: int
    tools: tuple[str, ...]


@dataclass(frozen=True)
class Transcript:
    """An agent's own account.

    `session_id` is empty where the wire has none; `turns` are in order, the main conversation
    first; `diff` are the lines of hunks without their heads.
    """

    session_id: str
    prompts: list[str]
    reply: str
    turns: list[Turn]
    diff: list[str]
    below: list[str]
    """What sub-agents were asked."""
    cost_usd: float | None = None

    @property
    def tools(self) -> list[str]:
        """The tools that were called."""
        return [tool for turn in self.turns for tool in turn.tools]


def claude(home: Path) -> Transcript:
    """`~/.claude/projects/<folder>/<session>.jsonl`, and a file for each sub-agent."""
    [file] = (home / ".claude" / "projects").glob("*/*.jsonl")
    rows = [*_rows(file)]
    below = [row for each in sorted(file.parent.glob("*/subagents/*.jsonl")) for row in _rows(each)]
    said = [row["message"] for row in rows if row["type"] == "user"]
    # A row for each block, usage repeated: an answer is known by its id.
    answers: dict[str, list[dict[str, Any]]] = {}
    for row in rows + below:
        if row["type"] == "assistant":
            answers.setdefault(row["message"]["id"], []).append(row["message"])
    patches = [row["toolUseResult"].get("structuredPatch") for row in rows if _has_result(row)]
    [cost] = [row["totalCostUSD"] for row in rows if row["type"] == "cost-state"]
    return Transcript(
        session_id=file.stem,
        prompts=[message["content"] for message in said if isinstance(message["content"], str)],
        reply=[r["message"] for r in rows if r["type"] == "assistant"][-1]["content"][0]["text"],
        turns=[_claude_turn(blocks) for blocks in answers.values()],
        diff=[line for patch in patches if patch for hunk in patch for line in hunk["lines"]],
        below=[r["message"]["content"] for r in below if r["type"] == "user"][:1],
        cost_usd=cost,
    )


def _claude_turn(blocks: list[dict[str, Any]]) -> Turn:
    used = blocks[-1]["usage"]
    cached = used["cache_read_input_tokens"]
    called = [one for message in blocks for one in message["content"] if one["type"] == "tool_use"]
    return Turn(
        blocks[-1]["model"],
        used["input_tokens"] + cached,
        cached,
        used["output_tokens"],
        tuple(one["name"] for one in called),
    )


def _has_result(row: dict[str, Any]) -> bool:
    return isinstance(row.get("toolUseResult"), dict)


def codex(home: Path) -> Transcript:
    """`~/.codex/sessions/YYYY/MM/DD/rollout-<time>-<thread>.jsonl`, one for each sub-agent too."""
    files = sorted((home / ".codex" / "sessions").rglob("rollout-*.jsonl"))
    all_ = [[(row["type"], row["payload"]) for row in _rows(file)] for file in files]
    [rows] = [one for one in all_ if not one[0][1].get("parent_thread_id")]
    below = [one for one in all_ if one is not rows]
    items = [p["item"] for _, p in rows if p.get("type") == "item_completed"]
    changes = [
        change["unified_diff"].splitlines()[1:]
        for item in items
        if item["type"] == "FileChange"
        for change in item["changes"].values()
    ]
    return Transcript(
        session_id=next(payload["id"] for type_, payload in rows if type_ == "session_meta"),
        prompts=[i["content"][0]["text"] for i in items if i["type"] == "UserMessage"],
        reply=[i["content"][0]["text"] for i in items if i["type"] == "AgentMessage"][-1],
        turns=[turn for one in (rows, *below) for turn in _codex_turns(one)],
        diff=[line for change in changes for line in change],
        below=[
            payload["content"][-1]["encrypted_content"]
            for one in below
            for _, payload in one
            if payload.get("type") == "agent_message"
        ],
    )


def _codex_turns(rows: list[tuple[str, dict[str, Any]]]) -> Iterator[Turn]:
    """What an answer used is written behind its items."""
    model, tools = "", []
    for type_, payload in rows:
        if type_ == "turn_context":
            model = payload["model"]
        elif payload.get("type") in ("function_call", "custom_tool_call"):
            tools.append(payload["name"])
        elif type_ == "token_usage_record":
            used = payload["usage"]
            counts = (used[f"{kind}_tokens"] for kind in ("input", "cached_input", "output"))
            yield Turn(model, *counts, tuple(tools))
            tools = []


def gemini(home: Path) -> Transcript:
    """`~/.gemini/tmp/<project>/chats/session-*.jsonl`, and a folder with its sub-agents."""
    [file] = (home / ".gemini" / "tmp").glob("*/chats/session-*.jsonl")
    main = _latest(file)
    sub = [row for each in file.parent.glob("*/*.jsonl") for row in _latest(each)]
    answers = [row for row in main + sub if row.get("type") == "gemini"]
    calls = [call for row in answers for call in row.get("toolCalls", ())]
    shown = [call.get("resultDisplay") for call in calls]
    diffs = [one["fileDiff"].splitlines() for one in shown if _has_diff(one)]
    return Transcript(
        session_id="",
        prompts=_texts(main),
        reply=[row["content"] for row in main if row.get("type") == "gemini"][-1],
        turns=[
            Turn(
                row["model"],
                row["tokens"]["input"],
                row["tokens"]["cached"],
                row["tokens"]["output"],
                tuple(call["name"] for call in row.get("toolCalls", ())),
            )
            for row in answers
        ],
        diff=[
            line for diff in diffs for line in diff if line[:1] in " +-" and line[:3] not in _HEADS
        ],
        below=_texts(sub),
    )


_HEADS = ("---", "+++")


def _has_diff(shown: Any) -> bool:
    return isinstance(shown, dict) and "fileDiff" in shown


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    return [
        part["text"]
        for row in rows
        if row.get("type") == "user" and isinstance(row["content"], list)
        for part in row["content"]
        if "text" in part
    ]


def _latest(file: Path) -> list[dict[str, Any]]:
    """Rows by id: the same one again is an update."""
    return list({row["id"]: row for row in _rows(file) if "id" in row}.values())


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
