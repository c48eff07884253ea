"""Cohere's two counters: `tokens` is what the model processed, `billed_units` what is charged."""

from ..model import Json, Usage
from ..wire.jsonio import Reader
from .usage import splits, stated, usage


def usage_of(raw: Json, notes: list[str]) -> Usage:
    """Usage from `usage` (v2) or `meta` (v1 and everything that is not chat)."""
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    tokens = counts.object("tokens")
    billed = counts.object("billed_units")
    if not tokens.value and not billed.value:
        return Usage()
    return usage(
        raw,
        notes,
        input_tokens=tokens.count("input_tokens"),
        output_tokens=tokens.count("output_tokens"),
        cache_read_tokens=counts.count("cached_tokens"),
        reasoning_tokens=tokens.count("reasoning_tokens"),
        # Billed is nothing where a 0 says so, whatever was processed.
        detail=stated(
            billed_input_tokens=billed.count("input_tokens"),
            billed_output_tokens=billed.count("output_tokens"),
            rerank_searches=billed.count("search_units"),
        )
        | splits(
            images=billed.count("images"),
            input_image=billed.count("image_tokens"),
            pages=billed.count("pages"),
        ),
    )
