"""A stored call placed anew, by the code that places calls as they come.

Comes in: a call with its whole request, as the store has it.  Goes out: its place.  Whether all
calls are placed again or a few around one that came late is decided elsewhere.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from . import providers
from .model import (
    Ask,
    Caller,
    Exchange,
    Headers,
    Links,
    LlmCall,
    Message,
    Reply,
    StoredPrompt,
    StoredSession,
    ToolResultPart,
    Understood,
)
from .store import KnownContent
from .store.talks import Placing, StoredMade, StoredTalk, ToolAnswer
from .stored import stored_prompt
from .traces import Fingerprinter, Known, MadeTool, Placed
from .traces.content import parsed
from .traces.finding import Finding, Parent, Stored
from .traces.identity import Identity, TraceContext, agent_of
from .traces.placing import Place, Places
from .traces.prompts import Prompt, prompt_id
from .traces.submitted import as_told, is_submitted
from .traces.threads import History, Link
from .traces.tools import Answer

RECENT = 64
"""Responses of a session that a request without history may name."""


class PlacedAgain:
    """Places stored calls one after another, in the order in which they began.

    *known* knows the calls before; *unversioned* finds the prompt of a call that has none yet;
    *responses* are the ids of a session's responses before, the latest first.
    """

    def __init__(
        self,
        prints: Fingerprinter,
        known: KnownContent,
        unversioned: Callable[[StoredTalk, str], Prompt | None] = lambda talk, agent_id: None,
        responses: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._prints = prints
        self._known = known
        self._unversioned = unversioned
        self._places = Places(self._known, prints)
        self._responses: dict[str, deque[str]] = {
            session: deque(ids, maxlen=RECENT) for session, ids in (responses or {}).items()
        }

    def placed(self, talk: StoredTalk) -> Placing:
        """The place of the next call."""
        call = talk.call
        if is_submitted(call):
            return Placing(*as_told(call, _told_session(talk)), talk.told, [])
        finding = self._finding(talk)
        stored = finding.stored or Stored()
        place = self._places.place(finding)
        # A side call has no spans: nothing was inferred of it.
        again = _again(call, place) if place.stored.spans else call
        answers = [_answered(answer, call) for answer in place.answers]
        times = ((answer[0], answer[1], answer[4]) for answer in answers)
        self._known.learn(again, place.stored.thread, stored.made, times)
        if call.response_id:
            recent = self._responses.setdefault(call.session_id or "", deque(maxlen=RECENT))
            recent.appendleft(call.response_id)
        prompt = self._prompt(talk, again)
        if prompt:
            again = again.model_copy(update={"prompt_id": prompt.prompt_id})
        told = place.link.told if place.link else 0
        if stored.fixed or not place.thread_id:
            told = talk.told
        return Placing(again, place.stored, told, answers, prompt)

    def _prompt(self, talk: StoredTalk, again: LlmCall) -> StoredPrompt | None:
        """The version that the call was made with, where that is not what is stored."""
        agent = again.agent_id or ""
        if known := talk.prompt:
            id_ = prompt_id(self._prints, agent, known.system_print, known.tools_print)
            changed = {"prompt_id": id_, "agent_id": agent}
            return None if id_ == known.prompt_id else known.model_copy(update=changed)
        found = self._unversioned(talk, agent)
        return stored_prompt(found) if found else None

    def _finding(self, talk: StoredTalk) -> Finding:
        call = talk.call
        asked, previous = self._asked(talk)
        stored = self._stored(talk, fixed=asked is None)
        return Finding(
            exchange=_exchange(call),
            understood=_understood(talk, previous),
            asked=_bare(talk) if asked is None else asked,
            identity=_identity(talk),
            context=TraceContext(
                (call.trace_id or "") if talk.trace_is_told or call.thread_id is None else "",
                talk.above,
            ),
            outcome=call.outcome,
            operation_id=call.operation_id or "",
            stored=stored,
        )

    def _asked(self, talk: StoredTalk) -> tuple[list[Placed] | None, str]:
        """The request as it was placed, and the response that it names as said before.

        None where it cannot be had again.
        """
        if talk.asked is None or any(words.content is None for words in talk.asked):
            return None, ""
        for previous in ("", *self._responses.get(talk.call.session_id or "", ())):
            # Which response a request names is not stored, but its chain begins with it.
            if previous and talk.call.dialect != "openai.responses":
                break
            chain = self._prints.of("after", previous) if previous else ""
            asked = []
            for words in talk.asked:
                chain = self._prints.chained(chain, words.fingerprint)
                content = words.content or []
                asked.append(Placed(parsed(words.role, content), content, words.fingerprint, chain))
            if chain == (talk.call.request_chain or ""):
                return asked, previous
        return None, ""

    def _stored(self, talk: StoredTalk, *, fixed: bool) -> Stored:
        call = talk.call
        made = tuple(_made(one) for one in talk.made)
        return Stored(
            call.turn_print or "",
            call.reply_print or "",
            made,
            _answers(talk, made, self._known, fixed=fixed),
            _link(talk, self._known) if fixed else None,
            call.trace_id or "",
            _parent(talk),
            fixed,
        )


def _answered(answer: Answer, call: LlmCall) -> ToolAnswer:
    ended = call.ended_us or call.started_us
    return (
        answer.made.call_id,
        answer.made.position,
        answer.result.content,
        answer.result.is_error,
        ended if answer.made.server else call.started_us,
        answer.how,
        answer.confidence,
    )


def _again(call: LlmCall, place: Place) -> LlmCall:
    link = place.link
    return call.model_copy(
        update={
            "trace_id": place.trace_id or None,
            "span_id": place.span_id,
            "parent_span_id": place.parent_span_id or None,
            "thread_id": place.thread_id or None,
            "agent_id": place.agent_id or None,
            "continues_call_id": link.seen.call_id if link else None,
            "continues_how": link.how if link else None,
            "continues_confidence": link.confidence if link else None,
            "history": link.history if link else None,
        }
    )


def _exchange(call: LlmCall) -> Exchange:
    return Exchange(
        id=call.id,
        provider=call.provider,
        host=call.host,
        method=call.method,
        target=call.path,
        started_us=call.started_us,
        ended_us=call.ended_us or call.started_us,
        request_headers=Headers((("user-agent", call.user_agent),) if call.user_agent else ()),
        caller=Caller(
            address=call.client_address or "",
            pid=call.pid,
            process=call.process or "",
            cwd=call.cwd or "",
        ),
        # What another exchange carried took no time of its own.
        within=call.path if call.latency_ms is None else "",
    )


def _understood(talk: StoredTalk, previous: str) -> Understood:
    call = talk.call
    named = talk.thread_how == "header+argument"
    links = Links(
        previous_response_id=previous,
        conversation_id=call.conversation_id or "",
        agent_id=(call.agent_id or "") if named else "",
    )
    return Understood(
        call.dialect or "",
        call.operation or "",
        call.kind,
        Ask(model=call.model or "", links=links),
        Reply(streamed=bool(call.streamed)),
    )


def _bare(talk: StoredTalk) -> list[Placed]:
    """The request where its history is not whole: what is kept of it, for the trace's name."""
    if talk.asked:
        return [
            Placed(parsed(one.role, one.content or []), one.content or [], one.fingerprint, "")
            for one in talk.asked
        ]
    return [Placed(Message("assistant", ()), [], "", "")] if talk.call.n_messages else []


