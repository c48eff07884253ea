"""Our prices of the recorded calls are those of `genai-prices`, to the nano-dollar.

Usage is built from the corpus' own truth, so that this tests prices and nothing else.
"""

import json
from datetime import datetime
from pathlib import Path

import pytest

from agenttrace_mitm.model import Cost, Unpriced, Usage
from agenttrace_mitm.pricing import price

from ..corpus_cases import corpus_folder, records

ALLOWED = json.loads(Path(__file__).with_name("corpus_allowed.json").read_text())
NOVEMBER_2026_US = 1_795_200_000_000_000
DETAIL = {
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "cache_audio_read_tokens": "cache_read_audio",
    "cache_image_read_tokens": "cache_read_image",
    "cache_text_read_tokens": "cache_read_text",
    "cache_video_read_tokens": "cache_read_video",
    "input_audio_tokens": "input_audio",
    "input_image_tokens": "input_image",
    "input_text_tokens": "input_text",
    "input_tool_tokens": "input_tool",
    "input_video_tokens": "input_video",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
    "output_text_tokens": "output_text",
    "input_document_pages": "pages",
    "web_searches": "web_searches",
}
BILLED = {"input_tokens": "billed_input_tokens", "output_tokens": "billed_output_tokens"}

needs_corpus = pytest.mark.skipif(corpus_folder() is None, reason="the corpus is not here")


def usage_of(expected):
    counted = expected["gp_usage"] or {}
    billed = expected.get("billed_units") or {}
    detail = {ours: counted[name] for name, ours in DETAIL.items() if counted.get(name) is not None}
    detail |= {ours: billed[name] for name, ours in BILLED.items() if billed.get(name) is not None}
    return Usage(
        input_tokens=expected["input_tokens"],
        output_tokens=expected["output_tokens"],
        cache_read_tokens=expected["cache_read_tokens"],
        cache_write_tokens=expected["cache_write_tokens"],
        reasoning_tokens=expected["reasoning_tokens"],
        detail=detail,
    )


def at_us(moment):
    if isinstance(moment, str):
        return round(datetime.fromisoformat(moment).timestamp() * 1_000_000)
    return round(moment * 1_000_000) if moment else NOVEMBER_2026_US


def priced(record):
    expected = record["expected"]
    return price(
        provider=record["provider"],
        dialect=record["dialect"],
        operation="chat",
        model=expected["request_model"],
        response_model=expected["model"] if isinstance(expected["model"], str) else None,
        usage=usage_of(expected),
        at_us=at_us(expected["cost_time"]),
        host=record["host"],
        status_code=record["status"],
    )


@needs_corpus
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "mistral", "cohere"])
def test_prices_agree_with_the_corpus(provider):
    """Every recorded call that has a price there has the same price here."""
    wrong, seen = {}, 0
    for record in records([provider]):
        wanted = record["expected"]["cost_usd"]
        if wanted is None or record["id"] in ALLOWED:
            continue
        seen += 1
        ours = priced(record)
        if isinstance(ours, Unpriced) or abs(ours.nano_usd / 1e9 - float(wanted)) > 1e-9:
            wrong[record["id"]] = (wanted, ours)
        else:
            assert sum(ours.detail.values()) == ours.nano_usd
    assert wrong == {}
    assert seen > 90


@needs_corpus
def test_every_allowed_deviation_is_one():
    """An entry of the allow-list that agrees by now has to go."""
    left = {r["id"]: r for r in records() if r["id"] in ALLOWED}
    for record in left.values():
        ours, wanted = priced(record), record["expected"]["cost_usd"]
        agrees = isinstance(ours, Cost) and abs(ours.nano_usd / 1e9 - float(wanted)) <= 1e-9
        assert not agrees, record["id"]
    assert left.keys() == ALLOWED.keys()


@needs_corpus
def test_errors_are_neither_billed_nor_unpriced_noise():
    """A failed call without usage says `error`, so that a list of unpriced calls stays useful."""
    for record in records():
        ours = priced(record)
        if record["status"] >= 400 and isinstance(ours, Unpriced):
            assert ours.reason == "error"
