"""Which price list a call is priced with: provider, model, moment and tier -> rate card.

Wire model ids come in, with all their prefixes; a `Listing` comes out.  Look-ups are remembered:
they walk match rules of hundreds of models.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, TimeOfDateConstraint

from .overrides import ALIASES, NO_OVERRIDES, Overrides, overrides
from .rates import UNITS, RateCard, card_of
from .units import FEE_NOTE

SOURCE = f"genai-prices {genai_prices.__version__}"

_RESELLERS = frozenset({"openrouter", "together", "fireworks", "novita", "aws", "azure"})
_PREFIX = re.compile(
    r"^(?:.*/)?(?:models|endpoints)/"
    r"|^(?:openai|anthropic|google|gemini|vertex_ai|mistral|mistralai|cohere)/"
)
_STANDARD_TIERS = frozenset(
    {"", "default", "auto", "standard", "standard_only", "on_demand", "unspecified"}
)
_NO_CHAT = ("image", "video", "output_audio")  # in names and prices of models that make these
_VARIANT_KEYS = {"batch": "processing"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Model:
    """A model as somebody lists it: `genai-prices` (`info`), or only our overrides.

    `name` is what it was looked up by: one listing may stand for several models.
    """

    provider: str
    id: str
    info: ModelInfo | None
    name: str
    has_variants: bool = True

    @cached_property
    def changes_within_a_day(self) -> bool:
        """True for off-peak prices: the hour matters, not only the date."""
        info = self.info
        if info is None:
            return False
        dated = [*(info.prices if isinstance(info.prices, list) else ())]
        constraints = [p.constraint for p in dated] + [
            v.constraint for v in info.price_variants or ()
        ]
        return any(isinstance(c, TimeOfDateConstraint) for c in constraints)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A card, where it came from, and what to know about it.

    `own` are the units whose price is ours; None when every price is touched by an override.
    """

    provider: str
    model: str
    card: RateCard
    listed: bool
    own: frozenset[str] | None
    notes: tuple[str, ...] = ()

    def source(self, charged: Iterable[str]) -> str:
        """The data that the price of the *charged* units came from."""
        ours = self.own is None or not self.own.isdisjoint(charged)
        names = [SOURCE] if self.listed else []
        return " + ".join([*names, f"overrides {overrides().as_of}"] if ours else names)


_PRICE_KEYS = {unit: key for key, unit in UNITS.items()}
_users = [NO_OVERRIDES]


def use(prices: Overrides) -> None:
    """Price by the user's own *prices* from now on, where they say something."""
    _users[0] = prices
    for remembered in (_provider_id, _listed_on, _find_model, _listing):
        remembered.cache_clear()


def knows_provider(provider: str) -> bool:
    """True when prices of *provider* exist at all."""
    return _provider_id(provider) is not None


def provider_at(host: str) -> str | None:
    """Whose API the price list says that *host* is; None when it does not know."""
    try:
        return get_snapshot().find_provider(None, None, f"https://{host}/v1").id
    except LookupError:
        return None


def maker_of(model: str) -> str | None:
    """Whose model that is, as the price list tells from its name alone; None where it does not."""
    try:
        return get_snapshot().find_provider(_PREFIX.sub("", model).lower(), None, None).id
    except LookupError:
        return None


@lru_cache(maxsize=64)
def chat_models(provider: str, day: int) -> tuple[str, ...]:
    """The models that *provider* itself makes and lists for chats as *day* begins, from 1970 on.

    Of a provider that caches prompts those that have a price for it: the others are old.
    """
    at = _EPOCH + timedelta(days=day)
    models = next((one.models for one in get_snapshot().providers if one.id == provider), ())
    priced = {
        one.id: _priced(one.get_prices(at)).keys()
        for one in models
        if not one.deprecated and maker_of(one.id) == provider
    }
    caches = any("cache_read_mtok" in prices for prices in priced.values())
    return tuple(
        model
        for model, prices in priced.items()
        if {"input_mtok", "output_mtok"} <= prices
        and ("cache_read_mtok" in prices or not caches)
        and not any(kind in name for name in (model, *prices) for kind in _NO_CHAT)
    )


@lru_cache(maxsize=256)
def _provider_id(provider: str) -> str | None:
    name = ALIASES.get(provider, provider)
    users = name if any(entry.provider == name for entry in _users[0].models) else None
    # The list recognises names by parts of them: what the user calls so is not its.
    if users or "." in name or ":" in name:
        return users
    try:
        return get_snapshot().find_provider(None, name, None).id
    except LookupError:
        return None


