"""Cohere embed and rerank: they report billed units alone, and no model."""

import re

from ..model import Ask, JsonObject, Kind, Reply
from ..wire.jsonio import Reader, list_of
from .adapter import Framing, ReplyStream, Route
from .cohere_usage import usage_of
from .other import OtherStream
from .params import chosen


class CohereEmbed:
    """`cohere.embed`: `POST /v1/embed` and `/v2/embed`."""

    dialect = "cohere.embed"
    path = re.compile(r"^(/v[12])?/embed$")
    names: tuple[str, ...] = ("input_type", "embedding_types", "output_dimension", "truncate")
    inputs: tuple[str, ...] = ("texts", "images", "inputs")

    def matches(self, route: Route) -> bool:
        """True for every version of the path."""
        return route.is_post and route.provider == "cohere" and bool(self.path.search(route.path))

    def operation(self, route: Route) -> str:
        """Embeddings."""
        return "embeddings"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Never streamed."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Model, parameters, and how much is asked about."""
        request = Reader(body)
        inputs = sum(len(list_of(body.get(name))) for name in self.inputs)
        params = chosen(body, self.names) | {"inputs": inputs}
        return Ask(model=request.text("model"), params=params, notes=tuple(request.notes))

    def open_stream(self) -> ReplyStream:
        """Never streamed."""
        return OtherStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Id and billed units."""
        reply = Reader(body)
        return Reply(
            response_id=reply.text("id"),
            usage=usage_of(body.get("meta"), reply.notes),
            notes=tuple(reply.notes),
        )


class CohereRerank(CohereEmbed):
    """`cohere.rerank`: `POST /v1/rerank` and `/v2/rerank`."""

    dialect = "cohere.rerank"
    path = re.compile(r"^(/v[12])?/rerank$")
    names = ("top_n", "max_chunks_per_doc", "max_tokens_per_doc", "return_documents", "priority")
    inputs = ("documents",)

    def operation(self, route: Route) -> str:
        """Rerank."""
        return "rerank"
