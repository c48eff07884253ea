"""From an exchange to a record: understand, place, price, keep what may be kept.

A surprise on the wire costs a field and leaves a note; a bug in an adapter costs the parse;
neither costs the row.
"""

import logging
import sys
from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec.structs import replace

from . import providers
from .clock import now_us
from .model import (
    Body,
    Caller,
    Exchange,
    Json,
    Links,
    LlmCall,
    Payload,
    Record,
    StoredMessage,
    StoredPrompt,
    StoredToolResult,
    Understood,
    row_of,
)
from .payload import payload_of, redacted
from .pricing.calls import priced
from .privacy import CLEAN, Redactor, keep, scattered
from .scheduling import give_way
from .store import Answers
from .stored import stored_message, stored_prompt, stored_tool_calls, without_secrets
from .told import is_reserved, outcome, told_by
from .traces import Fingerprinter, Known, Placed
from .traces.attempts import Attempt, Attempts
from .traces.finding import Finding
from .traces.identity import Identities, trace_context
from .traces.late import Waiting
from .traces.placing import Place, Places
from .traces.prompts import Prompt, Prompts

log = logging.getLogger(__name__)

_SUBSCRIPTIONS = ("chatgpt.com", "cloudcode-pa.googleapis.com")


class Pipeline:
    """Turns exchanges into records under one privacy *tier*.

    *known* answers what the store has already, so that history is neither scanned nor kept twice.
    """

    def __init__(
        self,
        tier: Literal[1, 2, 3],
        fingerprinter: Fingerprinter,
        known: Known,
        answers: Answers | None = None,
    ) -> None:
        self._answers = answers or Answers()
        self.tier = tier
        self._fingerprinter = fingerprinter
        self._known = known
        self._attempts = Attempts()
        self._identities = Identities()
        self._places = Places(known, fingerprinter)
        self._prompts = Prompts(fingerprinter)
        self._late = Waiting()
        self._began_us = now_us()

    def records(self, exchange: Exchange) -> tuple[Record, ...]:
        """What is to be stored of *exchange* and of the calls that it carried; its own comes last.

        The carrier is last because it is what capture waits for: when it is safe, all are.
        """
        try:
            carried = providers.calls_within(exchange)
        except Exception:  # as in `record`
            if "pytest" in sys.modules:
                raise
            log.exception("%s%s: what it carries was not found", exchange.host, exchange.path)
            carried = ()
        return (*map(self.record, carried), self.record(exchange))

    def lose(self, call_ids: Collection[str]) -> None:
        """These calls are no more: nothing repeats their answers, or is tried again after them."""
        self._answers.lose(call_ids)
        self._attempts.lose(call_ids)

    def record(self, exchange: Exchange, *, running: bool = False) -> Record:
        """What is to be stored of *exchange*, redacted and cut down to the tier.

        A *running* one has not ended: it is nobody's retry yet.
        """
        try:
            return self._record(exchange, providers.understand(exchange), running)
        except Exception:  # the second promise: a bug of ours costs the parse, never the row
            if "pytest" in sys.modules:
                raise
            log.exception("%s%s was not understood", exchange.host, exchange.path)
        try:
            return self._record(exchange, _UNREAD, running)
        except Exception:  # its place in the story is what fails: a call without one
            log.exception("%s%s stands alone", exchange.host, exchange.path)
            alone = keep(_alone(exchange), self.tier)
            return without_secrets(alone, Redactor(exchange.credential_digests))

    def _record(self, exchange: Exchange, understood: Understood, running: bool) -> Record:
        attempt = None if running else self._attempt(exchange, understood)
        give_way()
        talk = self._place(exchange, understood, attempt)
        give_way()
        notes = list(dict.fromkeys((*exchange.notes, *understood.notes)))
        call = _call(exchange, understood, talk, notes, self.tier, attempt=attempt)
        if not running:
            call = self._answers.once(call, carried=bool(exchange.within))
        call = priced(call, understood.reply.cost_nano_usd)
        redactor = Redactor(exchange.credential_digests)
        # Nearly all calls hold no secret: one look at all their values tells, and spares the rest.
        prompt = self._new_prompt(talk.prompt)
        told = _values(call, talk, exchange, prompt)
        give_way()
        values = CLEAN if redactor.is_clean(told) else redactor
        give_way()
        record = row_of(
            Record,
            call=call,
            messages=tuple(self._stored(place, values) for place in talk.added),
            tool_calls=stored_tool_calls(understood.reply, talk.place.tools, talk.place.tool_spans),
            tool_results=_tool_results(talk.place, exchange),
            placement=talk.place.stored,
            prompt=prompt,
            payload=payload_of(exchange, understood) if self.tier == 3 else None,
        )
        awaited = () if running else self._awaited(call, talk.place)
        record = keep(record, self.tier)
        if awaited:
            record = record.model_copy(update={"awaited": awaited})
        if talk.place.overtaken and not running:
            record = record.model_copy(update={"overtaken": True})
        if values is not CLEAN:
            record = without_secrets(record, redactor)
        if payload := record.payload:
            withhold = understood.reply.streamed and (
                _has_secret(talk, values)
                # Of a dialect that nobody reads there is no folded reply to look at.
                or (understood.dialect == "other" and not redactor.is_clean(_pieces(payload)))
            )
            clean = redacted(payload, redactor, values, withhold=withhold)
            record = record if clean is payload else record.model_copy(update={"payload": clean})
        return record

    def _awaited(self, call: LlmCall, place: Place) -> tuple[str, ...]:
        """Calls that came before this one, which they may go on from."""
        if self.tier < 3 or not place.thread_id:
            return ()  # without what was said, nothing can be placed again
        of = f"{call.session_id} "
        found: tuple[str, ...] = ()
        if call.started_us < self._late.latest_us:  # else nobody can have waited: nearly always
            brought = (of + key for key in _brought(call, place))
            found = self._late.came(call.id, call.started_us, brought)
        self._late.wait(call.id, call.started_us, (of + key for key in place.awaits))
        return found

    def in_flight(self, exchange: Exchange) -> Record:
        """A row for an exchange that has not ended, so that a long call can be seen."""
        unanswered = replace(exchange, status=None, response=Body(complete=False))
        seen = self.record(unanswered, running=True)
        unknown = {"outcome": "in_flight", "ended_us": None, "latency_ms": None}
        call = seen.call.model_copy(
            update=unknown
            | {
                "finish_reason": None,
                "request_chain": None,
                "turn_print": None,
                "reply_print": None,
            }
        )
        return Record(call=call)

    def _attempt(self, exchange: Exchange, understood: Understood) -> Attempt | None:
        """The operation that *exchange* is tried for: an earlier one's, or its own."""
        if understood.kind not in ("llm", "auxiliary") or exchange.within:
            return None
        told = providers.attempt_of(exchange.request_headers)
        if exchange.started_us < self._began_us:  # the recorder before us may have placed it
            again = self._known.call(exchange.id)
            if again and again.operation_id:
                return Attempt(again.operation_id, told)
        return self._attempts.place(exchange, outcome(exchange, understood.reply), told)

    def _place(
        self, exchange: Exchange, understood: Understood, attempt: Attempt | None
    ) -> "_Talk":
        """Find where the conversation goes on, and which of its messages are new."""
        ask, headers = understood.ask, exchange.request_headers
        asked = self._fingerprinter.place(ask.messages, self._places.anchor(understood))
        client = providers.client_of(headers.get("user-agent"), headers)
        finding = Finding(
            exchange=exchange,
            understood=understood,
            asked=asked,
            identity=self._identities.of(
                exchange, ask.links, client, is_library=providers.is_library(client)
            ),
            context=trace_context(exchange),
            outcome=outcome(exchange, understood.reply),
            operation_id=attempt.operation_id if attempt else "",
        )
        place = self._places.place(finding)
        told = place.link.told if place.link else 0
        chain = asked[-1].chain if asked else ""
        messages = [_Message(one, "in", told + n) for n, one in enumerate(asked[told:])]
        for choice, message in enumerate(understood.reply.messages):
            [answer] = self._fingerprinter.place([message], after=chain)
            messages.append(_Message(answer, "out", len(asked), choice))
        prompt = None
        if finding.in_story:
            prompt = self._prompts.of(place.agent_id, asked, ask.tools, ask.tool_names)
        return _Talk(finding, place, tuple(messages), chain, len(asked), prompt)

    def _new_prompt(self, prompt: Prompt | None) -> StoredPrompt | None:
        """*prompt* as a row, where this process has not handed it over before."""
        if prompt is None or self._known.has_message(prompt.id):
            return None
        return stored_prompt(prompt)

    def _stored(self, place: "_Message", redactor: Redactor) -> StoredMessage:
        return stored_message(
            place.placed,
            place.direction,
            place.position,
            place.choice,
            redactor=redactor,
            known=self._known.has_message(place.placed.fingerprint),
        )


