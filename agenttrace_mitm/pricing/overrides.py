"""Our own dated prices, read from `overrides.json`, and the user's, from a file of the same shape.

Ours fill what `genai-prices` does not have; the user's win over every list.  Each entry of ours
says where its figure comes from.  `models` are exact ids or end in `*`.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import SettingsError
from .rates import UNITS

USER_FILE = "prices.json"
ALIASES = {
    "gemini": "google",
    "vertex": "google",
    "xai": "x-ai",
    "bedrock": "aws",
    "togetherai": "together",
    "mistralai": "mistral",
}
"""Names of providers that `genai-prices` calls otherwise."""


class Entry(BaseModel):
    """What every override says: for whom, from when, and why we believe it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    models: tuple[str, ...] = Field(min_length=1)
    start: date = Field(date.min, alias="from")
    source: str = "the user's own"
    url: str = ""
    checked: date | None = None

    @field_validator("provider")
    @classmethod
    def _listed_name(cls, name: str) -> str:
        return ALIASES.get(name, name)

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

    prices: Mapping[str, Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]]

    @field_validator("prices")
    @classmethod
    def _known_units(cls, prices: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if unknown := sorted(prices.keys() - UNITS.keys() - set(UNITS.values())):
            raise ValueError(f"{unknown[0]!r} is no unit; input_mtok and output_mtok are two")
        return prices


class Tier(Entry):
    """A service tier as a multiple of the standard token prices."""

    tier: str
    factor: Decimal


class Uplift(Entry):
    """A multiple that applies when the call's context says so.

    What `when` says of `host` may begin with `*`: then hosts that end so.
    """

    when: Mapping[str, str]
    factor: Decimal

    def applies(self, context: Mapping[str, str]) -> bool:
        """True when *context* says all that `when` does."""
        return all(_says(context.get(name, ""), said) for name, said in self.when.items())


class Fee(Entry):
    """A meter that is charged beside the tokens of some models, and that no answer counts."""

    fee: str


class Overrides(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    about: str = ""
    models: tuple[Prices, ...] = ()
    units: tuple[Prices, ...] = ()
    tiers: tuple[Tier, ...] = ()
    uplifts: tuple[Uplift, ...] = ()
    fees: tuple[Fee, ...] = ()

    def model(self, provider: str, model: str, day: date) -> Prices | None:
        """The prices of a model that `genai-prices` does not list; the last entry wins."""
        found = [entry for entry in self.models if entry.covers(provider, model, day)]
        return found[-1] if found else None

    def extra_units(self, provider: str, model: str, day: date) -> dict[str, Decimal]:
        """Unit prices to add to a model."""
        found: dict[str, Decimal] = {}
        for entry in self.units:
            if entry.covers(provider, model, day):
                found.update({UNITS.get(key, key): price for key, price in entry.prices.items()})
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
            if entry.covers(provider, model, day) and entry.applies(context):
                yield entry

    def fees_of(self, provider: str, model: str, day: date) -> Iterator[str]:
        """The meters that calls of a model are charged for unseen."""
        return (entry.fee for entry in self.fees if entry.covers(provider, model, day))


def _says(value: str, said: str) -> bool:
    return value.endswith(said[1:]) if said.startswith("*") else value == said


@cache
def overrides() -> Overrides:
    """The overrides that ship with this version."""
    return Overrides.model_validate_json(Path(__file__).with_name("overrides.json").read_bytes())


NO_OVERRIDES = Overrides(as_of=date.min)


def read_user_prices(path: Path) -> Overrides:
    """The user's prices at *path*, none when there is no file.  Raises `SettingsError`."""
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        return NO_OVERRIDES
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({error})", REMEDY) from None
    try:
        return Overrides.model_validate({"as_of": _day_of(path), **_object(said)})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(f"{path} is wrong at {where}: {first['msg']}", REMEDY) from None


REMEDY = "Correct it: docs/numbers.md says how it is written"


def _object(said: object) -> dict[str, object]:
    return dict(said) if isinstance(said, dict) else {"models": said}


def _day_of(path: Path) -> date:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
