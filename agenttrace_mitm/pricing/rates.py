"""A price list for one model at one moment, and the arithmetic on it.

Compiled once from `genai-prices` or from our overrides.  Prices are exact decimals; a unit that
lies inside another (a cache read is an input token) is charged at its own price only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache

from genai_prices.data_units import unit_data
from genai_prices.types import ModelPrice, TieredPrices
from genai_prices.units import UnitDef, UnitRegistry

from .units import OWN_DIMENSIONS, Number

NANO = Decimal(1_000_000_000)

type Price = Decimal | TieredPrices
type Nano = int | Decimal


class Overlap(ValueError):
    """Units that contradict each other: a part is larger than its whole, or is missing."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit.

    `inside` are the priced units that this one contains; `joins` are those whose overlap this
    unit is (cached audio is both cached and audio), so that it must be reported when both are.
    """

    unit: str
    price: Price
    per: int
    inside: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    tokens: bool = True
    nano: "Nano | None" = field(init=False)
    """Nano-dollars for one, where that does not depend on the call."""

    def __post_init__(self) -> None:
        flat = isinstance(self.price, Decimal)
        object.__setattr__(self, "nano", self.each(0) if flat else None)

    def each(self, total_input: Number) -> "Nano":
        """Exact nano-dollars for one in a call that read *total_input* tokens."""
        nano = _price(self.price, total_input) * NANO / self.per
        # Most are whole numbers: as exact, and quicker.
        return int(nano) if nano == nano.to_integral_value() else nano


@dataclass(frozen=True, slots=True, eq=False)
class RateCard:
    """All rates of a model, most specific unit first; an empty card is a free model."""

    rates: tuple[Rate, ...]
    tiered: bool
    _units: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_units", frozenset(rate.unit for rate in self.rates))

    def __contains__(self, unit: str) -> bool:
        return unit in self._units

    def has(self, units: Mapping[str, Number]) -> bool:
        """Whether each of *units* has a rate."""
        return units.keys() <= self._units

    def charge(self, units: Mapping[str, Number]) -> dict[str, Nano]:
        """Exact nano-dollars for each unit that costs something; raises `Overlap`."""
        total_input = units.get("input_tokens", 0)
        counts: dict[str, int | Decimal] = {}
        charged: dict[str, Nano] = {}
        for rate in self.rates:
            value = units.get(rate.unit)
            if value is None:
                if len(rate.joins) > 1 and all(units.get(unit) for unit in rate.joins):
                    raise Overlap(f"{' and '.join(rate.joins)} without {rate.unit}")
                value = 0
            # Whole numbers, as nearly all are, stay such: they are exact, and quicker.
            count = value if isinstance(value, int) else Decimal(str(value))
            for unit in rate.inside:
                count -= counts[unit]
            if count < 0:
                raise Overlap(f"parts of {rate.unit} exceed it")
            counts[rate.unit] = count
            if count:
                nano = rate.nano
                charged[rate.unit] = count * (rate.each(total_input) if nano is None else nano)
        return charged

    def times(self, factor: Decimal) -> "RateCard":
        """A card with all token prices multiplied."""
        rates = tuple(
            replace(rate, price=_times(rate.price, factor)) if rate.tokens else rate
            for rate in self.rates
        )
        return replace(self, rates=rates)


def _price(price: Price, total_input: Number) -> Decimal:
    if isinstance(price, Decimal):
        return price
    # A long prompt raises the price of every token of the call, not of those beyond the step.
    steps = [tier.price for tier in price.tiers if total_input > tier.start]
    return steps[-1] if steps else price.base


def _times(price: Price, factor: Decimal) -> Price:
    if isinstance(price, Decimal):
        return price * factor
    tiers = [replace(tier, price=tier.price * factor) for tier in price.tiers]
    return TieredPrices(base=price.base * factor, tiers=tiers)


def card_of(price: ModelPrice, extra: Mapping[str, Price] | None = None) -> RateCard:
    """The card for a `genai-prices` price, with *extra* unit prices added where it has none."""
    found = {UNITS[key]: value for key, value in _items(price) if key in UNITS}
    for unit, value in (extra or {}).items():
        found.setdefault(unit, value)
    priced = sorted(
        (registry().units[unit] for unit in found),
        key=lambda unit: (-len(unit.dimensions), unit.usage_key),
    )
    rates = [_rate(unit, found[unit.usage_key], priced) for unit in priced]
    return RateCard(tuple(rates), any(isinstance(rate.price, TieredPrices) for rate in rates))


def _items(price: ModelPrice) -> Iterable[tuple[str, Price]]:
    return ((key, value) for key, value in vars(price).items() if value is not None)


def _rate(unit: UnitDef, price: Price, priced: list[UnitDef]) -> Rate:
    here = unit.dimensions.items()
    outer = [o for o in priced if o is not unit and o.dimensions.items() < here]
    # Of the containing units only the closest: those that do not contain another of them.
    closest = [
        o for o in outer if not any(o.dimensions.items() < p.dimensions.items() for p in outer)
    ]
    return Rate(
        unit=unit.usage_key,
        price=price,
        per=unit.per,
        inside=tuple(u.usage_key for u in priced if here < u.dimensions.items()),
        joins=tuple(o.usage_key for o in closest),
        tokens=unit.dimensions.get("family") == "tokens",
    )


@cache
def registry() -> UnitRegistry:
    """The units of `genai-prices` and our own."""
    own = {
        unit: {
            "per": 1_000_000 if dimensions["family"] == "tokens" else 1_000,
            "price_key": unit,
            "dimensions": dimensions,
        }
        for unit, dimensions in OWN_DIMENSIONS.items()
    }
    return UnitRegistry({**unit_data, **own})


UNITS: Mapping[str, str] = {unit.price_key: name for name, unit in registry().units.items()}
"""Price key -> unit."""


def rounded(charged: Mapping[str, Nano]) -> tuple[int, dict[str, int]]:
    """The total in whole nano-dollars, rounded once, and a split that adds up to it."""
    exact = sum(charged.values())
    total = exact if isinstance(exact, int) else int(exact.to_integral_value(ROUND_HALF_EVEN))
    split = {unit: int(value) for unit, value in charged.items()}
    short = total - sum(split.values())
    if short:
        # The fractions that were cut off go to the units that lost most.
        for unit in sorted(charged, key=lambda unit: split[unit] - charged[unit])[:short]:
            split[unit] += 1
    return total, split
