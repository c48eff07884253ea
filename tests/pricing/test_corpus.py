"""Our prices of the recorded calls are those of `genai-prices`, to the nano-dollar.

Usage is built from the corpus' own truth, so that this tests prices and nothing else.
"""

import pytest

from agenttrace_mitm.model import Unpriced
from agenttrace_mitm.pricing.calls import price_call

from ..corpus_cases import corpus_folder, records
from ..corpus_cost import METERS, cost_disagreement
from ..support.records import call

BILLED = {"input_tokens": "billed_input_tokens", "output_tokens": "billed_output_tokens"}

needs_corpus = pytest.mark.skipif(corpus_folder() is None, reason="the corpus is not here")


def call_of(record):
    expected = record["expected"]
    counted = expected["gp_usage"] or {}
    billed = expected.get("billed_units") or {}
    detail = {ours: counted[name] for name, ours in METERS.items() if counted.get(name)}
    detail |= {ours: billed[name] for name, ours in BILLED.items() if billed.get(name) is not None}
    return call(
        provider=record["provider"],
        model=expected["request_model"],
        response_model=expected["model"] if isinstance(expected["model"], str) else None,
        tokens_in=expected["input_tokens"],
        tokens_out=expected["output_tokens"],
        cache_read_tokens=expected["cache_read_tokens"],
        cache_write_tokens=expected["cache_write_tokens"],
        reasoning_tokens=expected["reasoning_tokens"],
        usage_detail=detail,
        host=record["host"],
        status_code=record["status"],
    )


@needs_corpus
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "mistral", "cohere"])
def test_prices_agree_with_the_corpus(provider):
    """Every recorded call that has a price there has the same price here."""
    priced = [r for r in records([provider]) if r["expected"]["cost_usd"] is not None]
    wrong = {r["id"]: cost_disagreement(r["expected"], call_of(r)) for r in priced}
    assert {id_: difference for id_, difference in wrong.items() if difference} == {}
    assert len(priced) > 90


@needs_corpus
def test_errors_are_neither_billed_nor_unpriced_noise():
    """A failed call without usage says `error`, so that a list of unpriced calls stays useful."""
    for record in records():
        ours = price_call(call_of(record))
        if record["status"] >= 400 and isinstance(ours, Unpriced):
            assert ours.reason == "error"
