"""Stored wire bytes read again with today's adapters, so that a parser fix heals history.

Comes in: payloads (tier 3) and the calls they belong to.  Goes out: the same records with what
the bytes are understood to say now: columns, messages, tool calls, media.  Ids, times, links
between calls and what was redacted stay; so does whatever the bytes alone do not tell.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from msgspec.structs import replace

from . import providers
from .model import (
    NOT_KEPT,
    Body,
    Ending,
    Exchange,
    Headers,
    LlmCall,
    Message,
    Record,
    StoredToolResult,
    ToolResultPart,
    TurnKind,
    Understood,
)
from .payload import payload_of, redacted
from .pricing import read_user_prices, use
from .pricing.calls import priced, reported_in
from .privacy import Redactor, keep
from .store.healing import Again
from .store.revise import StoredWire, revise
from .stored import stored_message, stored_tool_calls, tool_without_secrets
from .told import is_reserved, told_by
from .traces import Fingerprinter, Placed
from .traces.placing import anchor, tool_span_id
from .traces.spoken import said
from .traces.threads import reply_print, turn_print
from .traces.tools import made_tools
from .wire.media import has_references

COUNTED = frozenset(
    {
        "tokens_in",
        "tokens_out",
        "tokens_total",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "usage_detail",
    }
)
ASKED = frozenset({"dialect", "operation", "kind", "params", "model"})
_ENDINGS: dict[str, Ending] = {"cancelled": "client_left", "interrupted": "upstream_left"}
# Stored bodies are decoded; what still says otherwise is not true of them.
_UNDONE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


_REDACTED = b"[redacted:"
_SWITCHED = 101


@dataclass(slots=True)
class Reread:
    """How many calls were read again, how many changed, in which columns; rows by table."""

    read: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)


def reprocess(
    database: Path, prices: Path, key: bytes, since_us: int = 0, *, dry_run: bool = False
) -> Reread:
    """Read the stored bytes of every call again.

    *prices* is the user's price file, *key* the secret of the message fingerprints.
    """
    use(read_user_prices(prices))
    prints = Fingerprinter(key)
    told = Reread()

    def anew(call: LlmCall, wire: StoredWire) -> Again:
        told.read += 1
        return read_again(call, wire, prints)

    for change in revise(database, since_us, anew, dry_run=dry_run):
        told.changed += 1
        told.rows += change.rows
        told.columns.update(
            name
            for name in LlmCall.model_fields
            if getattr(change.before, name) != getattr(change.after, name)
        )
    return told


def read_again(call: LlmCall, wire: StoredWire, prints: Fingerprinter) -> Again:
    """*call* as its bytes are understood today; what was not kept of them changes nothing."""
    exchange = whole_exchange_of(call, wire)
    if exchange is None:
        return Again(call)
    understood = providers.understand(exchange)
    after = _call(call, wire, exchange, understood)
    return _Rereading(after, wire, exchange, understood, prints).again()


def _call(call: LlmCall, wire: StoredWire, exchange: Exchange, understood: Understood) -> LlmCall:
    told = told_by(exchange, understood)
    kept = set(told)
    if wire.response is None:
        kept &= ASKED
    if wire.request is None:
        kept -= {"model", "params"}
    if call.duplicate_of:
        kept -= COUNTED
    kept -= _hidden(call, wire, understood)
    if (call.kind, understood.kind) == ("auxiliary", "llm"):
        kept -= {"kind"}  # a header that is not stored may have told the two apart
    if call.kind == "auxiliary" and understood.kind == "admin":
        kept -= {"kind"}  # a retrieve that was the first to show what its answer took
    told = Redactor().json({name: value for name, value in told.items() if name in kept})
    again = call.model_copy(update=told | {"notes": _notes(call, understood)})
    if is_reserved(again.service_tier) and again.billing == "metered":
        again = again.model_copy(update={"billing": "subscription"})
    reply = understood.reply
    # A usage that is read again tells its price or has none: what was taken for one is not kept.
    told_before = reported_in(call) if reply.usage.raw is None else None
    return priced(again, told_before if reply.cost_nano_usd is None else reply.cost_nano_usd)


def _hidden(call: LlmCall, wire: StoredWire, understood: Understood) -> frozenset[str]:
    """Columns that were measured in text which is redacted now."""
    hidden: frozenset[str] = frozenset()
    if _REDACTED in (wire.response or b""):
        hidden |= {"reply_chars"}
    if _REDACTED in (wire.request or b"") + (wire.response or b""):
        estimated = {call.usage_source, understood.reply.usage.source} == {"estimated"}
        hidden |= {"usage_detail"} if estimated else set()
    return hidden


@dataclass(frozen=True, slots=True)
class _Rereading:
    """One call's bytes, understood; `again` makes rows of them as far as they were kept."""

    call: LlmCall
    wire: StoredWire
    exchange: Exchange
    understood: Understood
    prints: Fingerprinter

    def again(self) -> Again:
        """What is to be stored now, cut down to the tier of the call."""
        asked = self.prints.place(
            self.understood.ask.messages, anchor(self.prints, self.understood)
        )
        chain = asked[-1].chain if asked else ""
        answered = [
            self.prints.place([message], after=chain)[0]
            for message in self.understood.reply.messages
        ]
        redactor = Redactor()
        sent = [stored_message(one, "in", n, redactor=redactor) for n, one in enumerate(asked)]
        got = [
            stored_message(one, "out", len(asked), choice, redactor=redactor)
            for choice, one in enumerate(answered)
        ]
        payload = payload_of(self.exchange, self.understood)
        record = keep(
            Record(
                call=self.call,
                messages=(*sent, *got),
                tool_calls=self._tools(redactor),
                tool_results=self._results(redactor),
                payload=payload and redacted(payload, redactor, withhold=False),
            ),
            self.call.privacy_tier,
        )
        said_in = tuple(one for one in record.messages if one.direction == "in")
        said_out = tuple(one for one in record.messages if one.direction == "out")
        reads_in, reads_out = self._reads_request(), _is_whole(self.wire.response)
        return Again(
            call=record.call,
            asked=said_in if reads_in else None,
            answered=said_out if reads_out else None,
            tools=record.tool_calls if reads_out else None,
            results=record.tool_results if reads_in and reads_out else (),
            payload=record.payload,
            **self._prints_of(asked),
        )

    def _reads_request(self) -> bool:
        """False where something that was taken out is measured: a file with a secret in it."""
        is_form = "multipart/" in self.exchange.request_headers.get("content-type")
        request = self.wire.request
        return _is_whole(request) and not (is_form and _REDACTED in (request or b""))

    def _tools(self, redactor: Redactor) -> tuple[Any, ...]:
        reply, call = self.understood.reply, self.call
        at_us = call.ended_us or call.started_us
        made = made_tools(call.id, at_us, reply.messages, self.prints) if call.thread_id else ()
        spans = [tool_span_id(self.prints, tool) for tool in made]
        stored = stored_tool_calls(reply, made, spans)
        return tuple(tool_without_secrets(one, redactor) for one in stored)

    def _results(self, redactor: Redactor) -> tuple[StoredToolResult, ...]:
        """Results in the request, and those of the provider's own tools in the reply."""
        call = self.call
        if call.thread_id is None:
            return ()
        asked = _results_in(self.understood.ask.messages, server=False)
        own = _results_in(self.understood.reply.messages, server=True)
        return tuple(
            StoredToolResult(
                tool_call_id=part.tool_call_id,
                call_id=call.id,
                position=0,
                how="reply" if part.server else "id",
                at_us=(call.ended_us or call.started_us) if part.server else call.started_us,
                result=redactor.json(part.content),
                is_error=part.is_error,
            )
            for part in (*asked, *own)
        )

    def _prints_of(self, asked: list[Placed]) -> dict[str, str | None]:
        """Prints of the whole call, where no redaction hides what they are taken of."""
        request, response = self.wire.request, self.wire.response
        told: dict[str, str | None] = {}
        if not _is_whole(request) or _REDACTED in (request or b""):
            return told
        told["request_chain"] = asked[-1].chain if asked else ""
        if not _is_whole(response) or _REDACTED in (response or b"") or not self.call.thread_id:
            return told
        reply = said(self.understood.reply.messages[:1])
        last = asked[-1].fingerprint if asked else ""
        told["turn_print"] = turn_print(self.prints, last, reply)
        told["reply_print"] = reply_print(self.prints, reply)
        return told


