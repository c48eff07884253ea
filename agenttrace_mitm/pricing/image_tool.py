"""Images that a tool made within a call: billed at the prices of an image model.

OpenAI counts their tokens beside the call's own (`image_tool_*` of the usage's detail) and names
the model in the tools that its answer repeats, if the request had named one (`image_model`).
Which model it takes by default changes over time and is told nowhere: such images have no price.
"""

from ..model import Usage
from .iterations import Step

IMAGES = "images_generated"
MODEL = "image_model"
KIND = "image_tool"
_PARTS = {
    "image_tool_input_text": "input_text",
    "image_tool_input_image": "input_image",
    "image_tool_output_text": "output_text",
    "image_tool_output_image": "output_image",
    "image_tool_cached_text": "cache_read_text",
    "image_tool_cached_image": "cache_read_image",
}


def images_of(usage: Usage) -> Step | None:
    """What the image model read and wrote; None where no model or no tokens are told."""
    model = usage.raw.get(MODEL) if isinstance(usage.raw, dict) else None
    if not isinstance(model, str):
        return None
    detail = usage.detail
    read, written = detail.get("image_tool_input"), detail.get("image_tool_output")
    if not (read or written):
        return None
    cached = detail.get("image_tool_cached")
    parts = {name: detail[ours] for ours, name in _PARTS.items() if ours in detail}
    if cached and detail.get("image_tool_cached_text") == cached:
        # All that was cached was text, so that none of it was images.
        parts["cache_read_image"] = 0
    made = Usage(
        int(read or 0),
        int(written or 0),
        cache_read_tokens=None if cached is None else int(cached),
        detail=parts,
    )
    return Step(KIND, model, made)
