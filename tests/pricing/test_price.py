"""Prices by hand: units, tiers, dates, and the reasons for having none."""

import random
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agenttrace_mitm import pricing
from agenttrace_mitm.model import Cost, Unpriced, Usage
from agenttrace_mitm.pricing import price
from agenttrace_mitm.pricing.overrides import NO_OVERRIDES, Overrides, overrides
from agenttrace_mitm.pricing.rates import registry, rounded

NOV_2026 = 1_795_200_000_000_000


def cost(model="gpt-5.5", provider="openai", at_us=NOV_2026, usage=None, **said):
    given = {"dialect": "x", "operation": "chat", "response_model": None, "status_code": 200}
    return price(
        provider=provider, model=model, usage=usage or Usage(1000, 100), at_us=at_us, **given | said
    )


def test_claude_with_everything():
    """Uncached input, both cache writes, cache reads, output and searches, each at its rate."""
    usage = Usage(
        4400,
        50,
        cache_read_tokens=4000,
        cache_write_tokens=300,
        detail={"cache_write_5m": 100, "cache_write_1h": 200, "web_searches": 2},
    )
    got = cost("claude-sonnet-4-5", "anthropic", usage=usage)
    assert got.nano_usd == 23_825_000
    assert got.detail == {
        "input": 300_000,
        "cache_read": 1_200_000,
        "cache_write": 375_000,
        "cache_write_1h": 1_200_000,
        "output": 750_000,
        "web_searches": 20_000_000,
    }
    assert got.source.startswith("genai-prices ")
    assert "overrides" not in got.source


@pytest.mark.parametrize(
    ("tier", "nano_usd"),
    [
        (None, 2_145_000_000),
        ("default", 2_145_000_000),
        ("auto", 2_145_000_000),
        ("flex", 1_072_500_000),
        ("batch", 1_072_500_000),
        ("priority", 2_700_000_000),
    ],
)
def test_long_context_and_served_tier(tier, nano_usd):
    """More than 272k tokens raise the price of the whole call; the served tier changes it."""
    usage = Usage(300_000, 1000, cache_read_tokens=100_000)
    assert cost(usage=usage, service_tier=tier).nano_usd == nano_usd


def test_a_tier_older_than_its_listing_is_priced_and_says_so():
    """Tiers are listed from the day somebody checked them, calls before it had them too."""
    got = cost("gpt-5", at_us=NOV_2026 - 365 * 86_400_000_000, service_tier="priority")
    assert got.nano_usd == 2 * cost("gpt-5", at_us=NOV_2026 - 365 * 86_400_000_000).nano_usd
    assert got.notes == ("tier_price_dated_later:priority",)


def test_a_tier_without_a_listing_goes_by_rule_or_is_flagged():
    """Flex on Gemini is half by rule; an unknown tier is priced as standard, and says so."""
    flex = cost("gemini-3.1-pro-preview", "google", service_tier="FLEX")
    assert 2 * flex.nano_usd == cost("gemini-3.1-pro-preview", "google").nano_usd
    assert flex.notes == ("tier_by_rule:flex",)
    assert "overrides" in flex.source
    odd = cost(service_tier="platinum")
    assert odd.nano_usd == cost().nano_usd
    assert odd.notes == ("tier_at_standard_price:platinum",)


def test_fast_mode_and_us_inference():
    """`speed` and `inference_geo` are said by the usage, not by the tier."""
    standard = cost("claude-opus-5-5", "anthropic").nano_usd
    fast = cost("claude-opus-5-5", "anthropic", context={"speed": "fast"})
    near = cost("claude-opus-5-5", "anthropic", context={"inference_geo": "us"})
    assert fast.nano_usd == 2 * standard
    assert near.nano_usd * 10 == 11 * standard
    assert near.notes == ("uplift:1.1",)


