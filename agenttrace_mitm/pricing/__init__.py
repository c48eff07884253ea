"""What a call cost: counted units times the price list of that day, or why there is no price.

`price()` takes normalized usage and gives a `Cost` in whole nano-dollars or an `Unpriced` with
its reason; never a silent zero.  `genai-prices` comes first, `overrides.json` fills its gaps.
Nothing here opens a connection: prices come with the installed package.
"""

from collections.abc import Mapping

from ..model import Cost, Unpriced, Usage
from .catalog import Listing, chat_models, knows_provider, listed, maker_of, use
from .image_tool import IMAGES, MODEL, images_of
from .iterations import steps_of
from .overrides import read_user_prices
from .rates import Nano, Overlap, rounded
from .units import (
    AS_TEXT_NOTE,
    FEE_NOTE,
    FEES,
    NEEDS_A_PRICE,
    SOUND,
    Number,
    grounded,
    units,
    without_modalities,
)

__all__ = ["chat_models", "maker_of", "price", "read_user_prices", "use"]

NOT_BILLED = frozenset(
    {"count_tokens", "tokenize", "detokenize", "models", "files", "admin", "telemetry", "other"}
)
"""Operations that no provider charges for, unless they report usage all the same."""

_FREE_MODERATION = frozenset({"openai"})
# Google lists a price for sound where it is not that of text, and one alone for models that speak.
_ONE_PRICE_FOR_ALL = frozenset({"google"})
_APART = frozenset({"iterations", MODEL})
"""What a usage object has where a part of the call is billed by another model's prices."""
_DEAREST_NANO_USD = 10**16
"""Ten million dollars: a call that costs more was counted wrongly, and sums must fit 64 bits."""


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
    context: Mapping[str, str] | None = None,
) -> Cost | Unpriced:
    """The cost of one call at the prices of its time and served tier.

    *context* may say `speed` (`fast`), `processing` (`batch`) and `inference_geo`, as served.
    A price that the provider itself reports wins over every list: `calls.priced` sees to that.
    """
    if operation == "count_tokens" or (operation == "moderation" and provider in _FREE_MODERATION):
        return Unpriced("not_billed")
    counted = units(usage, billed=provider == "cohere")
    if counted is None:
        return _nothing_counted(operation, status_code)
    if not knows_provider(provider):
        return Unpriced("unknown_provider")

    said = [(key, str(value)) for key, value in (context or {}).items() if value]
    served = tuple(sorted([*said, ("host", host)] if host else said))

    tier = service_tier or ""

    def listing(response_model: str, model: str, tier: str = tier) -> Listing | None:
        return listed(provider, response_model, model, at_us, tier=tier, context=served)

    prices = listing(response_model or "", model or "")
    if prices is None:
        return Unpriced("unknown_model")
    taken_apart = isinstance(usage.raw, dict) and not _APART.isdisjoint(usage.raw)
    if not taken_apart and (plain := _plain(prices, counted)):
        return plain
    steps = steps_of(usage, response_model or model or "")
    own = counted
    if steps.own is not usage:
        own = units(steps.own, billed=provider == "cohere") or {}
    bill = _Bill()
    made = images_of(usage)
    # Of the tiers only a batch halves all that is in it; the others are the answering model's.
    if made is not None and (theirs := listing(made.model, "", tier if tier == "batch" else "")):
        own = {unit: count for unit, count in own.items() if unit != IMAGES}
        bill.add(theirs, units(made.usage) or {}, f"{made.kind}_")
    bill.add(prices, grounded(own, prices.provider, prices.model))
    for step in steps.apart:
        theirs = listing(step.model, "") if step.model else prices
        if theirs is None:
            return Unpriced("unknown_model")
        bill.add(theirs, units(step.usage) or {}, f"{step.kind}_")
    return bill.total(steps.notes)


def _nothing_counted(operation: str, status_code: int | None) -> Unpriced:
    if status_code is None or status_code >= 400:
        return Unpriced("error")
    return Unpriced("not_billed" if operation in NOT_BILLED else "no_usage")


