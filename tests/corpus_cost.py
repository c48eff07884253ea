"""Our price of a recorded call beside the oracle's, like with like.

The price is made of what a row of `llm_calls` stores.  Where it differs, it is made again of the
meters alone that the oracle read (`gp_usage`), at the standard tier: it knows neither searches
that the wire tells elsewhere, nor steps billed apart, nor the tier that was served.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agenttrace_mitm.model import Cost, LlmCall
from agenttrace_mitm.pricing.calls import price_call

NOVEMBER_2026_US = 1_795_200_000_000_000
CLOSE_USD = 1e-9
# The oracle's name of a meter -> ours in `usage_detail`.
METERS = {
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
    "input_annotated_document_pages": "annotated_pages",
    "web_searches": "web_searches",
}
SOUND = frozenset({"input_audio", "output_audio"})
# Cohere is billed by its own counters, whatever the oracle calls them.
_ALWAYS = frozenset({"billed_input_tokens", "billed_output_tokens"})


def at_us(moment: Any) -> int:
    """The oracle's `cost_time`; where it had none it took the prices of November 2026."""
    if isinstance(moment, str):
        return round(datetime.fromisoformat(moment).timestamp() * 1_000_000)
    return round(moment * 1_000_000) if moment else NOVEMBER_2026_US


def cost_disagreement(expected: Mapping[str, Any], call: LlmCall) -> str:
    """Where the price of *call* differs from `expected`, else "".  *call* is as stored."""
    wanted = expected["cost_usd"]
    if wanted is None:
        return ""
    call = call.model_copy(update={"started_us": at_us(expected["cost_time"])})
    if any(_agrees(one, float(wanted)) for one in (call, _as_read(call, expected), _as_text(call))):
        return ""
    return f"cost_usd: expected {wanted} got {price_call(call)!r:.200}"


def _agrees(call: LlmCall, wanted: float) -> bool:
    ours = price_call(call)
    if isinstance(ours, Cost):
        return abs(ours.nano_usd / 1e9 - wanted) <= CLOSE_USD
    # The oracle charges nothing for a meter without a price; we say that it has none.
    return wanted == 0 and ours.reason.startswith("unpriced_unit")


def _as_text(call: LlmCall) -> LlmCall:
    """*call* without its sound where ours is a price that the oracle does not list: it has text's.

    Of the models that it lists a price of sound for, ours is the same one and has to agree.
    """
    ours = price_call(call)
    if not isinstance(ours, Cost) or "overrides" not in ours.source or not SOUND & {*ours.detail}:
        return call
    detail = {k: v for k, v in (call.usage_detail or {}).items() if k not in SOUND}
    return call.model_copy(update={"usage_detail": detail})


def _as_read(call: LlmCall, expected: Mapping[str, Any]) -> LlmCall:
    """*call* without what the oracle did not read."""
    read = expected["gp_usage"] or {}
    known = _ALWAYS | {ours for name, ours in METERS.items() if read.get(name)}
    detail = {name: value for name, value in (call.usage_detail or {}).items() if name in known}
    cached = {"cache_read_tokens", "cache_write_tokens"} - read.keys()
    return call.model_copy(
        update={
            "usage_detail": detail,
            "usage_raw": None,
            "service_tier": None,
            **dict.fromkeys(cached),
        }
    )
