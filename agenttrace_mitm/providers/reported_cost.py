"""What a provider itself says that a call cost, in nano-dollars."""

from decimal import Decimal, InvalidOperation

from ..model import Json
from ..wire.jsonio import object_of

_LARGEST_NANO_USD = 10**15


def reported_nano_usd(usage: Json) -> int | None:
    """The price in a usage object: OpenRouter's `cost`, Perplexity's, xAI's ticks; None if none.

    A tick is a ten-billionth of a dollar.
    """
    said = object_of(usage)
    ticks = said.get("cost_in_usd_ticks")
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return _sane(Decimal(ticks) / 10)
    cost = said.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    try:
        return _sane(Decimal(str(cost)) * 10**9)
    except InvalidOperation:
        return None


def _sane(nano_usd: Decimal) -> int | None:
    return round(nano_usd) if 0 <= nano_usd <= _LARGEST_NANO_USD else None
