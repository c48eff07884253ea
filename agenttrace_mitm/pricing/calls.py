"""The price of a call as it is stored: what the recorder writes and what `db reprice` writes anew.

Both go through here and read nothing but columns of the row, so that a price of today and one
made again next year differ by the price data alone.
"""

import re
from collections.abc import Sequence

from ..model import Cost, Json, LlmCall, Unpriced, Usage
from . import price

BILLED_KINDS = ("llm", "auxiliary")
REPORTED, LISTED, ESTIMATED = "reported", "listed", "estimated"


UNREADABLE = "unreadable_usage"
# `usage.prompt_tokens: not a count`, `usageMetadata.candidatesTokenCount: not a count`, ...
_UNREAD = re.compile(
    r"^((?:.*\.)?\w*(?:prompt|input|completion|output|candidates|response|thoughts?)"
    r"_?tokens?(?:_?count)?): not a count$",
    re.IGNORECASE,
)

# Notes that a price leaves, so that a new price takes the place of the old one's.
_OF_A_PRICE = re.compile(
    r"(upper_bound|fee_not_included|priced_as_text|uplift):"
    r"|(tier_price_dated_later|tier_by_rule|tier_at_standard_price):"
    r"|(user_prices|free_model|modalities_ignored|iterations_unclear)$"
)


def usage_of(call: LlmCall) -> Usage:
    """The usage that the columns of *call* hold."""
    return Usage(
        call.tokens_in,
        call.tokens_out,
        call.tokens_total,
        call.cache_read_tokens,
        call.cache_write_tokens,
        call.reasoning_tokens,
        call.usage_detail or {},
        call.usage_raw,
        call.usage_source,
    )


def price_call(call: LlmCall) -> Cost | Unpriced:
    """What *call* costs by the price lists of its time."""
    return price(
        provider=call.provider,
        dialect=call.dialect,
        operation=call.operation,
        model=call.model or "",
        response_model=call.response_model or "",
        usage=usage_of(call),
        at_us=call.started_us,
        service_tier=call.service_tier,
        host=call.host,
        status_code=call.status_code,
        context=_context(call.usage_raw),
    )


def priced(call: LlmCall, reported_nano_usd: int | None = None) -> LlmCall:
    """*call* with its cost columns filled in; calls of other kinds have none.

    A price that the provider reported wins, and what the lists say stands beside it.
    """
    update = cost_columns(call, reported_nano_usd)
    return call.model_copy(update=update) if update else call


def cost_columns(call: LlmCall, reported_nano_usd: int | None = None) -> dict[str, Json]:
    """The columns that `priced` fills in."""
    if call.kind not in BILLED_KINDS or call.duplicate_of:
        return {}
    notes = [note for note in call.notes or () if not _OF_A_PRICE.match(note)]
    found = price_call(call)
    if isinstance(found, Cost) and _is_of_a_part(call, notes):
        found = Unpriced(UNREADABLE)
    if reported_nano_usd is not None:
        listed = {LISTED: found.nano_usd} if isinstance(found, Cost) else {}
        found = Cost(reported_nano_usd, {REPORTED: reported_nano_usd, **listed}, "provider")
    update = columns_of(found, notes)
    return update | _estimate(call) if isinstance(found, Unpriced) else update


def _is_of_a_part(call: LlmCall, notes: Sequence[str]) -> bool:
    """True where a count of what was read or written is there, and is no count.

    The price of the rest is not that of the call.  Cohere's `tokens` cost nothing: its billed
    units do.
    """
    unread = [found[1] for note in notes if (found := _UNREAD.search(note))]
    if call.provider == "cohere" and "billed_input_tokens" in (call.usage_detail or {}):
        unread = [where for where in unread if "billed_units" in where]
    return bool(unread)


def columns_of(found: Cost | Unpriced, notes: Sequence[str] = ()) -> dict[str, Json]:
    """The columns in which *found* is stored, *notes* about other things kept."""
    if isinstance(found, Unpriced):
        return _NO_COST | {"unpriced_reason": found.reason, "notes": [*notes] or None}
    return {
        "cost_nano_usd": found.nano_usd,
        "cost_detail": dict(found.detail),
        "price_source": found.source,
        "unpriced_reason": None,
        "notes": [*notes, *found.notes] or None,
    }


def reported_in(call: LlmCall) -> int | None:
    """What the provider itself said that *call* cost; None when it did not."""
    detail = call.cost_detail
    said = detail.get(REPORTED) if isinstance(detail, dict) else None
    return said if isinstance(said, int) else None


def _estimate(call: LlmCall) -> dict[str, Json]:
    """The price of estimated usage: beside the cost, which stays unknown."""
    if call.usage_source != "estimated":
        return {}
    detail = call.usage_detail or {}
    read, written = (detail.get(f"estimated_{way}_tokens") for way in ("input", "output"))
    counted = {"tokens_in": read, "tokens_out": written, "usage_detail": None}
    found = price_call(call.model_copy(update=counted))
    if isinstance(found, Unpriced):
        return {}
    return {"cost_detail": {ESTIMATED: found.nano_usd}, "price_source": found.source}


_NO_COST: dict[str, Json] = {"cost_nano_usd": None, "cost_detail": None, "price_source": None}


def _context(raw: Json) -> dict[str, str]:
    """What Anthropic's usage says beside the counts, and the price depends on."""
    said = raw if isinstance(raw, dict) else {}
    return {
        name: said[name] for name in ("speed", "inference_geo") if isinstance(said.get(name), str)
    }
