"""A call before it is placed, and what is known of it already.

The values that `placing` starts from, and what it asks of `subagents`.
"""

from collections.abc import Sequence

import msgspec

from ..model import Exchange, Outcome, Understood
from .fingerprints import Placed
from .identity import Identity, TraceContext
from .known import MadeTool, style_of
from .threads import Link
from .tools import Answer


class Parent(msgspec.Struct, frozen=True):
    """The tool span below which a sub-agent works, and how that is known."""

    trace_id: str
    thread_id: str
    span_id: str
    agent_id: str
    how: str
    confidence: float


class Stored(msgspec.Struct, frozen=True):
    """What a stored call tells of itself: prints and tool calls of its reply, taken once.

    With *fixed*, its history is not kept and its links stay what they were.
    """

    turn_print: str = ""
    reply_print: str = ""
    made: tuple[MadeTool, ...] = ()
    answers: tuple[Answer, ...] = ()
    """The tool results it brought: all of them when *fixed*, else those of its own reply."""
    link: Link | None = None
    trace_id: str = ""
    parent: Parent | None = None
    fixed: bool = False


class Finding(msgspec.Struct, frozen=True):
    """A call before it is placed: what crossed, what it meant, who made it, how it ended."""

    exchange: Exchange
    understood: Understood
    asked: Sequence[Placed]
    identity: Identity
    context: TraceContext
    outcome: Outcome
    operation_id: str = ""
    stored: Stored | None = None

    @property
    def call_id(self) -> str:
        """The call's id."""
        return self.exchange.id

    @property
    def style(self) -> str:
        """The manner of the caller."""
        ask, headers = self.understood.ask, self.exchange.request_headers
        return style_of(
            self.understood.dialect,
            ask.model,
            self.understood.streamed,
            headers.get("user-agent"),
        )

    @property
    def in_story(self) -> bool:
        """True for what belongs to a conversation; side calls and counts do not."""
        return self.understood.kind == "llm" and not self.exchange.within
