"""Which earlier call a call goes on from, how that is known, and what became of the history.

Ids that the client sends are certain.  Else the request must begin with all messages of an
earlier one, and repeat that one's reply: equal prompts alone join nothing that other runs of the
program have said.  Where the history was edited or cut, the turn that was answered last tells.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import msgspec

from ..model import Links, Message, ToolCallPart, ToolResultPart
from .fingerprints import Fingerprinter, Placed
from .known import Known, MadeTool, Seen, model_of
from .spoken import TELLING, Said, said, task_text

TURNS_TRIED = 3
RESULTS_TRIED = 8
RANDOM = 12
"""Different characters that an id has at least when it was drawn at random."""
LONG = 24
"""Characters from which on an id was made by a machine."""
UNREPEATED = 0.7
"""How sure a link is that rests on an equal prompt, the reply not told."""

type History = Literal["grown", "forked", "edited", "truncated", "compacted"]


class Link(msgspec.Struct, frozen=True):
    """The call that is continued; the first *told* messages of the request are its own."""

    seen: Seen
    how: str
    confidence: float
    told: int = 0
    history: History = "grown"


class Request(msgspec.Struct, frozen=True):
    """A call as its request shows it, before it is placed."""

    call_id: str
    started_us: int
    asked: Sequence[Placed]
    provider: str = ""
    style: str = ""
    address: str = ""
    links: Links = Links()
    session_id: str = ""


def turn_print(prints: Fingerprinter, asked_last: str, reply: Said) -> str:
    """A print of a reply after the message it answers; empty when it says nothing."""
    return prints.of("turn", asked_last, reply.turn) if reply.turn else ""


def reply_print(prints: Fingerprinter, reply: Said) -> str:
    """A print of how a reply begins, where it is long enough to be told from others; else empty.

    Only its beginning: clients cut replies, and write what a tool answered behind them.
    """
    return prints.of("reply", reply.words[:TELLING]) if len(reply.words) >= TELLING else ""


class Threads:
    """Finds the call that a request continues, among those that *known* knows."""

    def __init__(self, known: Known, prints: Fingerprinter) -> None:
        self._known = known
        self._prints = prints

    def find(self, request: Request) -> Link | None:
        """The link to the continued call, or None when the request begins a thread."""
        link = self._by_id(request) or self._by_content(request)
        if link and _is_handed_over(link, request):
            return None
        if link is None or not self._is_fork(link, request):
            return link
        if link.confidence <= UNREPEATED and link.seen.turn_print:
            return None  # it repeats no reply, and somebody else went on: only the prompt is equal
        return Link(link.seen, link.how, link.confidence, link.told, "forked")

    def missing(self, request: Request, link: Link | None) -> list[str]:
        """Keys of the call that *request* should continue, unless *link* is to that one."""
        asked, links = request.asked, request.links
        if link and link.how == "previous_response_id":
            return []
        turns = _turns(asked, 0)
        sure = link is not None and link.how == "prefix" and link.confidence == 1.0
        keys = [f"tool {id_}" for id_ in _answered_ids(asked)]
        if link and sure and not _turns(asked, link.told)[1:]:
            # Only its twin may come yet: equal runs side by side are told apart by who began first.
            # Where ids repeat it may be one that said something else, which is what is told here.
            spoken = self._spoken_at(request, turns[-1]) if turns else ()
            prints = {link.seen.turn_print, *spoken} - {""}
            return [*keys, *(f"print {print_}" for print_ in sorted(prints))]
        if links.previous_response_id:
            keys.append(f"response {links.previous_response_id}")
        if links.conversation_id and not _is_blanked(links.conversation_id) and link is None:
            keys.append(f"conversation {links.conversation_id}")
        ends: list[int] = list(range(len(asked) - 1)[-TURNS_TRIED:])
        if turns:
            # Several replies may stand side by side: the last one's request ends among them.
            last, run = turns[-1], _run(asked, turns[-1])
            ends = [last - 1, *range(last, last + len(run) - 1)[-TURNS_TRIED:]]
        keys += [f"chain {asked[end].chain}" for end in ends if end >= 0]
        for start in turns[-TURNS_TRIED:]:
            keys += [f"print {print_}" for print_ in self._spoken_at(request, start) if print_]
        return keys

    def _spoken_at(self, request: Request, start: int) -> tuple[str, str]:
        """Prints of the turn at *start* of the request: after what it answers, and by itself."""
        reply = said(_run(request.asked, start))
        before = request.asked[start - 1].fingerprint if start else ""
        return turn_print(self._prints, before, reply), reply_print(self._prints, reply)

    def _by_id(self, request: Request) -> Link | None:
        previous = request.links.previous_response_id
        found = self._known.with_response(previous) if previous else ()
        found = [seen for seen in found if _is_ours(seen, request, previous)]
        if seen := self._best(found, request):
            told = _told(seen, request.asked)
            history = _history(seen, request, told) if told or _resent(request) else "grown"
            return Link(seen, "previous_response_id", 1.0, told, history)
        return None

    def _by_content(self, request: Request) -> Link | None:
        asked = request.asked
        prefix = self._by_prefix(request)
        if prefix and prefix.confidence >= 0.6 and len(_turns(asked, prefix.told)) <= 1:
            return prefix
        later = self._by_turn(request)
        if later and (not prefix or later.seen.started_us > prefix.seen.started_us):
            return later
        if prefix and prefix.confidence >= 0.6:
            return prefix
        return self._by_tool(request) or self._by_conversation(request) or prefix

    def _by_prefix(self, request: Request) -> Link | None:
        asked = request.asked
        if len(asked) < 2:
            return None
        found = self._known.with_chain([placed.chain for placed in asked[:-1]])
        found = sorted(found, key=lambda seen: -seen.n_messages)
        doubtful: Link | None = None
        for count, same in groupby(found, key=lambda seen: seen.n_messages):
            link = self._at(count, list(same), request)
            if link and link.confidence >= 0.6:
                return link
            doubtful = doubtful or link
        return doubtful

    def _at(self, count: int, found: list[Seen], request: Request) -> Link | None:
        """The likeliest of *found*, which all had the first *count* messages of the request."""
        weighed = [(self._evidence(seen, request), seen) for seen in _answered(found, request)]
        fit = [
            (weight, seen)
            for weight, seen in weighed
            if weight and (_is_near(seen, request) or self._is_resumed(seen, weight, request))
        ]
        most = max((weight for weight, _ in fit), default=0.0)
        seen = self._best([seen for weight, seen in fit if weight == most], request)
        if seen is None:
            return None
        return Link(seen, "prefix", most, count, "grown" if most > 0.5 else "edited")

    def _is_resumed(self, seen: Seen, weight: float, request: Request) -> bool:
        """True when another process may go on where *seen* was left."""
        left = weight >= 0.9 and seen.provider == request.provider
        return left and not self._taken(seen, request)

    def _evidence(self, seen: Seen, request: Request) -> float:
        """How sure it is that *request* goes on from *seen*.

        0.5 where it tells another reply, 0 where that is known to be another model's.
        """
        asked, count = request.asked, seen.n_messages
        run = _run(asked, count)
        if not run:
            return UNREPEATED
        if _makes(run, seen.tools):
            return 1.0
        reply = said(run)
        answered = asked[count - 1].fingerprint
        if seen.turn_print and seen.turn_print == turn_print(self._prints, answered, reply):
            return 0.0 if self._is_foreign(run, seen) else 1.0
        if reply_print(self._prints, reply) == seen.reply_print != "":
            return 0.9
        if self._spelled(reply) & {t.fingerprint for t in seen.tools}:
            return 0.0 if self._is_foreign(run, seen) else 0.95
        if self._is_foreign(run, seen) or (reply.calls and seen.turn_print and not seen.tools):
            return 0.0
        # It said something else, or nothing: at best a history retold, by the same caller then.
        if seen.turn_print:
            return 0.5 if seen.style == request.style else 0.0
        if not _is_alike(seen, request):
            return 0.0
        # What failed said nothing that could be repeated; another reply may have been lost to us.
        return 0.5 if seen.outcome == "error" else 0.6

    def _is_foreign(self, run: Sequence[Message], seen: Seen) -> bool:
        """True when a tool call of the turn bears the id that another reply gave to one."""
        drawn = [id_ for message in run for id_ in _tool_ids(message) if len(set(id_)) >= RANDOM]
        made = self._known.with_tool(drawn) if drawn else ()
        return any(tool.id in drawn and tool.call_id != seen.call_id for tool in made)

    def _spelled(self, reply: Said) -> set[str]:
        return {self._prints.of("tool", call) for call in reply.calls}

    def _by_turn(self, request: Request) -> Link | None:
        """The call whose reply is the last known turn of the request, wherever it stands."""
        for start in reversed(_turns(request.asked, 0)[-TURNS_TRIED:]):
            reply = said(_run(request.asked, start))
            both = self._spoken_at(request, start)
            found = self._known.with_print([key for key in both if key])
            run = _run(request.asked, start)
            mine = [
                seen
                for seen in found
                if _is_near(seen, request)
                and (reply.words or _makes(run, seen.tools) or _is_alike(seen, request))
                and not self._is_foreign(run, seen)
            ]
            if seen := self._best(mine, request):
                sure = 0.9 if seen.turn_print == both[0] else 0.7
                return Link(seen, "turn", sure, 0, _history(seen, request, 0))
        return None

    def _by_tool(self, request: Request) -> Link | None:
        """The call that asked for the results which the request brings."""
        keys = _answered_ids(request.asked)
        made = self._known.with_tool(keys) if keys else ()
        calls = {tool.call_id: self._known.call(tool.call_id) for tool in made}
        mine = [seen for seen in calls.values() if seen and _is_near(seen, request)]
        seen = self._best(mine, request)
        return Link(seen, "tool_result", 0.8, 0, _history(seen, request, 0)) if seen else None

    def _by_conversation(self, request: Request) -> Link | None:
        conversation = request.links.conversation_id
        usable = conversation and not _is_blanked(conversation)
        began = request.started_us
        seen = self._known.with_conversation(conversation, began) if usable else None
        if seen is None or seen.call_id == request.call_id:
            return None
        if not _is_ours(seen, request, conversation):
            return None
        told = _told(seen, request.asked)
        return Link(seen, "conversation", 0.95, told, _history(seen, request, told))

    def _best(self, found: Sequence[Seen], request: Request) -> Seen | None:
        """The likeliest: of the same session, its tool calls repeated, not continued by another.

        Where equal runs go on side by side nothing tells them apart but their manner and their
        order: the latest.  Not which of them overlap: when a reply is complete to the program,
        and when its connection ends, are two things.
        """
        fit = [s for s in found if s.call_id != request.call_id]
        fit = [s for s in fit if s.started_us <= request.started_us]
        if len(fit) < 2:
            return fit[0] if fit else None
        made = {key for placed in request.asked for key in _tool_ids(placed.message)}

        def rank(seen: Seen) -> tuple[bool, bool, int, bool, bool, int]:
            ids = {key for tool in seen.tools for key in (tool.id, tool.item_id)}
            return (
                seen.session_id == request.session_id,
                bool(ids & made),
                -self._taken(seen, request),
                seen.style == request.style,
                bool(seen.address) and seen.address == request.address,
                seen.started_us,
            )

        return max(fit, key=rank)

    def _taken(self, seen: Seen, request: Request) -> int:
        """0: nobody goes on from *seen* yet, 1: an equal request does, 2: another one.

        Only those that began before: where a call belongs must not depend on which ended first.
        """
        chain = request.asked[-1].chain if request.asked else ""
        began = request.started_us
        others = [
            other for other, at in self._known.continuations(seen.call_id).items() if at < began
        ]
        return 0 if not others else 2 if any(other != chain for other in others) else 1

    def is_overtaken(self, link: Link, request: Request) -> bool:
        """True when a request that began later goes on from the same call, and came before."""
        chain = request.asked[-1].chain if request.asked else ""
        others = self._known.continuations(link.seen.call_id).items()
        return any(other != chain and at > request.started_us for other, at in others)

    def _is_fork(self, link: Link, request: Request) -> bool:
        return link.history == "grown" and self._taken(link.seen, request) == 2


def _is_handed_over(link: Link, request: Request) -> bool:
    """True for a sub-agent that was given the history of who started it, and a task."""
    ids = link.seen.conversation, request.links.conversation_id
    new = (placed.message for placed in request.asked[link.told :])
    return all(ids) and ids[0] != ids[1] and bool(task_text(new))


def _answered(found: Sequence[Seen], request: Request) -> list[Seen]:
    """*found* without attempts that failed where a later one of the operation was answered.

    Nothing goes on from those: that they stand untaken says nothing.
    """
    began = request.started_us
    ok = (seen for seen in found if seen.outcome == "ok" and seen.started_us <= began)
    answered = {seen.operation_id for seen in ok} - {""}
    return [seen for seen in found if seen.outcome == "ok" or seen.operation_id not in answered]


def _is_ours(seen: Seen, request: Request, id_: str) -> bool:
    """True when *id_*, in both, means the same thing: blanked and made-up ids repeat."""
    if seen.provider != request.provider:
        return False
    return seen.session_id == request.session_id or len(set(id_)) >= RANDOM


def _is_blanked(id_: str) -> bool:
    """True for an id that somebody made unrecognisable: long, and of few different characters."""
    return len(id_) >= LONG and len(set(id_)) < RANDOM


def _is_near(seen: Seen, request: Request) -> bool:
    """True for a call of the same session to the same provider.

    A history that is carried over to another provider begins a thread there.
    """
    return seen.session_id == request.session_id and seen.provider == request.provider


def _is_alike(seen: Seen, request: Request) -> bool:
    """True for the same model asked in the same dialect."""
    return model_of(seen.style) == model_of(request.style)


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
        if not _speaks(placed.message):
            break
        run.append(placed.message)
    return run


def _turns(asked: Sequence[Placed], start: int) -> list[int]:
    """Where assistant turns begin, from *start* on."""
    return list(_turn_starts(asked, start))


def _turn_starts(asked: Sequence[Placed], start: int) -> Iterator[int]:
    spoke = False
    for n in range(start, len(asked)):
        speaks = _speaks(asked[n].message)
        if speaks and not spoke:
            yield n
        spoke = speaks


def _speaks(message: Message) -> bool:
    """True for the assistant's part: its messages, and what its provider's tools answered."""
    if message.role == "assistant":
        return True
    parts = message.parts
    return message.role == "tool" and all(isinstance(p, ToolResultPart) and p.server for p in parts)


def _answered_ids(asked: Sequence[Placed]) -> list[str]:
    """The ids of the last tool calls whose results the request brings."""
    found = [
        part.tool_call_id
        for placed in asked
        for part in placed.message.parts
        if isinstance(part, ToolResultPart) and part.tool_call_id and not part.server
    ]
    return found[-RESULTS_TRIED:]


def _tool_ids(message: Message) -> list[str]:
    return [part.id for part in message.parts if isinstance(part, ToolCallPart) and part.id]


def _makes(run: Sequence[Message], tools: Sequence[MadeTool]) -> bool:
    """True when the turn holds a tool call with the id of one of *tools*."""
    ids = {key for tool in tools for key in (tool.id, tool.item_id) if key}
    parts = (part for message in run for part in message.parts)
    return any(isinstance(p, ToolCallPart) and (p.id in ids or p.item_id in ids) for p in parts)