class _Message(msgspec.Struct, frozen=True):
    placed: Placed
    direction: Literal["in", "out"]
    position: int
    choice: int = 0


class _Talk(msgspec.Struct, frozen=True):
    """A call's part of a conversation: what it adds, and where it goes on from."""

    finding: Finding
    place: Place
    added: tuple[_Message, ...]
    chain: str
    n_messages: int
    prompt: Prompt | None = None


def _brought(call: LlmCall, place: Place) -> set[str]:
    """The keys by which other calls may have looked for this one: see `traces.late`."""
    return {
        f"chain {call.request_chain}",
        f"print {call.turn_print}",
        f"print {call.reply_print}",
        f"response {call.response_id}",
        f"conversation {call.conversation_id}",
        *(f"tool {key}" for tool in place.tools for key in (tool.id, tool.item_id)),
        *(f"prompt {print_}" for tool in place.tools for print_ in tool.prompts),
    }


_UNREAD = Understood("other", "other", "admin", notes=("not understood: see the log",))


def _alone(exchange: Exchange) -> Record:
    """What the head of an exchange tells, when nothing else can be told."""
    failed = exchange.status is not None and exchange.status >= 400
    complete = exchange.ending == "complete" and exchange.status is not None
    call = LlmCall(
        id=exchange.id,
        started_us=exchange.started_us,
        ended_us=exchange.ended_us,
        provider=exchange.provider,
        host=exchange.host,
        method=exchange.method,
        path=exchange.path,
        status_code=exchange.status,
        outcome="error" if failed else "ok" if complete else "interrupted",
        latency_ms=_since(exchange.started_us, exchange.ended_us),
        request_bytes=exchange.request.size,
        response_bytes=exchange.response.size,
        notes=["not recorded in full: see the log"],
    )
    return Record(call=call)


