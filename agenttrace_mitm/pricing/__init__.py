"""What a call cost: counted units times the price list of that day, or why there is no price.

`price()` takes normalized usage and gives a `Cost` in whole nano-dollars or an `Unpriced` with
its reason; never a silent zero.  `genai-prices` comes first, `overrides.json` fills its gaps.
Nothing here opens a connection: prices come with the installed package.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ..model import Cost, Unpriced, Usage
from .catalog import Listing, find_model, knows_provider, listing
from .rates import Overlap, rounded
from .units import NEEDS_A_PRICE, Number, units, without_modalities

__all__ = ["price"]

NOT_BILLED = frozenset(
    {"count_tokens", "tokenize", "detokenize", "models", "files", "admin", "telemetry", "other"}
)
"""Operations that no provider charges for, unless they report usage all the same."""

_FREE_MODERATION = frozenset({"openai"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def price(
    *,
    provider: str,
    dialect: str,
    operation: str,
    model: str | None,
    response_model: str | None,
    usage: Usage,
    at_us: int,
    service_tier: str | None = None,
    host: str = "",
    status_code: int | None = None,
    reported_nano_usd: int | None = None,
    context: Mapping[str, str] | None = None,
) -> Cost | Unpriced:
    """The cost of one call at the prices of its time and served tier.

    *context* may say `speed` (`fast`), `processing` (`batch`) and `inference_geo`, as served.
    A price that the provider itself reports wins over every list.
    """
    if reported_nano_usd is not None:
        return Cost(reported_nano_usd, {"reported": reported_nano_usd}, "provider")
    if operation == "count_tokens" or (operation == "moderation" and provider in _FREE_MODERATION):
        return Unpriced("not_billed")
    counted = units(usage, billed=provider == "cohere")
    if counted is None:
        return _nothing_counted(operation, status_code)
    if not knows_provider(provider):
        return Unpriced("unknown_provider")

    at = _EPOCH + timedelta(microseconds=at_us)
    listed = find_model(provider, response_model or "", model or "", at.date())
    if listed is None:
        return Unpriced("unknown_model")
    said = {key: str(value) for key, value in (context or {}).items() if value}
    prices = listing(listed, at, service_tier or "", {"host": host, **said} if host else said)
    return _charge(prices, counted)


def _nothing_counted(operation: str, status_code: int | None) -> Unpriced:
    if status_code is None or status_code >= 400:
        return Unpriced("error")
    return Unpriced("not_billed" if operation in NOT_BILLED else "no_usage")


def _charge(prices: Listing, counted: Mapping[str, Number]) -> Cost | Unpriced:
    notes = prices.notes
    if not prices.card.rates:
        return Cost(0, {}, prices.source(()), (*notes, "free_model"))
    missing = _unpriced_unit(prices, counted)
    if missing:
        return Unpriced(f"unpriced_unit:{missing}")
    try:
        charged = prices.card.charge(counted)
    except Overlap:
        try:
            charged = prices.card.charge(without_modalities(counted))
        except Overlap:
            return Unpriced("overlap_error")
        notes = (*notes, "modalities_ignored")
    total, split = rounded(charged)
    detail = {unit.removesuffix("_tokens"): nano for unit, nano in split.items()}
    if "web_searches" in charged and prices.provider == "google":
        # Free searches are counted per account and day, which the wire does not show.
        notes = (*notes, "upper_bound:web_searches")
    return Cost(total, detail, prices.source(charged), notes)


def _unpriced_unit(prices: Listing, counted: Mapping[str, Number]) -> str:
    """The unit without which the total would be wrong, or "".

    Searches are charged on top of tokens, each needs its price.  Tokens, seconds and pages are
    often alternatives (a transcription reports both), so one of them having a price is enough.
    """
    present = [unit for unit, value in counted.items() if value]
    lacking = [unit for unit in present if unit not in prices.card]
    for unit in lacking:
        if unit in NEEDS_A_PRICE:
            return unit
    return lacking[0] if lacking and len(lacking) == len(present) else ""
