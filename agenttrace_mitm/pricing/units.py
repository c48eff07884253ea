"""Usage in, countable units out: which meters of a call there are to be priced.

Unit names are those of `genai-prices`, plus a few of our own.  Totals are inclusive there as
here, so a cache read is also an input token and is subtracted when prices are applied.
"""

import re
from collections.abc import Mapping

from ..model import Usage

type Number = int | float

NEEDS_A_PRICE = frozenset(
    {
        "web_searches",
        "rerank_searches",
        "storage_searches",
        "social_searches",
        "code_executions",
        "billed_images",
        "images_generated",
    }
)
"""Charged on top of tokens: without a price for one of these the total is unknown."""

FEES = frozenset({"containers", "map_searches", "server_tools"})
"""Charged on top of tokens by what no single call shows, such as the hours of a container.

xAI's `server_tools` have prices of several kinds, which its own price of the call has in it.
Where somebody gives a price they are charged, else the total stands without them and says so.
"""
FEE_NOTE = "fee_not_included"

SOUND = ("input_audio", "output_audio")
"""Tokens that nearly everybody sells at a price of their own."""
AS_TEXT_NOTE = "priced_as_text"

OWN_DIMENSIONS: Mapping[str, Mapping[str, str]] = {
    "cache_write_12h_tokens": {
        "family": "tokens",
        "direction": "input",
        "token_type": "cache_write",
        "cache_ttl": "12h",
    },
    "billed_images": {"family": "images", "direction": "input"},
    "images_generated": {"family": "images", "direction": "output"},
    "containers": {"family": "containers"},
    "map_searches": {"family": "tool_calls", "tool_type": "map_search"},
    "server_tools": {"family": "tool_calls", "tool_type": "server_tool"},
}
"""Units that `genai-prices` does not have, described in its terms."""

_DETAIL = {
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "cache_write_12h": "cache_write_12h_tokens",
    "cache_read_text": "cache_text_read_tokens",
    "cache_read_audio": "cache_audio_read_tokens",
    "cache_read_image": "cache_image_read_tokens",
    "cache_read_video": "cache_video_read_tokens",
    "input_text": "input_text_tokens",
    "input_audio": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "input_video": "input_video_tokens",
    "input_tool": "input_tool_tokens",
    "output_text": "output_text_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "output_video": "output_video_tokens",
    "images": "input_images",
    "pages": "input_document_pages",
    "annotated_pages": "input_annotated_document_pages",
    "audio_seconds": "audio_seconds",
    "characters": "input_characters",
    **{unit: unit for unit in NEEDS_A_PRICE | FEES if unit != "billed_images"},
}
"""Usage detail -> unit.  What is absent here is not charged for itself: web fetches are free,
predictions are inside the output, 30-minute cache writes are the ordinary ones."""


def units(usage: Usage, *, billed: bool = False) -> dict[str, Number] | None:
    """The units of *usage* that were reported, or None when nothing was.

    With *billed* (Cohere) the billed units stand for the tokens, which are another count there.
    """
    found: dict[str, Number] = {}
    detail = usage.detail
    if billed and ("billed_input_tokens" in detail or "billed_output_tokens" in detail):
        found["input_tokens"] = detail.get("billed_input_tokens", 0)
        found["output_tokens"] = detail.get("billed_output_tokens", 0)
    else:
        if usage.input_tokens is not None:
            found["input_tokens"] = usage.input_tokens
        if usage.output_tokens is not None:
            found["output_tokens"] = usage.output_tokens
        if usage.cache_read_tokens is not None:
            found["cache_read_tokens"] = usage.cache_read_tokens
        if usage.cache_write_tokens is not None:
            found["cache_write_tokens"] = usage.cache_write_tokens
        if usage.reasoning_tokens is not None:
            found["output_reasoning_tokens"] = usage.reasoning_tokens
    for name, value in detail.items():
        unit = _DETAIL.get(name)
        if unit is not None:
            found[unit] = value
    if billed and "input_images" in found:
        found["billed_images"] = found.pop("input_images")
    if not found.keys() - {"output_reasoning_tokens"}:
        return None
    if detail:
        _complete_cache_writes(found)
    return found


def _complete_cache_writes(found: dict[str, Number]) -> None:
    split = sum(found.get(f"cache_write_{ttl}_tokens", 0) for ttl in ("5m", "1h", "12h"))
    if split and "cache_write_tokens" not in found:
        found["cache_write_tokens"] = split


_PROMPTS_ARE_BILLED = re.compile(r"gemini-[12]\.")


def grounded(found: dict[str, Number], provider: str, model: str) -> dict[str, Number]:
    """*found* with searches as Google bills them: up to Gemini 2 the prompt, then each query."""
    if provider == "google" and found.get("web_searches") and _PROMPTS_ARE_BILLED.match(model):
        return found | {"web_searches": 1}
    return found


def without_modalities(
    found: Mapping[str, Number], *, read: bool = False, written: bool = False
) -> dict[str, Number]:
    """*found* without the text/audio/image/video splits of what was *read*, *written* or both.

    For splits that contradict each other; those of the other side are as good as ever.
    """

    def dropped(unit: str) -> bool:
        side = written if unit.startswith("output_") else read
        split = any(f"_{kind}_" in unit for kind in ("text", "audio", "image", "video"))
        return side and split and unit.endswith("_tokens")

    return {unit: value for unit, value in found.items() if not dropped(unit)}
