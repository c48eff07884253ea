"""What a provider itself says that a call cost, in nano-dollars."""

from decimal import Decimal

from ..model import Json
from ..wire.jsonio import object_of

_LARGEST_NANO_USD = 10**15


def reported_nano_usd(usage: Json) -> int | None:
    """The price in a usage object: OpenRouter's `cost`, Perplexity's, xAI's ticks; None if none.

    DeepInfra, which has no other name for it, calls it `estimated_cost`.
    A tick is a ten-billionth of a dollar.  None too where only a part of the price is told.
    """
    said = object_of(usage)
    ticks = said.get("cost_in_usd_ticks")
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return _sane(Decimal(ticks) / 10)
    cost = said.get("cost", said.get("estimated_cost"))
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    dollars = _dollars(cost)
    if dollars is not None and said.get("is_byok") is True:
        # With a key of one's own at the provider, `cost` is OpenRouter's fee alone.
        upstream = _dollars(object_of(said.get("cost_details")).get("upstream_inference_cost"))
        dollars = None if upstream is None else dollars + upstream
    return None if dollars is None else _sane(dollars * 10**9)


def _dollars(said: Json) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    dollars = Decimal(str(said))
    return dollars if dollars.is_finite() else None


def _sane(nano_usd: Decimal) -> int | None:
    return round(nano_usd) if 0 <= nano_usd <= _LARGEST_NANO_USD else None
