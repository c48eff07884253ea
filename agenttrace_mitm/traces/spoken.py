"""What an assistant turn said, in prints that survive its way through a client and back.

A reply comes back as history in another shape: split into items, without its thoughts, with other
ids, its arguments spelled anew.  Its words and its tool calls stay.  Prints are keyed, like
fingerprints: they tell equal from different and nothing else.
"""

from collections.abc import Iterable, Iterator

import msgspec

from ..model import Json, Message, Part, TextPart, ToolCallPart
from .fingerprints import Fingerprinter

TELLING = 40
"""Characters from which on words are hardly said twice by accident."""
PROMPT = 12
"""Characters from which on an argument may be somebody's first message."""
_TASK = "Message Type: NEW_TASK"
"""How Codex addresses a task that one agent has for another."""
_INJECTED = (
    *("<system-reminder>", "<task-notification>", "<command-", "<local-command-"),  # Claude Code
    *("<environment_context>", "<user_instructions>", "# AGENTS.md instructions"),  # Codex
    *("<multi_agent_", f"{_TASK}\n"),
    "<session_context>",  # Gemini CLI
)
"""How texts begin that a client puts among the user's words."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class Said(msgspec.Struct, frozen=True):
    """An assistant turn: its words (empty: none), and a print for each tool call."""

    words: str = ""
    calls: tuple[str, ...] = ()

    @property
    def turn(self) -> str:
        """The turn as a whole, by its words where it has some; empty when it said nothing."""
        return self.words or "\n".join(self.calls)


def said(messages: Iterable[Message]) -> Said:
    """What *messages* of one turn say together."""
    parts = [part for message in messages for part in message.parts]
    words = "".join(p.text for p in parts if isinstance(p, TextPart) and p.kind != "tool_plan")
    return Said(words.strip(), tuple(spelled(p) for p in parts if is_client_call(p)))


def is_client_call(part: Part) -> bool:
    """True for a tool call that the client has to run."""
    return isinstance(part, ToolCallPart) and not part.server


def spelled(part: Part) -> str:
    """A tool call as text: its name, and its arguments in one spelling."""
    assert isinstance(part, ToolCallPart)
    return f"{part.name} {_canonical(part.arguments)}"


def _canonical(arguments: str) -> str:
    value = _parsed(arguments)
    try:
        return arguments.strip() if value is None else _encode(value).decode()
    except RecursionError:
        return arguments.strip()


def _parsed(arguments: str) -> Json:
    try:
        return _decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return None


def prompt_prints(arguments: str, prints: Fingerprinter) -> tuple[str, ...]:
    """Prints of the texts in *arguments* that a sub-agent may be started with."""
    value = _parsed(arguments)
    texts = {text.strip() for text in _texts(value)} | {arguments.strip()}
    return tuple(prints.of("prompt", text) for text in sorted(texts) if len(text) >= PROMPT)


def _texts(value: Json) -> Iterator[str]:
    inside = [value]  # not by recursion: what a model wrote may be nested as deeply as it likes
    while inside:
        match inside.pop():
            case str() as text:
                yield text
            case list() as items:
                inside += items
            case dict() as fields:
                inside += fields.values()


def task_text(messages: Iterable[Message]) -> str:
    """The last task in *messages* that another agent gave, in so many words; empty: none."""
    tasks = [message for message in messages if is_task(message)]
    return user_text(tasks[-1:])


def is_task(message: Message) -> bool:
    """True for a task that another agent gave."""
    first = message.parts[0] if message.parts else None
    told = isinstance(first, TextPart) and first.text.startswith(_TASK)
    return told and message.role == "user"


def user_text(messages: Iterable[Message]) -> str:
    """What a person, or the program in their place, says in *messages*; injected notes aside."""
    return "\n".join(
        part.text.strip()
        for message in messages
        if message.role == "user"
        for part in message.parts
        if isinstance(part, TextPart)
        and part.text.strip()
        and not part.text.lstrip().startswith(_INJECTED)
    )
