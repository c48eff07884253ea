"""What a provider itself says that a call cost: whole prices, and parts of them."""

import pytest

from agenttrace_mitm.providers.reported_cost import reported_nano_usd

KEY_OF_ONES_OWN = {"cost": 0.000006, "is_byok": True}


@pytest.mark.parametrize(
    ("usage", "nano_usd"),
    [
        ({"cost": 0.0001182, "cost_details": {"upstream_inference_cost": 0.0001}}, 118_200),
        ({"cost": {"total_cost": 0.006, "request_cost": 0.005}}, 6_000_000),
        ({"cost_in_usd_ticks": 12_340}, 1_234),
        ({"cost": 0}, 0),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": "0.1"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_price_is_taken_as_it_is_told(usage, nano_usd):
    assert reported_nano_usd(usage) == nano_usd


def test_a_key_of_ones_own_pays_the_fee_and_the_provider():
    """OpenRouter's `cost` is then its fee alone, be it nothing."""
    details = {"cost_details": {"upstream_inference_cost": 0.000123}}
    assert reported_nano_usd(KEY_OF_ONES_OWN | details) == 129_000
    assert reported_nano_usd(KEY_OF_ONES_OWN | details | {"cost": 0}) == 123_000


@pytest.mark.parametrize("details", [None, {}, {"upstream_inference_cost": None}, "x"])
def test_a_fee_alone_is_no_price(details):
    """Better the price lists than a twentieth of the price."""
    assert reported_nano_usd(KEY_OF_ONES_OWN | {"cost_details": details}) is None
