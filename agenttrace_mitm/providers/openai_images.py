"""OpenAI images: generated, edited, varied; JSON or a form, whole or streamed.

Image models report tokens.  The DALL-E models report nothing: images are counted, and what
their price depends on (size, quality) stands in the parameters.
"""

import re

from ..model import Json, JsonObject, MediaPart, Message, Part, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import media
from .adapter import ReplyStream, Route
from .endpoint import Endpoint, LastEvent
from .usage import cached_parts, cached_splits, splits, usage


class OpenAIImages(Endpoint):
    """`openai.images`: `POST /v1/images/generations`, `/edits` and `/variations`."""

    dialect = "openai.images"
    path = re.compile(r"/images/(generations|edits|variations)$")
    does = "image"
    params = (
        "n",
        "size",
        "quality",
        "style",
        "background",
        "output_format",
        "output_compression",
        "moderation",
        "input_fidelity",
        "partial_images",
        "response_format",
    )

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The prompt, and the images it is about."""
        prompt = text_of(body.get("prompt"))
        given = body.get("image") or body.get("images")
        parts: list[Part] = [TextPart(prompt)] if prompt else []
        parts += [_given(image) for image in (given if isinstance(given, list) else [given])]
        raw = {"prompt": prompt, "image": given}
        return (Message("user", tuple(parts), raw),) if prompt or given else ()

    def open_stream(self) -> ReplyStream:
        """Partial images, then one that is complete, with the usage."""
        return LastEvent()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The images, described, and what they took."""
        reply = Reader(body)
        images = reply.list("data") or ([body] if body.get("b64_json") else [])
        form = text_of(body.get("output_format")) or "png"
        parts = tuple(part for image in images for part in _made(object_of(image), form))
        return Reply(
            model=reply.text("model"),
            messages=(Message("assistant", parts),) if parts else (),
            usage=_usage(body, len(images), reply.notes),
            notes=tuple(reply.notes),
        )


def _given(image: Json) -> MediaPart:
    if isinstance(image, str):
        return media.from_url("image", image)
    fields = object_of(image)
    if fields.get("sha256"):  # a file of the form
        size = fields.get("size")
        return MediaPart(
            "image",
            text_of(fields.get("content_type")),
            size if isinstance(size, int) else None,
            text_of(fields.get("sha256")),
        )
    return media.from_url("image", fields.get("image_url") or fields.get("file_id"))


def _made(image: JsonObject, form: str) -> list[Part]:
    revised = text_of(image.get("revised_prompt"))
    parts: list[Part] = [TextPart(revised, "transcript")] if revised else []
    if image.get("b64_json"):
        return [*parts, media.from_base64("image", f"image/{form}", image.get("b64_json"))]
    return [*parts, media.from_url("image", image.get("url"))] if image.get("url") else parts


def _usage(body: JsonObject, images: int, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage(detail=splits(output_images=images))
    counts = Reader(raw, notes, "usage")
    read, written = counts.object("input_tokens_details"), counts.object("output_tokens_details")
    cached = read.count("cached_tokens")
    detail = splits(
        input_text=read.count("text_tokens"),
        input_image=read.count("image_tokens"),
        output_text=written.count("text_tokens"),
        # Models before gpt-image-1.5 give no split: what an image model writes is images.
        output_image=written.count("image_tokens")
        if list_of(list(written.value))
        else counts.count("output_tokens"),
        output_images=images,
    )
    return usage(
        raw,
        notes,
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=cached,
        detail=detail | cached_splits(cached, cached_parts(read), detail),
    )
