"""Mistral OCR: documents read page by page, and paid by the page."""

import re

from msgspec.structs import replace

from ..model import Ask, Json, JsonObject, MediaPart, Message, Part, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import media
from .adapter import Route
from .endpoint import Endpoint
from .usage import splits

_ANNOTATES = ("document_annotation_format", "bbox_annotation_format")


class MistralOcr(Endpoint):
    """`mistral.ocr`: `POST /v1/ocr`."""

    dialect = "mistral.ocr"
    providers = ("mistral",)
    path = re.compile(r"/v1/ocr$")
    does = "ocr"
    params = ("pages", "include_image_base64", "image_limit", "table_format")

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The document, and whether its pages are to be annotated, which costs more."""
        ask = super().read_request(body, route)
        wanted = any(body.get(name) for name in _ANNOTATES)
        return replace(ask, params={**ask.params, "annotated": True}) if wanted else ask

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The document, described."""
        document = object_of(body.get("document"))
        return (Message("user", (_medium(document),), document),) if document else ()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The pages' text, and how many there were."""
        reply = Reader(body)
        raw = body.get("usage_info")
        pages: tuple[Part, ...] = tuple(
            TextPart(page.text("markdown"), "transcript") for page in reply.objects("pages")
        )
        count = reply.count("usage_info", "pages_processed")
        # A line of a batch has no request that would tell.
        annotated = count if _is_annotated(body) else None
        counted = splits(pages=count, annotated_pages=annotated)
        return Reply(
            model=reply.text("model"),
            messages=(Message("assistant", pages),) if pages else (),
            usage=Usage(detail=counted, raw=raw, source="reported") if counted else Usage(),
            notes=tuple(reply.notes),
        )

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with its pages as annotated ones, where that was asked for."""
        pages = reply.usage.detail.get("pages")
        if not pages or not ask.params.get("annotated"):
            return reply
        detail = {**reply.usage.detail, "annotated_pages": pages}
        return replace(reply, usage=replace(reply.usage, detail=detail))


def _is_annotated(body: JsonObject) -> bool:
    """True where the document, or a picture in it, was answered with an annotation."""
    if body.get("document_annotation"):
        return True
    pages = map(object_of, list_of(body.get("pages")))
    images = (object_of(image) for page in pages for image in list_of(page.get("images")))
    return any(image.get("image_annotation") for image in images)


def _medium(document: JsonObject) -> MediaPart:
    if document.get("image_url"):
        image: Json = document.get("image_url")
        return media.from_url("image", image.get("url") if isinstance(image, dict) else image)
    if document.get("document_url"):
        return media.from_url("document", document.get("document_url"))
    return media.at("document", "", text_of(document.get("file_id")))
