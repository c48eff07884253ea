"""Tool calls and their results, paired across requests.

A result names its call by id, or by the id of the item; Gemini names neither, and some clients
make up ids of their own.  Then the history itself helps: the result answers a call that stands
before it in the same request, and that call has the name and arguments the model gave it.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ..model import Message, ToolCallPart, ToolResultPart
from .fingerprints import Fingerprinter
from .known import Known, MadeTool, Seen
from .spoken import prompt_prints, spelled


class Answer(msgspec.Struct, frozen=True):
    """A result, and the tool call that it answers."""

    made: MadeTool
    result: ToolResultPart
    how: str
    confidence: float


def made_tools(
    call_id: str, at_us: int, replies: Iterable[Message], prints: Fingerprinter
) -> tuple[MadeTool, ...]:
    """The tool calls of a reply, those that ran at the provider included, in order."""
    parts = [p for reply in replies for p in reply.parts if isinstance(p, ToolCallPart)]
    return tuple(
        MadeTool(
            call_id,
            position,
            part.id,
            part.item_id,
            part.name,
            prints.of("tool", spelled(part)),
            part.server,
            at_us,
            () if part.server else prompt_prints(part.arguments, prints),
        )
        for position, part in enumerate(parts)
    )


def server_answers(made: Sequence[MadeTool], replies: Iterable[Message]) -> list[Answer]:
    """Results that came in the same reply, of tools that ran at the provider."""
    by_id = {tool.id: tool for tool in made if tool.server and tool.id}
    results = [p for reply in replies for p in reply.parts if isinstance(p, ToolResultPart)]
    return [
        Answer(by_id[part.tool_call_id], part, "reply", 1.0)
        for part in results
        if part.tool_call_id in by_id
    ]


ANCESTORS = 8
"""How many calls back a dropped tool call is looked for."""


class Dropped:
    """Tool calls that a client left out, and answered by a later equal one.

    Some clients run only the first of parallel calls.  The model then asks again, and the result
    of that answers the dropped call as well, once it has become history.
    """

    def __init__(self, known: Known, prints: Fingerprinter, parent: Seen, at_us: int) -> None:
        self._prints = prints
        self._open = [
            tool  # the latest first: who asked last is answered
            for seen in _ancestors(known, parent)
            for tool in seen.tools
            if not tool.server and _is_open(known, tool, at_us)
        ]

    def answers(self, told: Iterable[Message]) -> list[Answer]:
        """The open calls that results in *told*, the history, answer."""
        if not self._open:
            return []
        names = {tool.name for tool in self._open}
        calls: list[ToolCallPart] = []
        found = []
        for part in (part for message in told for part in message.parts):
            if isinstance(part, ToolCallPart) and part.name in names:
                calls.append(part)
            elif isinstance(part, ToolResultPart) and (call := _asked_for(part, calls)):
                found += self._equal(call, part)
        return found

    def _equal(self, call: ToolCallPart, result: ToolResultPart) -> list[Answer]:
        print_ = self._prints.of("tool", spelled(call))
        for tool in self._open:
            if tool.fingerprint == print_:
                self._open.remove(tool)
                return [Answer(tool, result, "equal_call", 0.5)]
        return []


def _ancestors(known: Known, parent: Seen) -> Iterator[Seen]:
    """The calls before *parent*, latest first."""
    seen: Seen | None = parent
    for _ in range(ANCESTORS):
        seen = known.call(seen.continues) if seen and seen.continues else None
        if seen:
            yield seen


def _is_open(known: Known, tool: MadeTool, at_us: int) -> bool:
    """True when no request that began before *at_us* had its result.

    One that comes again, or is tried again, has brought it itself.
    """
    answered = known.answered_us(tool)
    return answered is None or answered >= at_us


class Pairing:
    """Pairs the results of a request that began at *at_us*; it continues the call *parent*."""

    def __init__(
        self, known: Known, prints: Fingerprinter, parent: Seen | None, session_id: str, at_us: int
    ) -> None:
        self._at_us = at_us
        self._known = known
        self._prints = prints
        self._session_id = session_id
        self._parent = parent
        self._open = [tool for tool in parent.tools if not tool.server] if parent else []

    def answers(self, messages: Iterable[Message]) -> list[Answer]:
        """The answers that *messages* bring, in order; results of unknown calls are left out."""
        calls: list[ToolCallPart] = []
        found = []
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolCallPart) and not part.server:
                    calls.append(part)
                elif isinstance(part, ToolResultPart) and not part.server:
                    answer = self._answer(part, _asked_for(part, calls))
                    found += [answer] if answer else []
        return found

    def _answer(self, result: ToolResultPart, call: ToolCallPart | None) -> Answer | None:
        spelling = self._prints.of("tool", spelled(call)) if call else ""
        return self._of_parent(result, spelling) or self._of_others(result, spelling)

    def _of_parent(self, result: ToolResultPart, spelling: str) -> Answer | None:
        for tool in self._open:
            how = _match(tool, result, spelling)
            if how:
                self._open.remove(tool)
                return Answer(tool, result, *how)
        if result.name:
            for tool in self._open:
                if tool.name == result.name and not (result.tool_call_id and tool.id):
                    self._open.remove(tool)
                    return Answer(tool, result, "name", 0.8)
        return None

    def _of_others(self, result: ToolResultPart, spelling: str) -> Answer | None:
        """A call made earlier: of the same session, and not answered yet."""
        keys = [key for key in (result.tool_call_id, spelling) if key]
        for tool in reversed(self._known.with_tool(keys) if keys else ()):
            how = _match(tool, result, spelling)
            if how and not self._parent and how[0] not in ("id", "item_id"):
                # Name and arguments are alike in many conversations, and in the examples that
                # a program wrote itself: alone they tell nothing.
                continue
            if how and _is_open(self._known, tool, self._at_us) and self._is_ours(tool):
                return Answer(tool, result, how[0], how[1] - 0.1)
        return None

    def _is_ours(self, tool: MadeTool) -> bool:
        seen = self._known.call(tool.call_id)
        if seen is None:
            return False
        if self._parent:
            return seen.thread_id == self._parent.thread_id
        return seen.session_id == self._session_id


def _match(tool: MadeTool, result: ToolResultPart, spelling: str) -> tuple[str, float] | None:
    key = result.tool_call_id
    if key and key == tool.id:
        return "id", 1.0
    if key and key == tool.item_id:
        return "item_id", 1.0
    if spelling and spelling == tool.fingerprint:
        return ("name+args" if not key or not tool.id else "rewritten_id"), 0.95
    return None


def _asked_for(result: ToolResultPart, calls: list[ToolCallPart]) -> ToolCallPart | None:
    """The call in the same request that *result* answers; it is taken off *calls*.

    Gemini CLI's sub-agents give the result an id that the call does not have.
    """
    key = result.tool_call_id
    for call in calls:
        is_named = call.name == result.name and not (key and call.id)
        if (key and key in (call.id, call.item_id)) or is_named:
            calls.remove(call)
            return call
    return None