def _is_whole(body: bytes | None) -> bool:
    """False where a body is not kept, or names media that are not."""
    return body is not None and not has_references(body)


def _results_in(messages: tuple[Message, ...], *, server: bool) -> list[ToolResultPart]:
    parts = (part for message in messages for part in message.parts)
    return [
        p for p in parts if isinstance(p, ToolResultPart) and p.tool_call_id and p.server == server
    ]


def whole_exchange_of(call: LlmCall, wire: StoredWire) -> Exchange | None:
    """As `exchange_of`; None for a turn of a WebSocket of which nobody knows what kind it was."""
    exchange = exchange_of(call, wire)
    turn = _turn_of(exchange, call)
    return None if turn is None else replace(exchange, turn=turn)


def exchange_of(call: LlmCall, wire: StoredWire) -> Exchange:
    """The exchange that *call* was made of, as far as it was kept."""
    ending = _ENDINGS.get(call.outcome, "complete")
    cut = any(note.endswith(NOT_KEPT) for note in call.notes or ())
    return Exchange(
        id=call.id,
        provider=call.provider,
        host=call.host,
        method=call.method,
        target=call.path,
        started_us=call.started_us,
        ended_us=call.ended_us or call.started_us,
        request_headers=_headers(wire.request_headers),
        request=_body(wire.request or b"", complete=True, cut=cut),
        status=call.status_code,
        response_headers=_headers(wire.response_headers),
        response=_body(wire.response or b"", complete=ending == "complete", cut=cut),
        ending=ending,
        # Where nothing came back, this is what was said of it.
        ending_note=(call.error_message or "") if call.status_code is None else "",
        source=call.source,
        speaks=_speaks(call),
        trailers=_trailers(call),
    )


