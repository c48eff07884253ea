"""Sound left out of messages: its size stays, the base64 goes.

A minute of speech is megabytes of text that nobody can read; what was said stands in the
transcripts beside it.
"""

from ..model import Json, JsonObject
from ..wire.jsonio import text_of


def without_sound(value: Json) -> Json:
    """*value* with each piece of base64 sound emptied, and its size in `<field>_bytes`."""
    match value:
        case dict():
            kept: JsonObject = {key: without_sound(item) for key, item in value.items()}
            for key in _fields(value):
                kept |= {key: "", f"{key}_bytes": len(value[key]) * 3 // 4}
            return kept
        case list():
            return [without_sound(item) for item in value]
        case _:
            return value


def _fields(value: JsonObject) -> list[str]:
    """The fields of *value* that hold sound."""
    found = ["audio"] if value.get("audio") and isinstance(value["audio"], str) else []
    if text_of(value.get("type")).endswith("audio.delta"):
        found.append("delta")
    mime_type = value.get("mimeType") or value.get("mime_type")
    if text_of(mime_type).startswith("audio/"):
        found.append("data")
    return [name for name in found if isinstance(value.get(name), str)]
