"""Embeddings in OpenAI's shape, which Mistral shares.

Inputs and vectors are no conversation: they stay in the bodies, and only their number is told.
"""

from ..model import Ask, Json, JsonObject, Kind, Links, Reply
from ..wire.jsonio import Reader
from .adapter import Framing, ReplyStream, Route
from .openai_chat import usage_of
from .other import OtherStream
from .params import chosen


class OpenAIEmbeddings:
    """`openai.embeddings`: `POST .../embeddings`."""

    dialect = "openai.embeddings"

    def matches(self, route: Route) -> bool:
        """True for the path that ends every compatible endpoint."""
        return route.is_post and route.path.endswith("/embeddings")

    def operation(self, route: Route) -> str:
        """Always embeddings."""
        return "embeddings"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Never streamed."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Model and parameters."""
        request = Reader(body)
        names = ("dimensions", "encoding_format", "output_dimension", "output_dtype")
        params = chosen(body, names) | {"inputs": inputs_in(body.get("input"))}
        return Ask(
            model=request.text("model"),
            params=params,
            links=Links(end_user=request.text("user")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """Never streamed."""
        return OtherStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Model and usage."""
        reply = Reader(body)
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            usage=usage_of(body.get("usage"), reply.notes),
            notes=tuple(reply.notes),
        )


def inputs_in(value: Json) -> int:
    """How many inputs a request embeds: one text, one list of token numbers, or several."""
    if isinstance(value, list):
        return 1 if value and isinstance(value[0], int) else len(value)
    return 0 if value is None else 1