def _trailers(call: LlmCall) -> Headers:
    """How a gRPC call ended.  Trailers are not stored, what they said is in the columns."""
    if call.dialect != "gemini.grpc":
        return Headers()
    if call.outcome == "ok":
        return Headers((("grpc-status", "0"),))
    if not call.error_code:
        return Headers()
    words = quote(call.error_message or "")
    return Headers((("grpc-status", call.error_code), ("grpc-message", words)))


_FAMILY = {"gemini": "google"}


def _speaks(call: LlmCall) -> str:
    """Whose dialect *call* speaks, where its provider goes by a name of the user's."""
    if call.provider in providers.known_providers() or call.dialect == "other":
        return ""
    family = call.dialect.partition(".")[0]
    return _FAMILY.get(family, family)


def _turn_of(exchange: Exchange, call: LlmCall) -> TurnKind | None:
    """What kind of turn *call* was on its WebSocket: empty for no turn, None where nobody knows."""
    if call.status_code != _SWITCHED:
        return ""
    turns = (turn for turn in get_args(TurnKind) if turn)
    was = call.dialect, call.operation
    return next((t for t in turns if providers.spoken_at(replace(exchange, turn=t)) == was), None)


def _notes(call: LlmCall, understood: Understood) -> list[str]:
    """What was noted of the way stays; what was noted of the bytes is said anew."""
    kept = (note for note in call.notes or () if not _OF_THE_BYTES.search(note))
    again = (*understood.notes, *understood.ask.notes, *understood.reply.notes)
    return list(dict.fromkeys((*again, *kept)))


_OF_THE_BYTES = re.compile(
    r"^unknown |^derived:|^usage_mismatch$|: not |: an element|: cut$|is not JSON$"
)


def _headers(stored: Any) -> Headers:
    pairs = stored if isinstance(stored, list) else []
    return Headers(tuple((k, v) for k, v in pairs if k.lower() not in _UNDONE))


def _body(data: bytes, *, complete: bool, cut: bool) -> Body:
    # How much more there was is not known of the one body and the other; that there was is enough.
    return Body(data, len(data) + cut, (), complete)