@pytest.mark.parametrize(
    ("provider", "model", "host", "dearer"),
    [
        ("vertex", "claude-sonnet-4-5@20250929", "us-east5-aiplatform.googleapis.com", True),
        ("vertex", "claude-sonnet-4-5@20250929", "us-east5-aiplatform.mtls.googleapis.com", True),
        ("vertex", "claude-sonnet-4-5@20250929", "aiplatform.mtls.googleapis.com", False),
        ("vertex", "claude-sonnet-4-5@20250929", "aiplatform.eu.rep.googleapis.com", True),
        ("vertex", "claude-sonnet-4-5@20250929", "aiplatform.googleapis.com", False),
        ("vertex", "claude-sonnet-4@20250514", "us-east5-aiplatform.googleapis.com", False),
        ("vertex", "gemini-2.5-flash", "us-east5-aiplatform.googleapis.com", False),
        ("openai", "gpt-5.5", "eu.api.openai.com", True),
        ("openai", "gpt-5.5", "api.openai.com", False),
        ("openai", "gpt-5", "eu.api.openai.com", False),
    ],
)
def test_regional_hosts_are_dearer_where_their_models_are_newer(provider, model, host, dearer):
    got, plain = cost(model, provider, host=host), cost(model, provider)
    assert got.nano_usd * 10 == plain.nano_usd * (11 if dearer else 10)
    assert got.notes == (("uplift:1.1",) if dearer else ())


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("gpt-4o-search-preview", "gpt-4o-search-preview-2025-03-11"),
        ("gpt-4o-mini-search-preview", "gpt-4o-mini-search-preview-2025-03-11"),
        ("gpt-5-search-api", "gpt-5-search-api-2025-10-14"),
    ],
)
def test_searches_that_no_answer_counts_are_said_to_be_left_out(model, served):
    """A search model searches on every call; one listing stands for it and for others."""
    assert cost(model, response_model=served).notes == ("fee_not_included:web_searches",)
    assert cost("gpt-4o-mini").notes == ()


def test_a_fee_by_the_request_is_said_to_be_left_out():
    assert cost("sonar-pro", "perplexity").notes == ("fee_not_included:requests",)


def test_maps_are_said_to_be_left_out_until_somebody_gives_their_price():
    usage = Usage(10, 10, detail={"map_searches": 1})
    assert cost("gemini-2.5-pro", "google", usage=usage).notes == ("fee_not_included:map_searches",)
    maps = {"provider": "google", "models": ["gemini-*"], "prices": {"map_searches": "25"}}
    pricing.use(Overrides.model_validate({"as_of": "2026-11-01", "units": [maps]}))
    try:
        got = cost("gemini-2.5-pro", "google", usage=usage)
    finally:
        pricing.use(NO_OVERRIDES)
    assert (got.detail["map_searches"], got.notes) == (25_000_000, ())


def test_images_that_a_connector_made_need_a_price():
    usage = Usage(10, 1, detail={"images_generated": 1})
    found = cost("mistral-large-4", "mistral", usage=usage)
    assert found == Unpriced("unpriced_unit:images_generated")


def test_twelve_hour_cache_writes():
    """A unit that only our overrides have, inside one that the list has."""
    usage = Usage(2000, 0, cache_write_tokens=1000, detail={"cache_write_12h": 400})
    got = cost("gpt-6.1-terra", usage=usage)
    assert got.detail == {"input": 1_000_000, "cache_write": 750_000, "cache_write_12h": 1_000_000}
    assert "overrides" in got.source
    assert (
        cost("gpt-6.1-terra", usage=Usage(2000, 0, cache_write_tokens=1000)).source.count("+") == 0
    )


def test_promotional_prices_end():
    """The price is that of the call's day: three prices within October 2026."""
    days = [datetime(2026, 10, day, tzinfo=UTC).timestamp() for day in (18, 23, 31)]
    got = [cost("mistral-large-4", "mistral", at_us=int(day * 1e6)).nano_usd for day in days]
    assert got == [889_000, 1_778_000, 910_000]


@pytest.mark.parametrize(
    "said",
    [
        "gpt-5.5",
        "openai/gpt-5.5",
        "models/gpt-5.5",
    ],
)
def test_prefixes_do_not_matter(said):
    assert cost(said).nano_usd == cost().nano_usd


def test_vertex_paths_are_understood():
    path = "projects/p/locations/l/publishers/google/models/gemini-2.5-pro"
    assert cost(path, "google").nano_usd == cost("gemini-2.5-pro", "google").nano_usd


def test_the_served_model_is_the_one_that_is_paid():
    """The answer's id comes first; where it says nothing listed, the id that was asked for."""
    served = cost("gpt-5.5", response_model="gpt-4.1-mini-2025-04-14")
    assert served.nano_usd == cost("gpt-4.1-mini").nano_usd
    assert cost("gpt-5.5", response_model="house-blend").nano_usd == cost("gpt-5.5").nano_usd


