"""What the tools that ran at OpenAI are billed for, beside the tokens of the response.

Comes in: a response object.  Goes out: meters for `usage_detail`, and the model that made images.
Searches of the web and images are counted by the provider (`tool_usage`), the others are told by
the items of the output alone.
"""

from collections.abc import Mapping
from typing import TypeGuard

from ..model import Json, JsonObject
from ..wire.jsonio import Reader, list_of, object_of, text_of


def tool_meters(body: JsonObject, notes: list[str]) -> tuple[Mapping[str, int | None], str]:
    """The meters of the tools, and the image model where there are tokens of it and it is told."""
    tools = Reader(object_of(body.get("tool_usage")), notes, "tool_usage")
    items = [item for item in list_of(body.get("output")) if _ran(item)]
    meters: dict[str, int | None] = {"web_searches": _searches(items, tools)}
    if items:
        kinds = [item.get("type") for item in items]
        meters["storage_searches"] = kinds.count("file_search_call")
        meters["images_generated"] = kinds.count("image_generation_call")
        meters["containers"] = len({_container(item) for item in items} - {""})
    images = _image_tokens(tools.object("image_gen"))
    if not images:
        return meters, ""
    # Tokens without an item: it was an image all the same, which must not go unpriced unseen.
    images["images_generated"] = meters.get("images_generated") or 1
    return meters | images, _image_model(body)


def _ran(item: Json) -> TypeGuard[JsonObject]:
    """True for a call of a tool that did not fail."""
    return (
        isinstance(item, dict)
        and text_of(item.get("type")).endswith("_call")
        and item.get("status") != "failed"
    )


def _searches(items: list[JsonObject], tools: Reader) -> int | None:
    """Billed searches: the provider's own count, else the calls that searched.

    Opening a page and finding something in it are calls as well, and cost nothing.
    """
    counted = tools.count("web_search", "num_requests")
    if counted is not None:
        return counted
    actions = [
        object_of(item.get("action")) for item in items if item.get("type") == "web_search_call"
    ]
    found = sum(1 for action in actions if action.get("type", "search") == "search")
    if found:
        tools.notes.append("estimated:web_searches")
    return found


def _container(item: JsonObject) -> str:
    """The container that an item ran in, or ""; a shell's stands in its environment."""
    place = object_of(item.get("environment"))
    return text_of(item.get("container_id")) or text_of(place.get("container_id"))


def _image_tokens(made: Reader) -> dict[str, int | None]:
    """What the image model read and wrote; empty where it did neither, as nearly always."""
    whole_input, whole_output = made.count("input_tokens"), made.count("output_tokens")
    if not (whole_input or whole_output):
        return {}
    read, written = made.object("input_tokens_details"), made.object("output_tokens_details")
    cached = made.object("cached_tokens_details")
    return {
        "image_tool_input": whole_input,
        "image_tool_input_text": read.count("text_tokens"),
        "image_tool_input_image": read.count("image_tokens"),
        "image_tool_output": whole_output,
        "image_tool_output_text": written.count("text_tokens"),
        "image_tool_output_image": written.count("image_tokens"),
        "image_tool_cached": made.count("cached_tokens"),
        "image_tool_cached_text": cached.count("cached_text_tokens"),
        "image_tool_cached_image": cached.count("cached_image_tokens"),
    }


def _image_model(body: JsonObject) -> str:
    """The model that the tools name, as the response repeats them; "" where it is the default."""
    tools = map(object_of, list_of(body.get("tools")))
    named = (text_of(t.get("model")) for t in tools if t.get("type") == "image_generation")
    return next(named, "")
