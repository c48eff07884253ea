"""The place of a call: session, thread, trace, and the spans it opens and closes.

Everything here follows from the call and from what is known of earlier ones, ids included, so a
call that comes twice is placed twice alike.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from ..model import (
    Message,
    Placement,
    StoredSession,
    StoredSpan,
    StoredThread,
    StoredTrace,
    ToolResultPart,
    Understood,
    row_of,
)
from .finding import Finding, Parent, Stored
from .fingerprints import Fingerprinter, Placed
from .known import Known, MadeTool, Seen
from .spoken import is_task, said, user_text
from .subagents import SubAgents
from .threads import Link, Request, Threads, reply_print, turn_print
from .tools import Answer, Dropped, Pairing, made_tools, server_answers

NAME_LENGTH = 120


class Place(msgspec.Struct, frozen=True):
    """Where a call belongs, and what it tells of tools."""

    link: Link | None = None
    thread_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    agent_id: str = ""
    turn_print: str = ""
    reply_print: str = ""
    tools: tuple[MadeTool, ...] = ()
    tool_spans: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    overtaken: bool = False
    """Calls that began later go on from the same one already: they are forks."""
    awaits: tuple[str, ...] = ()
    """Keys of what was looked for in vain: see `late`."""
    stored: Placement = msgspec.field(default_factory=Placement)


class Places:
    """Places calls, with what *known* knows of those before."""

    def __init__(self, known: Known, prints: Fingerprinter) -> None:
        self._known = known
        self._prints = prints
        self._threads = Threads(known, prints)
        self._sub_agents = SubAgents(known, prints)

    def anchor(self, understood: Understood) -> str:
        """What the request's messages come after: a history that only the provider has."""
        return anchor(self._prints, understood)

    def place(self, finding: Finding) -> Place:
        """The place of the call in *finding*."""
        if not finding.in_story:
            return self._aside(finding)
        first = self._first_attempt(finding)
        # A retry asks what its first attempt asked: it knows what that one knew, not that one.
        began = first.started_us if first else finding.exchange.started_us
        link = self._link(finding, began)
        if not finding.asked and link is None and first is None:
            return self._alone(finding)
        return self._in_thread(finding, link, first, began)

    def _first_attempt(self, finding: Finding) -> Seen | None:
        operation = finding.operation_id
        return self._known.call(operation) if operation not in ("", finding.call_id) else None

    def _link(self, finding: Finding, began: int) -> Link | None:
        if finding.stored and finding.stored.fixed:
            return finding.stored.link
        return self._threads.find(self._request(finding, began))

    def _request(self, finding: Finding, began: int) -> Request:
        return Request(
            finding.call_id,
            began,
            finding.asked,
            finding.exchange.provider,
            finding.style,
            finding.exchange.caller.address,
            finding.understood.ask.links,
            finding.identity.session_id,
        )

    def _parent(self, finding: Finding) -> Parent | None:
        if finding.stored and finding.stored.fixed:
            return finding.stored.parent
        return self._sub_agents.parent(finding.asked, finding)

    def _aside(self, finding: Finding) -> Place:
        """A side call, a count, a listing: in the session's bill, not in its story."""
        session = _session(finding)
        return Place(
            trace_id=finding.context.trace_id,
            span_id=_own_span(finding),
            parent_span_id=finding.context.parent_span_id,
            agent_id=finding.identity.agent_id,
            stored=Placement(session=session if finding.understood.kind == "auxiliary" else None),
        )

    def _alone(self, finding: Finding) -> Place:
        """A call without a conversation, such as an embedding: a trace of one span."""
        trace_id = finding.context.trace_id or self._prints.id("trace", finding.call_id)
        parent = finding.context.parent_span_id
        span = self._llm_span(finding, trace_id, None, parent, finding.identity.agent_id)
        trace = self._trace(finding, trace_id, None, span.span_id, finding.identity.agent_id)
        return Place(
            trace_id=trace_id,
            span_id=span.span_id,
            parent_span_id=parent,
            agent_id=finding.identity.agent_id,
            stored=row_of(Placement, session=_session(finding), trace=trace, spans=(span,)),
        )

    def _in_thread(
        self, finding: Finding, link: Link | None, first: Seen | None, began: int
    ) -> Place:
        before = first or (link.seen if link else None)
        parent = None if before else self._parent(finding)
        thread_id = before.thread_id if before else finding.call_id
        trace_id = self._trace_id(finding, link, first, parent)
        agent_id = _agent_id(finding, before, parent)
        above = parent.span_id if parent else before.parent_span_id if before else ""
        agent = self._agent_span(finding, trace_id, thread_id, agent_id, above)
        if parent:
            agent = agent.model_copy(update={"how": parent.how, "confidence": parent.confidence})
        llm = self._llm_span(finding, trace_id, thread_id, agent.span_id, agent_id)
        told = finding.stored or self._told(finding)
        made = told.made
        answers = self._answers(finding, link, told, began)
        request = self._request(finding, began)
        return Place(
            link=link,
            thread_id=thread_id,
            trace_id=trace_id,
            span_id=_own_span(finding),
            parent_span_id=llm.span_id if first else agent.span_id,
            agent_id=agent_id,
            turn_print=told.turn_print,
            reply_print=told.reply_print,
            tools=made,
            tool_spans=tuple(tool_span_id(self._prints, tool) for tool in made),
            answers=answers,
            overtaken=link is not None and self._threads.is_overtaken(link, request),
            awaits=self._awaited(finding, request, link, before),
            stored=row_of(
                Placement,
                session=_session(finding),
                trace=self._trace(finding, trace_id, thread_id, agent.span_id, agent_id),
                thread=_thread(finding, thread_id, agent_id, parent, above),
                spans=(
                    agent,
                    llm,
                    *self._attempts(finding, llm, first),
                    *(self._tool_span(tool, llm) for tool in made),
                    *self._closed(answers, finding),
                ),
            ),
        )

    def _awaited(
        self, finding: Finding, request: Request, link: Link | None, before: Seen | None
    ) -> tuple[str, ...]:
        if finding.stored:
            return ()
        keys = self._threads.missing(request, link)
        if before is None:  # also where a parent was found: a likelier one may come late
            keys += self._sub_agents.missing(finding.asked)
        return tuple(keys)

    def _told(self, finding: Finding) -> Stored:
        """What the reply of *finding* tells, in prints."""
        replies = finding.understood.reply.messages
        told = said(replies[:1])
        last = finding.asked[-1].fingerprint if finding.asked else ""
        made = made_tools(finding.call_id, finding.exchange.ended_us, replies, self._prints)
        return Stored(
            turn_print(self._prints, last, told),
            reply_print(self._prints, told),
            made,
            tuple(server_answers(made, replies)) if any(tool.server for tool in made) else (),
        )

    def _trace_id(
        self, finding: Finding, link: Link | None, first: Seen | None, parent: Parent | None
    ) -> str:
        """The client's word first; else a new trace where a user says something new."""
        if finding.context.trace_id:
            return finding.context.trace_id
        if finding.stored and finding.stored.fixed:
            return finding.stored.trace_id
        if first:
            return first.trace_id
        if parent:
            return parent.trace_id
        if link and link.seen.trace_id and (link.seen.parent_span_id or not _asks(finding, link)):
            return link.seen.trace_id
        return self._prints.id("trace", finding.call_id)

    def _answers(
        self, finding: Finding, link: Link | None, own: Stored, began: int
    ) -> tuple[Answer, ...]:
        if own.fixed:
            return own.answers
        told = link.told if link else _given(finding.asked)
        messages = [placed.message for placed in finding.asked[told:]]
        brings = any(isinstance(p, ToolResultPart) for message in messages for p in message.parts)
        found: list[Answer] = []
        if brings:
            seen = link.seen if link else None
            session = finding.identity.session_id
            found = Pairing(self._known, self._prints, seen, session, began).answers(messages)
        if link:
            history = (placed.message for placed in finding.asked[:told])
            found += Dropped(self._known, self._prints, link.seen, began).answers(history)
        return (*found, *own.answers)

    def _agent_span(
        self, finding: Finding, trace_id: str, thread_id: str, agent_id: str, above: str
    ) -> StoredSpan:
        context = finding.context
        return row_of(
            StoredSpan,
            span_id=agent_span_id(self._prints, thread_id, trace_id),
            trace_id=trace_id,
            parent_span_id=above or context.parent_span_id or None,
            kind="agent",
            name=agent_id,
            thread_id=thread_id,
            session_id=finding.identity.session_id or None,
            agent_id=agent_id or None,
            outcome=_span_outcome(finding.outcome),
            started_us=finding.exchange.started_us,
            ended_us=finding.exchange.ended_us,
        )

    def _llm_span(
        self, finding: Finding, trace_id: str, thread_id: str | None, above: str, agent_id: str
    ) -> StoredSpan:
        understood = finding.understood
        return row_of(
            StoredSpan,
            span_id=span_of(finding.operation_id or finding.call_id),
            trace_id=trace_id,
            parent_span_id=above or None,
            kind="llm",
            name=f"{understood.operation} {understood.ask.model}".strip(),
            call_id=finding.operation_id or finding.call_id,
            thread_id=thread_id,
            session_id=finding.identity.session_id or None,
            agent_id=agent_id or None,
            outcome=_span_outcome(finding.outcome),
            started_us=finding.exchange.started_us,
            ended_us=finding.exchange.ended_us,
        )

    def _attempts(
        self, finding: Finding, llm: StoredSpan, first: Seen | None
    ) -> tuple[StoredSpan, ...]:
        """Spans below the operation's: one an attempt, once there is more than one."""
        if first is None:
            return ()
        times = {"started_us": first.started_us, "ended_us": first.ended_us}
        shared = {"kind": "attempt", "parent_span_id": llm.span_id}
        failed = _span_outcome(first.outcome)
        earlier = {"span_id": self._prints.id("attempt", first.call_id)[:16], "outcome": failed}
        mine = {"span_id": _own_span(finding), "call_id": finding.call_id}
        return (
            llm.model_copy(update=shared | earlier | times | {"call_id": first.call_id}),
            llm.model_copy(update=shared | mine),
        )

    def _tool_span(self, tool: MadeTool, llm: StoredSpan) -> StoredSpan:
        return llm.model_copy(
            update={
                "span_id": tool_span_id(self._prints, tool),
                "parent_span_id": llm.span_id,
                "kind": "tool",
                "name": tool.name,
                "call_id": tool.call_id,
                "outcome": "ok" if tool.server else None,
                "how": "server" if tool.server else "",
                "started_us": tool.started_us,
                "ended_us": tool.started_us if tool.server else None,
            }
        )

    def _closed(self, answers: Sequence[Answer], finding: Finding) -> list[StoredSpan]:
        """The spans of the tools that *answers* answer, complete."""
        return [span for answer in answers if (span := self._closed_one(answer, finding))]

    def _closed_one(self, answer: Answer, finding: Finding) -> StoredSpan | None:
        tool = answer.made
        maker = self._known.call(tool.call_id)
        failed = "error" if answer.result.is_error else "ok"
        if maker is None:
            return None
        return row_of(
            StoredSpan,
            span_id=tool_span_id(self._prints, tool),
            trace_id=maker.trace_id,
            parent_span_id=span_of(maker.operation_id or maker.call_id),
            kind="tool",
            name=tool.name,
            call_id=tool.call_id,
            thread_id=maker.thread_id or None,
            session_id=maker.session_id or None,
            agent_id=maker.agent_id or None,
            outcome=failed,
            how=answer.how,
            confidence=answer.confidence,
            started_us=tool.started_us,
            ended_us=max(finding.exchange.started_us, tool.started_us),
        )

    def _trace(
        self, finding: Finding, trace_id: str, thread_id: str | None, root: str, agent_id: str
    ) -> StoredTrace:
        opening = user_text(_latest(finding.asked))
        told = finding.context.trace_id == trace_id
        return row_of(
            StoredTrace,
            trace_id=trace_id,
            session_id=finding.identity.session_id or None,
            thread_id=thread_id,
            call_id=finding.call_id,
            agent_id=agent_id or None,
            root_span_id=root,
            name=opening[:NAME_LENGTH] or None,
            how="client" if told else "user_text",
            confidence=1.0 if told else 0.9,
            started_us=finding.exchange.started_us,
            ended_us=finding.exchange.ended_us,
        )