def test_cohere_pays_billed_units():
    usage = Usage(5000, 900, detail={"billed_input_tokens": 100, "billed_output_tokens": 10})
    assert cost("command-a-03-2025", "cohere", usage=usage).nano_usd == 350_000
    rerank = cost("rerank-v3.5", "cohere", usage=Usage(detail={"rerank_searches": 1}))
    assert rerank == Cost(2_000_000, {"rerank_searches": 2_000_000}, "overrides 2026-11-30")
    embed = Usage(detail={"billed_input_tokens": 1000, "images": 2})
    assert cost("embed-english-v3.0", "cohere", usage=embed).nano_usd == 100_000 + 200_000


def test_mistral_embeddings_have_no_output():
    got = cost("mistral-embed", "mistral", usage=Usage(1000), operation="embeddings")
    assert got.nano_usd == 100_000


def test_contradicting_modalities_are_left_out():
    """Cached audio that is not told apart: the split is ignored, and that is said."""
    usage = Usage(1000, 10, cache_read_tokens=500, detail={"input_audio": 700})
    assert cost("gemini-2.5-flash", "google", usage=usage).notes == ("modalities_ignored",)


@pytest.mark.parametrize(
    ("detail", "charged"),
    [
        ({"input_audio": 700, "output_audio": 60}, {"output_audio": 3_840_000, "output": 640_000}),
        ({"output_audio": 900}, {"output": 1_600_000}),
        ({"input_audio": 700, "output_audio": 900}, {"output": 1_600_000}),
    ],
)
def test_a_split_that_contradicts_itself_leaves_that_of_the_other_side(detail, charged):
    """Sound that was read and may have been cached is no reason to sell spoken words as text."""
    usage = Usage(1000, 100, cache_read_tokens=500, detail=detail)
    got = cost("gpt-realtime", usage=usage)
    assert got.detail == {"cache_read": 200_000, "input": 2_000_000, **charged}
    assert got.notes == ("modalities_ignored",)


@pytest.mark.parametrize(
    ("model", "nano_usd"),
    [("gpt-4o-audio-preview-2025-06-03", 65_500_000), ("gpt-4o-mini-audio-preview", 16_090_000)],
)
def test_audio_models_hear_and_speak_at_the_price_of_sound(model, nano_usd):
    """Of 1,000 tokens 800 were heard, of 500 there were 400 spoken."""
    usage = Usage(1000, 500, detail={"input_audio": 800, "output_audio": 400})
    got = cost(model, usage=usage)
    assert (got.nano_usd, got.notes) == (nano_usd, ())
    assert "overrides" in got.source


@pytest.mark.parametrize(
    ("provider", "model", "usage", "notes"),
    [
        ("openai", "gpt-5", Usage(10, 5, detail={"input_audio": 7, "output_audio": 3}),
            ("priced_as_text:input_audio", "priced_as_text:output_audio")),
        ("openai", "gpt-4o-transcribe", Usage(10, 5, detail={"input_audio": 7}), ()),
        # By the second, whatever else is counted.
        ("mistral", "voxtral-small-latest",
            Usage(10, 5, detail={"input_audio": 7, "audio_seconds": 2}), ()),
        # Where Google lists one price, it is that of all that was read.
        ("google", "gemini-2.5-pro", Usage(10, 5, detail={"input_audio": 7}), ()),
    ],
)  # fmt: skip
def test_sound_without_a_price_is_said_to_be_sold_as_text(provider, model, usage, notes):
    assert cost(model, provider, usage=usage).notes == notes


def test_no_sound_in_the_cache_is_a_figure():
    """With it cached words and fresh sound are told apart."""
    detail = {"input_audio": 400, "cache_read_audio": 0}
    usage = Usage(1000, 0, cache_read_tokens=500, detail=detail)
    got = cost("gpt-realtime", usage=usage)
    assert got.detail == {"cache_read": 200_000, "input_audio": 12_800_000, "input": 400_000}
    assert got.notes == ()