def _plain(prices: Listing, counted: Mapping[str, Number]) -> Cost | None:
    """The cost where each unit has its rate and there is nothing to tell apart, else None.

    Of nearly every call, and what `_Bill` would say, in half the time.
    """
    card = prices.card
    if not card.rates or "web_searches" in counted or not card.has(counted):
        return None
    try:
        charged = card.charge(counted)
    except Overlap:
        return None
    total, split = rounded({unit.removesuffix("_tokens"): nano for unit, nano in charged.items()})
    if total > _DEAREST_NANO_USD:
        return None
    return Cost(total, split, prices.source(charged), tuple(dict.fromkeys(prices.notes)))


class _Bill:
    """Charges of a call, added up and rounded once."""

    def __init__(self) -> None:
        self._charged: dict[str, Nano] = {}
        self._sources: list[str] = []
        self._notes: list[str] = []
        self._problem = ""

    def add(self, prices: Listing, counted: Mapping[str, Number], prefix: str = "") -> None:
        """Charge *counted* by *prices*; *prefix* tells a step from the call itself."""
        self._notes += prices.notes
        if not prices.card.rates:
            self._notes.append("free_model")
        charged: Mapping[str, Nano] = {}
        if prices.card.rates and not self._missing(prices, counted):
            charged = self._charge(prices, counted)
        for unit, nano in charged.items():
            name = prefix + unit.removesuffix("_tokens")
            self._charged[name] = self._charged.get(name, 0) + nano
        self._sources.append(prices.source(charged))
        unpriced_fees = [unit for unit in FEES if counted.get(unit) and unit not in prices.card]
        self._notes += [f"{FEE_NOTE}:{unit}" for unit in sorted(unpriced_fees)]
        if charged and prices.provider not in _ONE_PRICE_FOR_ALL:
            self._notes += _sold_as_text(prices, counted)
        if "web_searches" in charged and prices.provider == "google":
            # Free searches are counted per account and day, which the wire does not show.
            self._notes.append("upper_bound:web_searches")

    def total(self, notes: tuple[str, ...]) -> Cost | Unpriced:
        """The cost, or why there is none."""
        if self._problem:
            return Unpriced(self._problem)
        total, split = rounded(self._charged)
        if total > _DEAREST_NANO_USD:
            return Unpriced("out_of_range")
        source = max(dict.fromkeys(self._sources), key=len)
        return Cost(total, split, source, tuple(dict.fromkeys((*self._notes, *notes))))

    def _missing(self, prices: Listing, counted: Mapping[str, Number]) -> bool:
        if missing := _unpriced_unit(prices, counted):
            self._problem = f"unpriced_unit:{missing}"
        return bool(missing)

    def _charge(self, prices: Listing, counted: Mapping[str, Number]) -> Mapping[str, Nano]:
        try:
            return prices.card.charge(counted)
        except Overlap:
            pass
        for read, written in ((True, False), (False, True), (True, True)):
            try:
                plainer = without_modalities(counted, read=read, written=written)
                charged = prices.card.charge(plainer)
            except Overlap:
                continue
            self._notes.append("modalities_ignored")
            return charged
        self._problem = "overlap_error"
        return {}


def _sold_as_text(prices: Listing, counted: Mapping[str, Number]) -> list[str]:
    """Notes of the sound that has no price of its own, by the token or by the second."""
    if "audio_seconds" in counted and "audio_seconds" in prices.card:
        return []
    return [
        f"{AS_TEXT_NOTE}:{sound}"
        for sound in SOUND
        if counted.get(f"{sound}_tokens") and f"{sound}_tokens" not in prices.card
    ]


def _unpriced_unit(prices: Listing, counted: Mapping[str, Number]) -> str:
    """The unit without which the total would be wrong, or "".

    Searches are charged on top of tokens, each needs its price.  Tokens, seconds and pages are
    often alternatives (a transcription reports both), so one of them having a price is enough.
    """
    present = [unit for unit, value in counted.items() if value]
    lacking = [unit for unit in present if unit not in prices.card]
    if not lacking:
        return ""
    for unit in lacking:
        if unit in NEEDS_A_PRICE:
            return unit
    return lacking[0] if lacking and len(lacking) == len(present) else ""
