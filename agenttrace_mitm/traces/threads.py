"""Which earlier call a call goes on from, how that is known, and what became of the history.

Ids that the client sends are certain.  Else the request must begin with all messages of an
earlier one, and repeat that one's reply: equal prompts alone join nothing that other runs of the
program have said.  Where the history was edited or cut, the turn that was answered last tells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..model import Links, Message, ToolCallPart, ToolResultPart
from .fingerprints import Fingerprinter, Placed
from .known import Known, MadeTool, Seen
from .spoken import TELLING, Said, said

TURNS_TRIED = 3

type History = Literal["grown", "forked", "edited", "truncated", "compacted"]


@dataclass(frozen=True, slots=True)
class Link:
    """The call that is continued; the first *told* messages of the request are its own."""

    seen: Seen
    how: str
    confidence: float
    told: int = 0
    history: History = "grown"


@dataclass(frozen=True, slots=True)
class Request:
    """A call as its request shows it, before it is placed."""

    call_id: str
    started_us: int
    asked: Sequence[Placed]
    links: Links = Links()
    session_id: str = ""


def turn_print(prints: Fingerprinter, asked_last: str, reply: Said) -> str:
    """A print of a reply after the message it answers; empty when it says nothing."""
    return prints.of("turn", asked_last, reply.turn) if reply.turn else ""


def reply_print(prints: Fingerprinter, reply: Said) -> str:
    """A print of a reply that is long enough to be told from others; else empty."""
    return prints.of("reply", reply.words) if len(reply.words) >= TELLING else ""


class Threads:
    """Finds the call that a request continues, among those that *known* knows."""

    def __init__(self, known: Known, prints: Fingerprinter) -> None:
        self._known = known
        self._prints = prints

    def find(self, request: Request) -> Link | None:
        """The link to the continued call, or None when the request begins a thread."""
        link = self._by_id(request) or self._by_content(request)
        if link and self._is_fork(link, request):
            return Link(link.seen, link.how, link.confidence, link.told, "forked")
        return link

    def _by_id(self, request: Request) -> Link | None:
        previous = request.links.previous_response_id
        found = self._known.with_response(previous) if previous else ()
        if seen := self._best(found, request):
            told = _told(seen, request.asked)
            history = _history(seen, request, told) if told or _resent(request) else "grown"
            return Link(seen, "previous_response_id", 1.0, told, history)
        return None

    def _by_content(self, request: Request) -> Link | None:
        asked = request.asked
        prefix = self._by_prefix(request)
        if prefix and prefix.confidence >= 0.9 and len(_turns(asked, prefix.told)) <= 1:
            return prefix
        later = self._by_turn(request)
        if later and (not prefix or later.seen.started_us > prefix.seen.started_us):
            return later
        if prefix and prefix.confidence >= 0.9:
            return prefix
        return self._by_tool(request) or self._by_conversation(request) or prefix

    def _by_prefix(self, request: Request) -> Link | None:
        asked = request.asked
        if len(asked) < 2:
            return None
        found = self._known.with_chain([placed.chain for placed in asked[:-1]])
        weighed = [(self._evidence(seen, request), seen) for seen in found]
        for count in sorted({seen.n_messages for seen in found}, reverse=True):
            sure = [s for weight, s in weighed if s.n_messages == count and weight >= 0.9]
            if seen := self._best(sure, request):
                return Link(seen, "prefix", self._evidence(seen, request), count)
        maybe = [s for weight, s in weighed if weight > 0 and s.session_id == request.session_id]
        longest = max((seen.n_messages for seen in maybe), default=0)
        seen = self._best([s for s in maybe if s.n_messages == longest], request)
        return Link(seen, "prefix", self._evidence(seen, request), longest) if seen else None

    def _evidence(self, seen: Seen, request: Request) -> float:
        """How sure it is that *request* repeats what *seen* was answered; 0 when it does not."""
        asked, count = request.asked, seen.n_messages
        run = _run(asked, count)
        if not run:
            return 0.7
        reply = said(run)
        if seen.turn_print and seen.turn_print == turn_print(
            self._prints, asked[count - 1].fingerprint, reply
        ):
            return 1.0
        if _makes(run, seen.tools) or self._spelled(reply) & {t.fingerprint for t in seen.tools}:
            return 0.95
        return 0.0 if seen.turn_print else 0.6

    def _spelled(self, reply: Said) -> set[str]:
        return {self._prints.of("tool", call) for call in reply.calls}

    def _by_turn(self, request: Request) -> Link | None:
        """The call whose reply is the last known turn of the request, wherever it stands."""
        for start in reversed(_turns(request.asked, 0)[-TURNS_TRIED:]):
            reply = said(_run(request.asked, start))
            before = request.asked[start - 1].fingerprint if start else ""
            both = turn_print(self._prints, before, reply), reply_print(self._prints, reply)
            found = self._known.with_print([key for key in both if key])
            mine = [seen for seen in found if seen.session_id == request.session_id]
            if seen := self._best(mine, request):
                sure = 0.9 if seen.turn_print == both[0] else 0.7
                return Link(seen, "turn", sure, 0, _history(seen, request, 0))
        return None

    def _by_tool(self, request: Request) -> Link | None:
        """The call that asked for the results which the request brings."""
        keys = [
            part.tool_call_id
            for placed in request.asked
            for part in placed.message.parts
            if isinstance(part, ToolResultPart) and part.tool_call_id and not part.server
        ]
        made = [
            tool
            for tool in (self._known.with_tool(keys[-8:]) if keys else ())
            if tool.started_us <= request.started_us
        ]
        calls = {tool.call_id: self._known.call(tool.call_id) for tool in made}
        mine = [s for s in calls.values() if s and s.session_id == request.session_id]
        seen = self._best(mine, request)
        return Link(seen, "tool_result", 0.8, 0, _history(seen, request, 0)) if seen else None

    def _by_conversation(self, request: Request) -> Link | None:
        conversation = request.links.conversation_id
        seen = self._known.with_conversation(conversation) if conversation else None
        if seen is None or seen.call_id == request.call_id:
            return None
        told = _told(seen, request.asked)
        return Link(seen, "conversation", 0.95, told, _history(seen, request, told))

    def _best(self, found: Sequence[Seen], request: Request) -> Seen | None:
        """The likeliest: of the same session, not continued by another, the latest."""
        fit = [s for s in found if s.call_id != request.call_id]
        fit = [s for s in fit if s.started_us <= request.started_us]
        if len(fit) < 2:
            return fit[0] if fit else None
        return max(
            fit,
            key=lambda seen: (
                seen.session_id == request.session_id,
                not self._taken(seen, request),
                seen.started_us,
            ),
        )

    def _taken(self, seen: Seen, request: Request) -> bool:
        chain = request.asked[-1].chain if request.asked else ""
        return any(other != chain for other in self._known.continuations(seen.call_id))

    def _is_fork(self, link: Link, request: Request) -> bool:
        return link.history == "grown" and self._taken(link.seen, request)


def _told(seen: Seen, asked: Sequence[Placed]) -> int:
    count = seen.n_messages
    told = 0 < count <= len(asked) and asked[count - 1].chain == seen.request_chain
    return count if told else 0


def _history(seen: Seen, request: Request, told: int) -> History:
    """What became of the history since *seen*, when its messages are not all there any more."""
    if told:
        return "grown"
    asked = request.asked
    if len(asked) > seen.n_messages:
        return "edited"
    return "truncated" if _turns(asked, 0) else "compacted"


def _resent(request: Request) -> bool:
    return bool(_turns(request.asked, 0))


def _run(asked: Sequence[Placed], start: int) -> list[Message]:
    """The messages of the assistant's turn at *start*; empty when it is not the assistant's."""
    run: list[Message] = []
    for placed in asked[start:]:
        if placed.message.role != "assistant":
            break
        run.append(placed.message)
    return run


def _turns(asked: Sequence[Placed], start: int) -> list[int]:
    """Where assistant turns begin, from *start* on."""
    return list(_turn_starts(asked, start))


def _turn_starts(asked: Sequence[Placed], start: int) -> Iterator[int]:
    before = ""
    for n in range(start, len(asked)):
        role = asked[n].message.role
        if role == "assistant" and before != "assistant":
            yield n
        before = role


def _makes(run: Sequence[Message], tools: Sequence[MadeTool]) -> bool:
    """True when the turn holds a tool call with the id of one of *tools*."""
    ids = {key for tool in tools for key in (tool.id, tool.item_id) if key}
    parts = (part for message in run for part in message.parts)
    return any(isinstance(p, ToolCallPart) and (p.id in ids or p.item_id in ids) for p in parts)