def agent_span_id(prints: Fingerprinter, thread_id: str, trace_id: str) -> str:
    """The span of a thread's part in a trace."""
    return prints.id("agent", thread_id, trace_id)[:16]


def anchor(prints: Fingerprinter, understood: Understood) -> str:
    """The chain that the request's messages are put on: empty, or that of the named response."""
    previous = understood.ask.links.previous_response_id
    # Other dialects name the message before, and send the history all the same.
    if understood.dialect != "openai.responses" or not previous:
        return ""
    return prints.of("after", previous)


def tool_span_id(prints: Fingerprinter, tool: MadeTool) -> str:
    """The span of a tool call."""
    return prints.id("tool span", tool.call_id, str(tool.position))[:16]


def span_of(call_id: str) -> str:
    """The span of a call, or of the operation that it began."""
    return call_id.replace("-", "")[-16:]


def _own_span(finding: Finding) -> str:
    return span_of(finding.call_id)


def _span_outcome(outcome: str) -> Literal["ok", "error"]:
    return "ok" if outcome == "ok" else "error"


def _asks(finding: Finding, link: Link) -> bool:
    """True when the new messages hold a user's words; a summary of what was cut is none."""
    if link.history == "compacted":
        return False
    return bool(user_text(_latest(finding.asked[link.told :])))