def test_gemini_searches_are_an_upper_bound():
    got = cost("gemini-2.5-pro", "google", usage=Usage(10, 10, detail={"web_searches": 1}))
    assert got.detail["web_searches"] == 35_000_000
    assert got.notes == ("upper_bound:web_searches",)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("unknown_model", {"model": "house-blend-1"}),
        ("unknown_model", {"model": ""}),
        ("unknown_provider", {"provider": "nobody.example"}),
        ("no_usage", {"usage": Usage()}),
        ("error", {"usage": Usage(), "status_code": 429}),
        ("error", {"usage": Usage(), "status_code": None}),
        ("not_billed", {"usage": Usage(10), "operation": "count_tokens"}),
        ("not_billed", {"usage": Usage(), "operation": "files"}),
        ("not_billed", {"usage": Usage(10), "operation": "moderation"}),
        ("overlap_error", {"usage": Usage(10, 1, cache_read_tokens=20)}),
        ("unpriced_unit:web_searches", {
            "provider": "mistral", "model": "mistral-large-4",
            "usage": Usage(10, 1, detail={"web_searches": 1}),
        }),
        ("unpriced_unit:billed_images", {
            "provider": "cohere", "model": "embed-multilingual-v3.0",
            "usage": Usage(detail={"billed_input_tokens": 9, "images": 1}),
        }),
        ("unpriced_unit:audio_seconds", {"usage": Usage(detail={"audio_seconds": 7})}),
    ],
)  # fmt: skip
def test_no_price_has_a_reason(reason, said):
    """Unknown is not zero."""
    assert cost(**said) == Unpriced(reason)


def test_an_error_that_used_tokens_costs():
    assert isinstance(cost(status_code=500), Cost)


def test_free_models_cost_nothing():
    assert cost("gemma-4-31b-it", "google").nano_usd == 0


def test_zero_tokens_cost_zero():
    assert cost(usage=Usage(0, 0)).nano_usd == 0


def test_parts_add_up_to_the_whole():
    """Rounded once; what was cut off the parts goes to those that lost most."""
    total, split = rounded({"a": Decimal("0.5"), "b": Decimal("0.7"), "c": Decimal("2.8")})
    assert (total, split) == (4, {"a": 0, "b": 1, "c": 3})


def test_overrides_say_where_they_come_from():
    """Every figure of ours has a source, an address, a date, and units that exist."""
    ours = overrides()
    units = {unit.price_key for unit in registry().units.values()} | set(registry().units)
    for entry in (*ours.models, *ours.units, *ours.tiers, *ours.uplifts, *ours.fees):
        assert entry.source and entry.url.startswith("https://") and entry.checked
    for entry in (*ours.models, *ours.units):
        assert entry.prices.keys() <= units


def test_a_price_takes_less_than_150_microseconds():
    """It is paid for every call; measured with room for a busy machine."""
    usage = Usage(4400, 50, cache_read_tokens=4000, detail={"cache_write_1h": 200})
    cost("claude-sonnet-4-5", "anthropic", usage=usage)
    best = min(_seconds(usage) for _ in range(5))
    assert best / 200 < 0.00015


def _seconds(usage):
    began = time.process_time()
    for n in range(200):
        cost("claude-sonnet-4-5", "anthropic", usage=usage, at_us=NOV_2026 + n)
    return time.process_time() - began


def test_a_cost_beyond_reason_is_no_cost():
    """What no call can cost was counted wrongly, and would overflow the sums of the pages."""
    assert cost(usage=Usage(10**12, 10**12)) == Unpriced("out_of_range")
    assert isinstance(cost(usage=Usage(10**9, 10**9)), Cost)


METERS = ["cache_write_5m", "cache_write_1h", "input_audio", "web_searches", "images", "pages"]
MANY = [None, 0, 1, 7, 1_000, 250_001, 10**12]


@pytest.mark.parametrize("seed", range(20))
def test_a_plain_bill_is_the_same_bill(seed, monkeypatch):
    """Where each unit has its rate, the short way to the cost tells what the long one does."""
    rng, plain = random.Random(seed), pricing._plain
    for _ in range(200):
        provider, model = rng.choice(
            [
                ("openai", "gpt-4o"), ("openai", "gpt-5"), ("openai", "gpt-4o-audio-preview"),
                ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"),
                ("google", "gemini-2.0-flash"), ("cohere", "command-r-plus"),
                ("deepseek", "deepseek-chat"), ("mistral", "mistral-large-latest"),
            ]
        )  # fmt: skip
        counts = [rng.choice(MANY) for _ in range(5)]
        detail = {name: rng.choice(MANY[1:]) for name in rng.sample(METERS, rng.randrange(3))}
        asked = {
            "provider": provider, "dialect": "other", "operation": "chat", "model": model,
            "response_model": "", "usage": Usage(*counts[:2], None, *counts[2:], detail),
            "at_us": rng.randrange(1_700_000_000_000_000, 1_795_000_000_000_000),
            "service_tier": rng.choice(["", "flex", "batch", "priority"]),
        }  # fmt: skip
        monkeypatch.setattr(pricing, "_plain", plain)
        short = price(**asked)
        monkeypatch.setattr(pricing, "_plain", lambda *_: None)
        assert short == price(**asked), asked
