"""Our own dated prices, read from `overrides.json`: what `genai-prices` does not have.

Each entry says where its figure comes from.  `models` are exact ids or end in `*`.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Entry(BaseModel):
    """What every override says: for whom, from when, and why we believe it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    models: tuple[str, ...]
    start: date = Field(date.min, alias="from")
    source: str
    url: str
    checked: date

    def covers(self, provider: str, model: str, day: date) -> bool:
        """True when this entry speaks of *model* on *day*."""
        return (
            provider == self.provider
            and day >= self.start
            and any(
                model.startswith(name[:-1]) if name.endswith("*") else model == name
                for name in self.models
            )
        )


class Prices(Entry):
    """Prices by price key or unit: a whole model, or units added to one."""

    prices: Mapping[str, Decimal]


class Tier(Entry):
    """A service tier as a multiple of the standard token prices."""

    tier: str
    factor: Decimal


class Uplift(Entry):
    """A multiple that applies when the call's context says so."""

    when: Mapping[str, str]
    factor: Decimal


class Overrides(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    about: str
    models: tuple[Prices, ...]
    units: tuple[Prices, ...]
    tiers: tuple[Tier, ...]
    uplifts: tuple[Uplift, ...]

    def model(self, provider: str, model: str, day: date) -> Prices | None:
        """The prices of a model that `genai-prices` does not list; the last entry wins."""
        found = [entry for entry in self.models if entry.covers(provider, model, day)]
        return found[-1] if found else None

    def extra_units(self, provider: str, model: str, day: date) -> dict[str, Decimal]:
        """Unit prices to add to a model."""
        found: dict[str, Decimal] = {}
        for entry in self.units:
            if entry.covers(provider, model, day):
                found.update(entry.prices)
        return found

    def tier_factor(self, provider: str, model: str, tier: str, day: date) -> Decimal | None:
        """What *tier* costs as a multiple of standard, or None when we do not know."""
        found = [e for e in self.tiers if e.tier == tier and e.covers(provider, model, day)]
        return found[-1].factor if found else None

    def uplifts_for(
        self, provider: str, model: str, context: Mapping[str, str], day: date
    ) -> Iterator[Uplift]:
        """The uplifts that apply to a call."""
        for entry in self.uplifts:
            if entry.covers(provider, model, day) and entry.when.items() <= context.items():
                yield entry


@cache
def overrides() -> Overrides:
    """The overrides that ship with this version."""
    return Overrides.model_validate_json(Path(__file__).with_name("overrides.json").read_bytes())