def listed(
    provider: str,
    response_model: str,
    model: str,
    at_us: int,
    *,
    tier: str = "",
    context: tuple[tuple[str, str], ...] = (),
) -> Listing | None:
    """The rates for a call at that moment (UTC) under that service tier; None where nobody says.

    *context* are sorted pairs of what else was served: `host`, `speed`, `processing`.
    """
    asked = provider, response_model, model
    found, of_the_day = _listed_on(at_us // _DAY_US, asked, tier, context)
    if found is None or not found.changes_within_a_day:
        return of_the_day
    return _listing(found, _EPOCH + timedelta(microseconds=at_us), tier, context)


@lru_cache(maxsize=4096)
def _listed_on(
    day: int, asked: tuple[str, str, str], tier: str, context: tuple[tuple[str, str], ...]
) -> tuple[Model | None, Listing | None]:
    """The model of *asked* and its rates as *day* begins, which is counted from 1970 on."""
    at = _EPOCH + timedelta(days=day)
    found = _find_model(*asked, at.date())
    return found, _listing(found, at, tier, context) if found else None


@lru_cache(maxsize=4096)
def _find_model(provider: str, response_model: str, model: str, day: date) -> Model | None:
    """The model a call was served with: the answer's id first, then the id that was asked for."""
    listed_as = _provider_id(provider)
    if listed_as is None:
        return None
    for name in (response_model, model):
        for reference in references(name, listed_as):
            found = _find(listed_as, reference, day)
            if found is not None:
                return found
    return None


def references(model: str, provider: str) -> Iterator[str]:
    """The ids under which a model may be listed, `publishers/google/models/x` as `x`."""
    if not model:
        return
    if provider in _RESELLERS:
        yield model
    bare = _PREFIX.sub("", model)
    if bare and (bare != model or provider not in _RESELLERS):
        yield bare


def _find(provider: str, reference: str, day: date) -> Model | None:
    if _users[0].model(provider, reference.lower(), day):
        return Model(provider, reference.lower(), None, reference.lower())
    try:
        listed, info = get_snapshot().find_provider_model(reference, None, provider, None)
    except LookupError:
        name = reference.lower()
        known = any(by.model(provider, name, day) for by in (_users[0], overrides()))
        return Model(provider, name, None, name) if known else None
    own = any(info is one for one in listed.models)
    return Model(provider, info.id, info, reference.lower(), own)


@lru_cache(maxsize=4096)
def _listing(
    model: Model, at: datetime, tier: str, context: tuple[tuple[str, str], ...]
) -> Listing:
    day, ours, user = at.date(), overrides(), _users[0]
    price, own = _standard(model, at)
    notes = ["user_prices"] if user.model(model.provider, model.id, day) else []
    factor = Decimal(1)
    for key, value in _choices(tier, dict(context)):
        variant, note = _variant(model, key, value, at)
        if variant is not None:
            price = _merged(price, variant)
        else:
            known = user.tier_factor(model.provider, model.id, value, day)
            if known is None:
                known = ours.tier_factor(model.provider, model.id, value, day)
            factor *= known or 1
            own = own or known is not None
            note = f"tier_by_rule:{value}" if known else f"tier_at_standard_price:{value}"
        notes += [note] if note else []
    for uplift in (
        *ours.uplifts_for(model.provider, model.id, dict(context), day),
        *user.uplifts_for(model.provider, model.id, dict(context), day),
    ):
        factor *= uplift.factor
        own = True
        notes.append(f"uplift:{uplift.factor}")
    notes += [f"{FEE_NOTE}:{fee}" for fee in ours.fees_of(model.provider, model.name, day)]
    free = model.info is not None and not _priced(price)
    extra = {} if free else ours.extra_units(model.provider, model.id, day)
    extra |= user.extra_units(model.provider, model.id, day)
    card = card_of(price, extra)
    if factor != 1:
        card = card.times(factor)
    added = frozenset(extra) - {UNITS[key] for key in _priced(price) if key in UNITS}
    return Listing(
        model.provider, model.id, card, model.info is not None, None if own else added, tuple(notes)
    )


def _standard(model: Model, at: datetime) -> tuple[ModelPrice, bool]:
    """The standard prices, and whether they are not those of `genai-prices`."""
    if users := _users[0].model(model.provider, model.id, at.date()):
        return ModelPrice(
            **{_PRICE_KEYS.get(k, k): price for k, price in users.prices.items()}
        ), True
    if model.info is not None:
        return model.info.get_prices(at), False
    entry = overrides().model(model.provider, model.id, at.date())
    return ModelPrice(**(entry.prices if entry else {})), True


def _choices(tier: str, context: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The keys and values by which variants are chosen; the standard ones choose nothing."""
    tier = tier.lower().removeprefix("service_tier_").removeprefix("on_demand_")
    chosen = {
        _VARIANT_KEYS.get(tier, "service_tier"): tier,
        "processing": context.get("processing", ""),
        "speed": context.get("speed", ""),
    }
    if tier == "batch":
        chosen["processing"] = tier
    yield from (
        (key, value) for key, value in chosen.items() if value.lower() not in _STANDARD_TIERS
    )


def _variant(model: Model, key: str, value: str, at: datetime) -> tuple[ModelPrice | None, str]:
    info = model.info
    if info is None or not model.has_variants:
        return None, ""
    fitting = [v for v in info.price_variants or () if v.when == {key: value}]
    active = [v for v in fitting if v.constraint is None or v.constraint.active(at)]
    if active:
        return active[0].prices, ""
    # A variant starts on the day somebody verified it; the tier itself is often older.
    # The rate first listed is then the best known one.
    return (fitting[-1].prices, f"tier_price_dated_later:{value}") if fitting else (None, "")


def _merged(price: ModelPrice, variant: ModelPrice) -> ModelPrice:
    return ModelPrice(**{**vars(price), **_priced(variant)})


def _priced(price: ModelPrice | PriceVariant) -> dict[str, Decimal]:
    return {key: value for key, value in vars(price).items() if value is not None}
