"""What coding agents wrote down of a session themselves, to hold what was recorded against it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Transcript:
    """An agent's own account.

    `session_id` is empty where the wire has none; `tools` are names in the order in which they
    were called, the main conversation first; `diff` are the lines of hunks without their heads.
    """

    session_id: str
    prompts: list[str]
    reply: str
    tokens_in: int
    tokens_out: int
    tools: list[str]
    diff: list[str]
    below: list[str]
    """What sub-agents were asked."""
    cost_usd: float | None = None


def claude(home: Path) -> Transcript:
    """`~/.claude/projects/<folder>/<session>.jsonl`, and a file for each sub-agent."""
    [file] = (home / ".claude" / "projects").glob("*/*.jsonl")
    rows = [*_rows(file)]
    below = [row for each in sorted(file.parent.glob("*/subagents/*.jsonl")) for row in _rows(each)]
    said = [row["message"] for row in rows if row["type"] == "user"]
    # A row for each block, usage repeated: an answer is known by its id.
    answers = {r["message"]["id"]: r["message"] for r in rows + below if r["type"] == "assistant"}
    patches = [row["toolUseResult"].get("structuredPatch") for row in rows if _has_result(row)]
    [cost] = [row["totalCostUSD"] for row in rows if row["type"] == "cost-state"]
    return Transcript(
        session_id=file.stem,
        prompts=[message["content"] for message in said if isinstance(message["content"], str)],
        reply=[r["message"] for r in rows if r["type"] == "assistant"][-1]["content"][0]["text"],
        tokens_in=sum(one["usage"]["input_tokens"] for one in answers.values()),
        tokens_out=sum(one["usage"]["output_tokens"] for one in answers.values()),
        tools=[
            block["name"]
            for one in answers.values()
            for block in one["content"]
            if block["type"] == "tool_use"
        ],
        diff=[line for patch in patches if patch for hunk in patch for line in hunk["lines"]],
        below=[r["message"]["content"] for r in below if r["type"] == "user"][:1],
        cost_usd=cost,
    )


def _has_result(row: dict[str, Any]) -> bool:
    return isinstance(row.get("toolUseResult"), dict)


def codex(home: Path) -> Transcript:
    """`~/.codex/sessions/YYYY/MM/DD/rollout-<time>-<thread>.jsonl`."""
    [file] = (home / ".codex" / "sessions").rglob("rollout-*.jsonl")
    rows = [(row["type"], row["payload"]) for row in _rows(file)]
    items = [p["item"] for _, p in rows if p.get("type") == "item_completed"]
    usage = [payload["usage"] for type_, payload in rows if type_ == "token_usage_record"]
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
        tokens_in=sum(one["input_tokens"] for one in usage),
        tokens_out=sum(one["output_tokens"] for one in usage),
        tools=[p["name"] for _, p in rows if p.get("type") == "custom_tool_call"],
        diff=[line for change in changes for line in change],
        below=[],
    )


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
        tokens_in=sum(row["tokens"]["input"] for row in answers),
        tokens_out=sum(row["tokens"]["output"] for row in answers),
        tools=[call["name"] for call in calls],
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
