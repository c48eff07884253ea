"""The calls of a page of a session: what each answered, and what its tools did.

The calls of a sub-agent stand below the step that started it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from ..asking import Value
from ..said import Words, replies
from .outcome import told
from .steps import Step, steps_of

REPLY_CHARS = 20_000

type Row = dict[str, Any]


class Turn(Value):
    """A call on the page."""

    call_id: str
    agent_id: str | None
    in_sub_agent: bool
    started_us: int
    duration_ms: float | None
    outcome: str
    status_code: int | None
    error_type: str | None
    error_message: str | None
    tokens_in: int | None
    cost_nano_usd: int | None
    words: Words
    steps: tuple["Shown", ...]

    @property
    def wrong(self) -> bool:
        """Whether the call itself failed."""
        return self.outcome in ("error", "interrupted")


class Shown(Value):
    """A step, and the calls of the sub-agent that it started."""

    step: Step
    turns: tuple[Turn, ...] = ()


_OF_TURN = (
    "agent_id", "started_us", "outcome", "status_code", "error_type", "error_message",
    "tokens_in", "cost_nano_usd",
)  # fmt: skip


class Teller:
    """Tells the calls of a page."""

    def __init__(
        self, db: sqlite3.Connection, session_id: str, calls: Sequence[str], cap: int
    ) -> None:
        self._said = replies(db, calls, cap, REPLY_CHARS)
        self._steps: dict[str, list[Step]] = {}
        self._done: set[str] = set()
        for row, acts in told(db, session_id, set(calls), cap):
            self._steps.setdefault(row["call_id"], []).extend(steps_of(row, acts))

    def turns(self, calls: Sequence[Row]) -> tuple[Turn, ...]:
        """*calls* of a prompt in order."""
        below: dict[str, list[Row]] = {}
        for call in calls:
            if call["parent_span_id"]:
                below.setdefault(call["parent_span_id"], []).append(call)
        first = [self._turn(call, below) for call in calls if not call["parent_span_id"]]
        # Sub-agents whose step is on another page, or was not seen.
        left = [self._turn(call, below) for call in calls if call["id"] not in self._done]
        return tuple(sorted(first + left, key=lambda turn: (turn.started_us, turn.call_id)))

    def _turn(self, call: Row, below: Mapping[str, Sequence[Row]]) -> Turn:
        self._done.add(call["id"])
        steps = tuple(
            Shown(
                step=step,
                turns=tuple(
                    self._turn(one, below)
                    for one in below.get(step.span_id or "", ())
                    if one["id"] not in self._done
                ),
            )
            for step in self._steps.get(call["id"], ())
        )
        return Turn(
            call_id=call["id"],
            in_sub_agent=bool(call["parent_span_id"]),
            duration_ms=call["latency_ms"],
            words=self._said.get(call["id"], Words()),
            steps=steps,
            **{name: call[name] for name in _OF_TURN},
        )
