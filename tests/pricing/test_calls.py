"""The price of a stored call: what it reads, what wins, and what is billed beside the totals."""

import pytest

from agenttrace_mitm.pricing.calls import price_call, priced, reported_in

from ..support.records import call

NOV_2026 = 1_795_200_000_000_000


def claude(**values):
    """A Claude call; sonnet 4.6 costs 3 and 15 dollars a million."""
    said = {"provider": "anthropic", "model": "claude-sonnet-4-6", "started_us": NOV_2026}
    return call(**(said | {"tokens_in": 1000, "tokens_out": 100} | values))


def step(kind, read, written, **more):
    return {"type": kind, "input_tokens": read, "output_tokens": written} | more


def test_a_reported_price_wins_and_ours_is_kept_beside_it():
    found = priced(claude(), reported_nano_usd=12)
    assert found.cost_nano_usd == 12
    assert found.cost_detail == {"reported": 12, "listed": 4_500_000}
    assert found.price_source == "provider"
    assert reported_in(found) == 12


def test_a_reported_price_needs_no_list():
    found = priced(claude(model="house-blend"), reported_nano_usd=12)
    assert (found.cost_nano_usd, found.cost_detail) == (12, {"reported": 12})
    assert found.unpriced_reason is None


def test_what_was_counted_before_is_not_priced_again():
    assert priced(claude(duplicate_of="x")).cost_nano_usd is None


def test_administration_has_neither_price_nor_reason():
    found = priced(claude(kind="admin"))
    assert (found.cost_nano_usd, found.unpriced_reason) == (None, None)


def test_pricing_again_changes_nothing():
    """The same price data give the same row, and notes do not pile up."""
    once = priced(
        claude(provider="google", model="gemini-2.5-pro", usage_detail={"web_searches": 3})
    )
    assert priced(once, reported_in(once)) == once
    assert once.notes == ["upper_bound:web_searches"]


def test_compaction_is_billed_on_top():
    """Its tokens are in no total; its cache writes and reads have their own rates."""
    steps = [
        step("compaction", 100, 10, cache_creation_input_tokens=40, cache_read_input_tokens=1000),
        step("message", 1000, 100),
    ]
    got = price_call(claude(usage_raw={"iterations": steps}))
    assert got.detail == {
        "input": 3_000_000,
        "output": 1_500_000,
        "compaction_input": 300_000,
        "compaction_cache_write": 150_000,
        "compaction_cache_read": 300_000,
        "compaction_output": 150_000,
    }
    assert got.nano_usd == sum(got.detail.values())


def test_another_models_step_inside_the_totals_moves_to_its_price():
    steps = [step("message", 600, 60), step("advisor_message", 400, 40, model="claude-opus-4-6")]
    got = price_call(claude(usage_raw={"iterations": steps}))
    assert got.detail == {
        "input": 1_800_000,
        "output": 900_000,
        "advisor_message_input": 2_000_000,
        "advisor_message_output": 1_000_000,
    }


def test_another_models_step_outside_the_totals_is_added():
    steps = [step("message", 1000, 100), step("advisor_message", 400, 40, model="claude-opus-4-6")]
    got = price_call(claude(usage_raw={"iterations": steps}))
    assert got.detail["input"] == 3_000_000
    assert got.detail["advisor_message_input"] == 2_000_000


def test_steps_that_do_not_add_up_are_left_out_and_noted():
    steps = [step("message", 7, 7), step("advisor_message", 400, 40, model="claude-opus-4-6")]
    got = price_call(claude(usage_raw={"iterations": steps}))
    assert got.nano_usd == 4_500_000
    assert "iterations_unclear" in got.notes


def test_a_step_of_an_unlisted_model_leaves_the_call_unpriced():
    steps = [step("message", 1000, 100), step("advisor_message", 4, 4, model="house-blend")]
    assert price_call(claude(usage_raw={"iterations": steps})).reason == "unknown_model"


@pytest.mark.parametrize("odd", [7, "x", {}, [None, 3, {"type": 5, "input_tokens": "many"}]])
def test_odd_iterations_cost_nothing(odd):
    assert price_call(claude(usage_raw={"iterations": odd})).nano_usd == 4_500_000


@pytest.mark.parametrize(
    ("model", "nano_usd"),
    [("gemini-2.5-flash", 35_000_000), ("gemini-3-flash-preview", 42_000_000)],
)
def test_gemini_bills_prompts_up_to_2_and_queries_from_3(model, nano_usd):
    google = claude(provider="google", model=model, usage_detail={"web_searches": 3})
    assert price_call(google).detail["web_searches"] == nano_usd


def test_an_estimate_is_priced_beside_the_cost_not_as_the_cost():
    guessed = {"estimated_input_tokens": 1000, "estimated_output_tokens": 100}
    found = priced(
        claude(tokens_in=None, tokens_out=None, usage_detail=guessed, usage_source="estimated")
    )
    assert (found.cost_nano_usd, found.unpriced_reason) == (None, "no_usage")
    assert found.cost_detail == {"estimated": 4_500_000}


def drawn(model="gpt-image-1.5", **detail):
    """A gpt-5 call, 1.25 and 10 dollars a million, whose image tool wrote an image."""
    tokens = {"images_generated": 1, "image_tool_input": 60, "image_tool_output": 4160}
    raw = {"image_model": model} if model else {}
    said = {"model": "gpt-5", "started_us": NOV_2026, "tokens_in": 100, "tokens_out": 50}
    return call(**said, usage_raw=raw, usage_detail=tokens | detail)


def test_images_of_a_tool_cost_what_their_model_takes():
    found = priced(drawn(image_tool_output_image=4000, image_tool_output_text=160))
    assert found.cost_detail == {
        "input": 125_000,
        "output": 500_000,
        "image_tool_input": 300_000,
        "image_tool_output": 1_600_000,
        "image_tool_output_image": 128_000_000,
    }
    assert found.cost_nano_usd == sum(found.cost_detail.values())
    assert priced(found, reported_in(found)) == found


def test_images_take_no_tier_of_the_call_but_a_batchs():
    """`flex` and `priority` are tiers of the model that answers."""
    flex = price_call(drawn().model_copy(update={"service_tier": "flex"})).detail
    assert (flex["input"], flex["image_tool_input"]) == (62_500, 300_000)
    batch = price_call(drawn().model_copy(update={"service_tier": "batch"})).detail
    assert (batch["input"], batch["image_tool_input"]) == (62_500, 150_000)


@pytest.mark.parametrize("model", [None, "gpt-image-99"])
def test_images_of_a_model_that_nobody_tells_or_lists_leave_the_call_unpriced(model):
    assert price_call(drawn(model)).reason == "unpriced_unit:images_generated"


def test_a_file_search_is_charged_by_the_call():
    found = price_call(call(model="gpt-5", usage_detail={"storage_searches": 2}, tokens_in=9))
    assert found.detail["storage_searches"] == 5_000_000
    assert found.notes == ()


def test_a_container_is_charged_by_the_hour_which_no_call_shows():
    """The cost stands without it, and says so; the note does not pile up."""
    found = priced(claude(usage_detail={"containers": 1}))
    assert (found.cost_nano_usd, found.notes) == (4_500_000, ["fee_not_included:containers"])
    assert priced(found, reported_in(found)) == found
