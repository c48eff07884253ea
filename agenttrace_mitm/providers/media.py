"""Media described: type, size and hash instead of the bytes."""

import base64
import binascii
import hashlib
from typing import Literal

from ..model import Json, MediaPart
from ..wire.jsonio import text_of

Modality = Literal["image", "audio", "video", "document", "file"]


def modality_of(mime_type: str) -> Modality:
    """What kind of medium *mime_type* names."""
    match mime_type.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case "text" | "application":
            return "document"
        case _:
            return "file"


def from_base64(modality: Modality, mime_type: str, data: Json) -> MediaPart:
    """The medium that *data* spells in base64 (either alphabet, padded or not)."""
    text = text_of(data)
    if not text:
        return MediaPart(modality, mime_type)
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        content = text.encode("utf-8", "replace")
    return MediaPart(modality, mime_type, len(content), hashlib.sha256(content).hexdigest())


def from_url(modality: Modality, url: Json) -> MediaPart:
    """The medium behind *url*; a data URL is its own medium."""
    text = text_of(url)
    if not text.startswith("data:"):
        return MediaPart(modality, uri=text)
    head, _, data = text.partition(",")
    mime_type, _, _ = head.removeprefix("data:").partition(";")
    return from_base64(modality, mime_type, data)


def at(modality: Modality, mime_type: str, uri: str) -> MediaPart:
    """The medium that is kept at *uri*."""
    return MediaPart(modality, mime_type, uri=uri)
