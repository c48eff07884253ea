"""Who started a thread: the tool call of another agent, or nobody.

By content: the thread's first user message is a text among the arguments of a tool call that has
no result yet; or it is addressed as a task, and then the call may have its result: who starts an
agent of a team need not wait for it.  By header: coding agents name the sub-agent, and sometimes
its parent; the tool call is then looked for among those of the session.
"""

from collections.abc import Sequence

from .finding import Finding, Parent
from .fingerprints import Fingerprinter, Placed
from .known import Known, MadeTool
from .spoken import PROMPT, task_text, user_text


class SubAgents:
    """Finds parents among the open tool calls that *known* knows."""

    def __init__(self, known: Known, prints: Fingerprinter) -> None:
        self._known = known
        self._prints = prints

    def parent(self, asked: Sequence[Placed], finding: Finding) -> Parent | None:
        """The parent of the thread that *asked* begins, or None when it is nobody's."""
        text = _first_words(asked)
        found = self._known.with_prompt(self._prints.of("prompt", text)) if text else ()
        named = bool(finding.understood.ask.links.agent_id)
        is_task = bool(text) and text == task_text(placed.message for placed in asked)
        for tool in reversed(found):
            seen = self._known.call(tool.call_id)
            if seen is None or seen.session_id != finding.identity.session_id:
                continue
            began = seen.started_us <= finding.exchange.started_us
            may_be = began and (is_task or self._is_open(tool, finding))
            if may_be and (parent := self._below(tool, named=named)):
                return parent
        return None

    def missing(self, asked: Sequence[Placed]) -> list[str]:
        """The key of a tool call that may come late: one with these first words."""
        text = _first_words(asked)
        return [f"prompt {self._prints.of('prompt', text)}"] if text else []

    def _is_open(self, tool: MadeTool, finding: Finding) -> bool:
        answered = self._known.answered_us(tool)
        # A reply may be complete to the program some time before its connection ends.
        return answered is None or answered >= finding.exchange.started_us

    def _below(self, tool: MadeTool, *, named: bool) -> Parent | None:
        seen = self._known.call(tool.call_id)
        if seen is None or not seen.trace_id:
            return None
        span = self._prints.id("tool span", tool.call_id, str(tool.position))[:16]
        agent = f"{seen.agent_id}/{tool.name}" if seen.agent_id else tool.name
        how, sure = ("header+argument", 1.0) if named else ("argument", 0.9)
        return Parent(seen.trace_id, seen.thread_id, span, agent, how, sure)


def _first_words(asked: Sequence[Placed]) -> str:
    """The first words of a user's own, where they are enough to be told from others.

    Of an agent that was given its starter's history as well: the task.
    """
    said = (user_text([p.message]) for p in asked if p.message.role == "user")
    text = task_text(p.message for p in asked) or next(filter(None, said), "")
    return text if len(text) >= PROMPT else ""