def _parent(talk: StoredTalk) -> Parent | None:
    if not talk.parent_span:
        return None
    return Parent(
        talk.call.trace_id or "",
        talk.parent_thread,
        talk.parent_span,
        talk.call.agent_id or "",
        talk.thread_how,
        talk.thread_confidence,
    )


def _identity(talk: StoredTalk) -> Identity:
    call = talk.call
    client = call.client or ""
    own = agent_of(
        Caller(process=call.process or ""),
        Links(),
        client,
        call.user_agent or "",
        is_library=providers.is_library(client),
    )
    # A sub-agent that was found by its first message goes by the tool, unless it has told a name.
    last = (call.agent_id or "").rpartition("/")[2]
    found = talk.thread_how == "argument" and last == talk.parent_tool
    named = not found and call.agent_id != own
    return Identity(
        session_id=call.session_id or "",
        session_how=talk.session_how,
        session_confidence=talk.session_confidence,
        agent_id=(own if found else call.agent_id) or "",
        agent_is_explicit=named,
        client=client,
    )


def _told_session(talk: StoredTalk) -> StoredSession | None:
    """The session of a call that a program told of."""
    call = talk.call
    if not call.session_id:
        return None
    return StoredSession(
        session_id=call.session_id,
        agent_id=call.agent_id,
        how=talk.session_how or "client",
        confidence=talk.session_confidence,
        started_us=call.started_us,
        ended_us=call.ended_us or call.started_us,
    )


def _link(talk: StoredTalk, known: Known) -> Link | None:
    """The link that was stored, where its other end is still there."""
    call = talk.call
    seen = known.call(call.continues_call_id) if call.continues_call_id else None
    if seen is None:
        return None
    sure = 1.0 if call.continues_confidence is None else call.continues_confidence
    return Link(
        seen, call.continues_how or "", sure, talk.told, cast("History", call.history or "grown")
    )


def _made(one: StoredMade) -> MadeTool:
    return MadeTool(
        one.call_id,
        one.position,
        one.tool_call_id,
        one.item_id,
        one.name,
        one.fingerprint,
        one.server,
        one.started_us,
        one.prompts,
    )


def _answers(
    talk: StoredTalk, made: Sequence[MadeTool], known: KnownContent, *, fixed: bool
) -> tuple[Answer, ...]:
    """The stored answers that are not inferred again."""
    found = []
    own = {tool.position: tool for tool in made}
    for one in talk.answers:
        if one.call_id == talk.call.id:
            tool = own.get(one.position)
        elif fixed:
            seen = known.call(one.call_id)
            tool = (
                next((t for t in seen.tools if t.position == one.position), None) if seen else None
            )
        else:
            continue
        if tool:
            result = ToolResultPart(tool.id, None, is_error=one.is_error)
            found.append(Answer(tool, result, one.how, one.confidence))
    return tuple(found)