def _call(
    exchange: Exchange,
    understood: Understood,
    talk: _Talk,
    notes: list[str],
    tier: Literal[1, 2, 3],
    *,
    attempt: Attempt | None,
) -> LlmCall:
    ask, reply = understood.ask, understood.reply
    headers = exchange.request_headers
    user_agent = headers.get("user-agent")
    provider_id, client_id = providers.request_ids(headers, exchange.response_headers)
    place, identity = talk.place, talk.finding.identity
    link = place.link
    return LlmCall(
        **told_by(exchange, understood),
        id=exchange.id,
        started_us=exchange.started_us,
        ended_us=exchange.ended_us,
        provider=exchange.provider,
        billing=_billing(exchange, understood),
        rate_limit=providers.rate_limits(exchange.response_headers),
        tags=_tags(exchange.caller, ask.links, tier),
        project=exchange.caller.tags.get("project") or exchange.caller.repository or None,
        end_user=ask.links.end_user or None,
        prompt_id=talk.prompt.id if talk.prompt else None,
        host=exchange.host,
        method="GET" if exchange.within else exchange.method,
        path=exchange.within or exchange.target,
        status_code=exchange.status,
        latency_ms=_since(exchange.started_us, None if exchange.within else exchange.ended_us),
        ttfb_ms=_since(exchange.started_us, None if exchange.within else exchange.first_byte_us),
        ttft_ms=_since(exchange.started_us, reply.first_content_us),
        request_bytes=exchange.request.size,
        response_bytes=exchange.response.size,
        chunks=len(exchange.response.arrivals),
        provider_request_id=provider_id or None,
        client_request_id=client_id or None,
        operation_id=attempt.operation_id if attempt else None,
        attempt=attempt.number if attempt else providers.attempt_of(headers),
        trace_id=place.trace_id or None,
        span_id=place.span_id,
        parent_span_id=place.parent_span_id or None,
        thread_id=place.thread_id or None,
        session_id=identity.session_id or None,
        agent_id=place.agent_id or None,
        continues_call_id=link.seen.call_id if link else None,
        continues_how=link.how if link else None,
        continues_confidence=link.confidence if link else None,
        history=link.history if link else None,
        conversation_id=ask.links.conversation_id or None,
        turn_print=place.turn_print or None,
        reply_print=place.reply_print or None,
        request_chain=talk.chain or None,
        n_messages=talk.n_messages,
        user_agent=user_agent or None,
        client=identity.client or None,
        client_address=exchange.caller.address or None,
        pid=exchange.caller.pid,
        process=exchange.caller.process or None,
        cwd=exchange.caller.cwd or None,
        source=exchange.source,
        privacy_tier=tier,
        notes=[*notes, *ask.notes, *reply.notes],
    )


