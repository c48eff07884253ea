"""Stored wire bytes read again with today's adapters, so that a parser fix heals history.

Comes in: payloads (tier 3) and the calls they belong to.  Goes out: the same rows with what the
bytes are understood to say now.  Ids, times, links between calls and what was redacted stay; so
does whatever the bytes alone do not tell.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import providers
from .model import Body, Ending, Exchange, Headers, LlmCall, Understood
from .pricing import read_user_prices, use
from .pricing.calls import priced, reported_in
from .privacy import Redactor
from .store.revise import StoredWire, revise
from .told import told_by

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


@dataclass(slots=True)
class Reread:
    """How many calls were read again, how many changed, and in which columns."""

    read: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)


def reprocess(database: Path, prices: Path, since_us: int = 0, *, dry_run: bool = False) -> Reread:
    """Read the stored bytes of every call again; *prices* is the user's price file."""
    use(read_user_prices(prices))
    told = Reread()

    def anew(call: LlmCall, wire: StoredWire) -> LlmCall:
        told.read += 1
        return read_again(call, wire)

    for before, after in revise(database, since_us, anew, dry_run=dry_run):
        told.changed += 1
        told.columns.update(
            name for name in LlmCall.model_fields if getattr(before, name) != getattr(after, name)
        )
    return told


def read_again(call: LlmCall, wire: StoredWire) -> LlmCall:
    """*call* as its bytes are understood today; what was not kept of them changes nothing."""
    exchange = exchange_of(call, wire)
    understood = providers.understand(exchange)
    told = told_by(exchange, understood)
    kept = set(told)
    if wire.response is None:
        kept &= ASKED
    if wire.request is None:
        kept -= {"model", "params"}
    if call.duplicate_of:
        kept -= COUNTED
    if {call.kind, understood.kind} == {"llm", "auxiliary"}:
        kept -= {"kind"}  # a header that is not stored tells the two apart
    if call.kind == "auxiliary" and understood.kind == "admin":
        kept -= {"kind"}  # a retrieve that was the first to show what its answer took
    told = Redactor().json({name: value for name, value in told.items() if name in kept})
    again = call.model_copy(update=told | {"notes": _notes(call, understood)})
    return priced(again, reported_in(call) or understood.reply.cost_nano_usd)


def exchange_of(call: LlmCall, wire: StoredWire) -> Exchange:
    """The exchange that *call* was made of, as far as it was kept."""
    ending = _ENDINGS.get(call.outcome, "complete")
    return Exchange(
        id=call.id,
        provider=call.provider,
        host=call.host,
        method=call.method,
        target=call.path,
        started_us=call.started_us,
        ended_us=call.ended_us or call.started_us,
        request_headers=_headers(wire.request_headers),
        request=Body.of(wire.request or b""),
        status=call.status_code,
        response_headers=_headers(wire.response_headers),
        response=_body(wire.response or b"", complete=ending == "complete"),
        ending=ending,
        source=call.source,
    )


def _notes(call: LlmCall, understood: Understood) -> list[str]:
    """What was noted of the way stays; what was noted of the bytes is said anew."""
    kept = (note for note in call.notes or () if not _OF_THE_BYTES.search(note))
    again = (*understood.notes, *understood.ask.notes, *understood.reply.notes)
    return list(dict.fromkeys((*again, *kept)))


_OF_THE_BYTES = re.compile(r"^unknown |^usage_mismatch$|: not |: an element|: cut$|is not JSON$")


def _headers(stored: Any) -> Headers:
    pairs = stored if isinstance(stored, list) else []
    return Headers(tuple((k, v) for k, v in pairs if k.lower() not in _UNDONE))


def _body(data: bytes, *, complete: bool) -> Body:
    return Body(data, len(data), (), complete)
