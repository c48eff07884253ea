"""What a tool answered: words as words, media described, the rest as it came."""

from collections.abc import Callable, Iterable

from ..model import Json, MediaPart, Part, TextPart


def content_of(value: Json, read: Callable[[Json], Iterable[Part]]) -> Json:
    """The content of a tool result; *read* knows the dialect's content blocks."""
    if not isinstance(value, list):
        return value
    parts = list(read(value))
    words = [part.text for part in parts if isinstance(part, TextPart)]
    if words and len(words) == len(parts):
        return "\n".join(words)
    return [_described(part, raw) for part, raw in zip(parts, value, strict=False)]


def _described(part: Part, raw: Json) -> Json:
    if not isinstance(part, MediaPart):
        return raw
    described = {
        "type": part.modality,
        "mime_type": part.mime_type,
        "size": part.size,
        "sha256": part.sha256,
        "uri": part.uri,
    }
    return {name: value for name, value in described.items() if value}