def _given(asked: Sequence[Placed]) -> int:
    """How many messages a sub-agent was given with its task: what they answer is its starter's."""
    tasks = (at for at, placed in enumerate(asked) if is_task(placed.message))
    return max(tasks, default=0)


def _latest(asked: Sequence[Placed]) -> list[Message]:
    """The messages since the assistant's last turn."""
    fresh: list[Message] = []
    for placed in reversed(asked):
        if placed.message.role == "assistant":
            break
        fresh.insert(0, placed.message)
    return fresh


def _agent_id(finding: Finding, before: Seen | None, parent: Parent | None) -> str:
    own = finding.identity
    # A sub-agent that was found by its first message stays one.
    below = before.agent_id if before and before.parent_span_id else ""
    found = parent.agent_id if parent else below
    # A label of the whole run does not tell a sub-agent from who started it.
    is_told = own.agent_is_explicit and not found.startswith(f"{own.agent_id}/")
    return own.agent_id if is_told else found or own.agent_id


def _session(finding: Finding) -> StoredSession | None:
    own, caller = finding.identity, finding.exchange.caller
    if not own.session_id:
        return None
    return row_of(
        StoredSession,
        session_id=own.session_id,
        agent_id=own.agent_id or None,
        client=own.client or None,
        pid=caller.pid,
        process=caller.process or None,
        cwd=caller.cwd or None,
        how=own.session_how,
        confidence=own.session_confidence,
        started_us=finding.exchange.started_us,
        ended_us=finding.exchange.ended_us,
    )


def _thread(
    finding: Finding, thread_id: str, agent_id: str, parent: Parent | None, above: str
) -> StoredThread:
    return row_of(
        StoredThread,
        thread_id=thread_id,
        session_id=finding.identity.session_id or None,
        agent_id=agent_id or None,
        parent_thread_id=parent.thread_id or None if parent else None,
        parent_span_id=above or None,
        how=parent.how if parent else "",
        confidence=parent.confidence if parent else 1.0,
        started_us=finding.exchange.started_us,
        ended_us=finding.exchange.ended_us,
    )
