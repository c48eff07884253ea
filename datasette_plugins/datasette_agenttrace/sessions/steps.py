"""What a tool call did, cut to what a page shows: a command, a diff, a read, a plan."""

from collections.abc import Iterable
from typing import Any

from agenttrace_mitm.traces.actions import Action
from agenttrace_mitm.traces.edits import Change

from ..asking import Value
from ..calls.one import pretty

TARGET_CHARS = 2_000
OUTPUT_CHARS = 6_000
DIFF_LINES = 300
LINE_CHARS = 500
PLAN_STEPS = 60
TOLD_IN_FULL = ("command", "read", "write", "edit", "patch", "plan", "subagent")


class Diff(Value):
    """A change of one file, line by line; the lines of its head are left out."""

    path: str
    lines: tuple[str, ...]
    cut: bool
    added: int
    removed: int


class Step(Value):
    """An action; what is not kept, or was not seen, is None."""

    kind: str
    tool: str
    span_id: str | None
    target: str
    arguments: str | None = None
    exit_code: int | None
    output: str | None
    output_lines: int
    failed: bool
    diffs: tuple[Diff, ...]
    plan: tuple[tuple[str, str], ...]
    duration_ms: float | None
    kept: bool
    cut: bool


def steps_of(row: dict[str, Any], acts: Iterable[Action]) -> list[Step]:
    """The steps of a tool call, a row of `outcome`."""
    return [_step(row, act) for act in acts]


def _step(row: dict[str, Any], act: Action) -> Step:
    told = None
    if act.kind not in TOLD_IN_FULL and row["arguments"] is not None:
        told = pretty(row["arguments"])
    diffs = tuple(_diff(change) for change in act.changes)
    ended = row["ended_us"]
    unread = row["kept"] and row["argued"] > 0 and row["arguments"] is None
    texts = (act.output, told or "")
    return Step(
        kind=act.kind, tool=act.tool[:TARGET_CHARS], span_id=row["span_id"],
        target=act.target[:TARGET_CHARS], arguments=told[:OUTPUT_CHARS] if told else told,
        exit_code=act.exit_code if row["kept"] else None,
        output=_ends(act.output) if row["kept"] and row["result"] is not None else None,
        output_lines=act.output.count("\n") + bool(act.output), failed=act.failed, diffs=diffs,
        plan=act.plan[:PLAN_STEPS], kept=bool(row["kept"]),
        duration_ms=(ended - row["started_us"]) / 1000 if ended else None,
        cut=bool(unread) or len(act.target) > TARGET_CHARS
        or any(len(text) > OUTPUT_CHARS for text in texts) or any(diff.cut for diff in diffs),
    )  # fmt: skip


def _ends(text: str) -> str:
    """Its beginning and its end: where a command says what went wrong."""
    if len(text) <= OUTPUT_CHARS:
        return text
    half = OUTPUT_CHARS // 2
    return f"{text[:half]}\n…\n{text[-half:]}"


def _diff(change: Change) -> Diff:
    lines = [
        line[:LINE_CHARS]
        for line in change.diff.split("\n")
        if not line.startswith(("--- a/", "+++ b/"))
    ]
    return Diff(
        path=change.path[:TARGET_CHARS], lines=tuple(lines[:DIFF_LINES]), added=change.added,
        removed=change.removed,
        cut=len(lines) > DIFF_LINES or any(len(line) >= LINE_CHARS for line in lines),
    )  # fmt: skip
