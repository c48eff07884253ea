"""Cohere's smaller endpoints: parsing documents, classifying, summarizing, tokenizing."""

import re

from msgspec.structs import replace

from ..model import Json, JsonObject, Kind, Message, Part, Reply, TextPart, UnknownPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import media
from .adapter import Route
from .cohere_usage import usage_of
from .endpoint import Endpoint, answered, said_by_user
from .usage import splits


class CohereParse(Endpoint):
    """`cohere.parse`: `POST /v2/parse`, paid by the page."""

    dialect = "cohere.parse"
    providers = ("cohere",)
    path = re.compile(r"/v2/parse$")
    does = "parse"

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The document, described."""
        given = body.get("document") or body.get("file")
        return (Message("user", (_document(given),), given),) if given else ()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Id, what was read, and billed pages."""
        reply = Reader(body)
        read = list_of(body.get("pages")) or list_of(body.get("documents"))
        parts = tuple(_page(page) for page in read)
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts),) if parts else (),
            usage=usage_of(body.get("meta"), reply.notes),
            notes=tuple(reply.notes),
        )


class CohereClassify(Endpoint):
    """`cohere.classify`: `POST /v1/classify`, paid by the classification."""

    dialect = "cohere.classify"
    providers = ("cohere",)
    path = re.compile(r"/v1/classify$")
    does = "classify"
    params = ("preset", "truncate")

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """One message for each text to classify."""
        texts = [text for text in list_of(body.get("inputs")) if isinstance(text, str)]
        return tuple(Message("user", (TextPart(text),), text) for text in texts)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The labels, as they came, and billed classifications."""
        reply = Reader(body)
        labels: tuple[Part, ...] = tuple(UnknownPart(one) for one in reply.list("classifications"))
        counted = usage_of(body.get("meta"), reply.notes)
        billed = reply.count("meta", "billed_units", "classifications")
        detail = {**counted.detail, **splits(classifications=billed)}
        return Reply(
            response_id=reply.text("id"),
            messages=(Message("assistant", labels),) if labels else (),
            usage=replace(counted, detail=detail),
            notes=tuple(reply.notes),
        )


class CohereSummarize(Endpoint):
    """`cohere.summarize`: `POST /v1/summarize`."""

    dialect = "cohere.summarize"
    providers = ("cohere",)
    path = re.compile(r"/v1/summarize$")
    does = "text_completion"
    params = ("length", "format", "extractiveness", "temperature")

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The text to shorten."""
        text = text_of(body.get("text"))
        return said_by_user(text, text)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The summary and what it took."""
        reply = Reader(body)
        return Reply(
            response_id=reply.text("id"),
            messages=answered(reply.text("summary"), body.get("summary")),
            usage=usage_of(body.get("meta"), reply.notes),
            notes=tuple(reply.notes),
        )


class CohereTokenize(Endpoint):
    """`cohere.tokenize`: `POST /v1/tokenize` and `/v1/detokenize`, which are free."""

    dialect = "cohere.tokenize"
    providers = ("cohere",)
    path = re.compile(r"/v1/(de)?tokenize$")
    does = "count_tokens"

    def kind(self, route: Route) -> Kind:
        """A count: no model is asked."""
        return "count"

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """How many tokens there are."""
        counted = splits(counted_tokens=len(list_of(body.get("tokens"))))
        return Reply(usage=Usage(detail=counted))


def _document(given: Json) -> Part:
    if isinstance(given, str):
        return media.from_url("document", given)
    fields = object_of(given)
    uri = fields.get("url") or fields.get("document_url") or fields.get("file_id")
    return media.from_url("document", uri) if uri else UnknownPart(given)


def _page(page: Json) -> Part:
    fields = object_of(page)
    text = text_of(fields.get("markdown")) or text_of(fields.get("text"))
    return TextPart(text, "transcript") if text else UnknownPart(page)