def _billing(
    exchange: Exchange, understood: Understood
) -> Literal["metered", "subscription", "free"] | None:
    """Who pays how, as far as the wire tells; None for what is not a call."""
    if understood.kind not in ("llm", "auxiliary"):
        return None
    if understood.operation == "moderation" and exchange.provider == "openai":
        return "free"
    # OAuth logins of coding agents ride on a subscription; API keys are metered.
    if "oauth-" in exchange.request_headers.get("anthropic-beta"):
        return "subscription"
    if is_reserved(understood.reply.service_tier):
        return "subscription"
    if exchange.provider == "copilot" or exchange.host in _SUBSCRIPTIONS:
        return "subscription"
    return "metered"


def _tags(caller: Caller, links: Links, tier: Literal[1, 2, 3]) -> dict[str, str]:
    """The caller's labels, which run it was, and what its process tells beside them."""
    told = {
        "started_by": caller.started_by,
        "branch": caller.branch if tier > 1 else "",
        **caller.tags,
        "run": caller.run_id or caller.tags.get("run", ""),
        "prompt": links.prompt_id,
    }
    return {name: value for name, value in told.items() if value}


def _tool_results(place: Place, exchange: Exchange) -> tuple[StoredToolResult, ...]:
    """Results that this call brings for tool calls of earlier ones, and of its own reply."""
    return tuple(
        StoredToolResult(
            tool_call_id=answer.made.id,
            call_id=answer.made.call_id,
            position=answer.made.position,
            result=answer.result.content,
            is_error=answer.result.is_error,
            how=answer.how,
            confidence=answer.confidence,
            at_us=exchange.ended_us if answer.made.server else exchange.started_us,
        )
        for answer in place.answers
    )


_OURS = frozenset(
    {
        "id",
        "operation_id",
        "span_id",
        "thread_id",
        "continues_call_id",
        "request_chain",
        "turn_print",
        "reply_print",
        "prompt_id",
    }
)
"""Columns that nobody but us writes: they hold no secret of the wire."""


def _values(
    call: LlmCall, talk: _Talk, exchange: Exchange, prompt: StoredPrompt | None
) -> list[Json]:
    """Everything that a record keeps of an exchange, its bodies aside, in no particular order."""
    trace = talk.place.stored.trace
    return [
        {name: value for name, value in call.__dict__.items() if name not in _OURS},
        trace.name if trace else None,
        [message.placed.content for message in talk.added],
        [answer.result.content for answer in talk.place.answers],
        {"system": prompt.system, "tools": prompt.tools} if prompt else None,
        exchange.request_headers.pairs,
        exchange.response_headers.pairs,
    ]


def _has_secret(talk: _Talk, redactor: Redactor) -> bool:
    """True when the reply holds one.

    A streamed reply may carry a secret in pieces that no pattern sees, so its bytes are not kept
    where the folded reply had one.
    """
    told = [message.placed.content for message in talk.added if message.direction == "out"]
    return not redactor.is_clean(told)


def _pieces(payload: Payload) -> list[str]:
    return scattered(payload.response_body) if payload.response_body else []


def _since(start_us: int, at_us: int | None) -> float | None:
    return (at_us - start_us) / 1000 if at_us is not None else None
