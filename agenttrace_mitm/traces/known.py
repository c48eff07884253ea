"""What is known of earlier calls: the values and the questions that placing a call needs.

The store answers them, from memory where it can; tests may answer from a list.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class MadeTool(msgspec.Struct, frozen=True):
    """A tool call that a reply made, and where it belongs."""

    call_id: str
    position: int
    id: str
    item_id: str
    name: str
    fingerprint: str
    server: bool
    started_us: int
    prompts: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """An earlier call: how to recognise what goes on from it, and where it was placed."""

    call_id: str
    n_messages: int = 0
    request_chain: str = ""
    turn_print: str = ""
    reply_print: str = ""
    response_id: str = ""
    provider: str = ""
    style: str = ""
    """How its program calls: dialect, model, streamed, User-Agent."""
    address: str = ""
    conversation: str = ""
    operation_id: str = ""
    session_id: str = ""
    thread_id: str = ""
    trace_id: str = ""
    agent_id: str = ""
    parent_span_id: str = ""
    """The span below which the call's thread works: a sub-agent's tool call; empty for others."""
    continues: str = ""
    outcome: str = ""
    started_us: int = 0
    ended_us: int = 0
    tools: tuple[MadeTool, ...] = ()


def style_of(dialect: str, model: str | None, streamed: object, user_agent: str | None) -> str:
    """The manner of a caller, to tell equal conversations of one process apart."""
    return f"{dialect} {model or ''} {int(bool(streamed))} {user_agent or ''}"


def model_of(style: str) -> list[str]:
    """Dialect and model of a *style*."""
    return style.split(" ", 2)[:2]


class Known(Protocol):
    """What the store already has, as far as placing a call needs it."""

    def has_message(self, fingerprint: str) -> bool:
        """True when the content of this message is stored."""

    def call(self, call_id: str) -> Seen | None:
        """The call of this id."""

    def with_chain(self, chains: Sequence[str]) -> Sequence[Seen]:
        """Calls whose whole request has one of *chains*; the latest calls where there are many."""

    def with_print(self, prints: Sequence[str]) -> Sequence[Seen]:
        """Calls whose turn or reply has one of *prints*."""

    def with_response(self, response_id: str) -> Sequence[Seen]:
        """Calls that were answered with *response_id*."""

    def with_conversation(self, conversation: str, before_us: int) -> Seen | None:
        """The latest call of a *conversation* that began before *before_us*."""

    def with_tool(self, keys: Sequence[str]) -> Sequence[MadeTool]:
        """Tool calls with one of *keys* as id, item id or fingerprint, latest last."""

    def with_prompt(self, fingerprint: str) -> Sequence[MadeTool]:
        """Unanswered tool calls that have a text of this print among their arguments."""

    def answered_us(self, made: MadeTool) -> int | None:
        """When a result of *made* came; None while it is open."""

    def continuations(self, call_id: str) -> Mapping[str, int]:
        """Request chains of the calls that continue *call_id*; when the first of each began."""
