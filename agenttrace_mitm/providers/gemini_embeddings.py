"""Gemini embeddings, one at a time or several at once; usage only in newer responses.

Those of a batch that is run later come as single answers, see `within`.
"""

import re

from ..model import Ask, JsonObject, Kind, Reply, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .gemini_generate import by_modality
from .other import OtherStream
from .params import chosen
from .usage import splits, usage

_METHOD = re.compile(
    r"/(?:v1internal|(?:models/)?(?P<model>[^/:]+))"
    r":(?:embedContent|batchEmbedContents|embedText|batchEmbedText)$"
)


class GeminiEmbeddings:
    """`gemini.embeddings`: `:embedContent` and its batches."""

    dialect = "gemini.embeddings"

    def matches(self, route: Route) -> bool:
        """True for the methods on any model."""
        return route.is_post and _METHOD.search(route.path) is not None

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
        found = _METHOD.search(route.path)
        requests = list_of(body.get("requests"))
        first = object_of(requests[0]) if requests else body
        names = ("outputDimensionality", "output_dimensionality", "taskType", "task_type")
        return Ask(
            model=text_of(body.get("model")) or (found["model"] or "" if found else ""),
            params=chosen(first, names) | {"inputs": len(requests) or 1},
        )

    def open_stream(self) -> ReplyStream:
        """Never streamed."""
        return OtherStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Usage, where there is one."""
        raw = body.get("usageMetadata")
        if not isinstance(raw, dict):
            return Reply(usage=_single(body))
        notes: list[str] = []
        counts = Reader(raw, notes, "usageMetadata")
        read = by_modality(raw.get("promptTokenDetails") or raw.get("promptTokensDetails"))
        spent = usage(
            raw,
            notes,
            input_tokens=counts.count("promptTokenCount"),
            output_tokens=None,
            total_tokens=counts.count("totalTokenCount"),
            detail=splits(
                input_audio=read.get("AUDIO"),
                input_image=read.get("IMAGE"),
                input_video=read.get("VIDEO"),
                input_document=read.get("DOCUMENT"),
            ),
        )
        return Reply(usage=spent, notes=tuple(notes))


def _single(body: JsonObject) -> Usage:
    """The usage of an answer of a batch: one count, which 64-bit numbers' JSON writes as text."""
    said = body.get("tokenCount")
    count = int(said) if isinstance(said, str) and said.isascii() and said.isdigit() else said
    read = Reader({"tokenCount": count}, []).count("tokenCount")
    if read is None:
        return Usage()
    return Usage(read, raw={"tokenCount": said}, source="reported")
