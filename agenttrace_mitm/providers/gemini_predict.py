"""`:predict`, Vertex's one method for models of every kind, and `:predictLongRunning` for videos.

The model's name says what is done, the shape of a prediction what came of it.  Embeddings and
PaLM's texts report their tokens; of images and seconds nothing is reported, so they are counted.
"""

import re

from msgspec.structs import replace

from ..model import Ask, Json, JsonObject, MediaPart, Message, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import media
from .adapter import Route
from .endpoint import Endpoint, said_by_user
from .gemini_palm import said_in
from .params import chosen
from .usage import splits

# What models with such names do, in the order of asking.
_DOES = (
    (re.compile(r"embedding"), "embeddings"),
    (re.compile(r"chat-bison"), "chat"),
    (re.compile(r"bison|unicorn|code-gecko|medlm"), "text_completion"),
    (re.compile(r"^(imagen|imagegeneration|virtual-try-on)"), "image"),
    (re.compile(r"^lyria"), "audio"),
)
_MEDIA = ("bytesBase64Encoded", "audioContent")


class GeminiPredict(Endpoint):
    """`gemini.predict`: embeddings, PaLM's texts and chats, images, sound and videos."""

    dialect = "gemini.predict"
    path = re.compile(r"/models/(?P<model>[^/:]+):(predict|predictLongRunning)$")
    params = (
        "sampleCount",
        "aspectRatio",
        "durationSeconds",
        "resolution",
        "sampleImageSize",
        "outputDimensionality",
        "temperature",
        "maxOutputTokens",
        "candidateCount",
        "topK",
        "topP",
        "stopSequences",
    )

    def operation(self, route: Route) -> str:
        """A video where it takes long, else what such models do."""
        if route.path.endswith("LongRunning"):
            return "video"
        model = self._model_of(route)
        return next((does for name, does in _DOES if name.search(model)), "generate_content")

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model of the path, what was said, and parameters; embedded texts are only counted."""
        instances = [object_of(one) for one in list_of(body.get("instances"))]
        params = chosen(object_of(body.get("parameters")), self.params)
        messages: tuple[Message, ...] = ()
        if self.operation(route) == "embeddings":
            params |= chosen(instances[0] if instances else {}, ("task_type", "taskType"))
            params["inputs"] = len(instances)
        elif any("messages" in one for one in instances):
            messages = tuple(message for one in instances for message in said_in(one))
        else:
            prompts = [text_of(one.get("prompt") or one.get("prefix")) for one in instances]
            messages = said_by_user("\n".join(filter(None, prompts)), prompts)
        return Ask(model=self._model_of(route), messages=messages, params=params)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """What was made, and what is known of its size; a video's operation has only a name."""
        reply = Reader(body)
        predictions = reply.list("predictions")
        made = tuple(part for one in predictions for part in _media_in(object_of(one)))
        words = tuple(_words_in(predictions))
        images = sum(part.modality == "image" for part in made)
        spent = _embedded(body, reply.notes) or _written(body, reply.notes)
        return Reply(
            response_id=reply.text("name"),
            messages=(Message("assistant", made), *words) if made else words,
            usage=spent or Usage(detail=splits(output_images=images)),
            notes=tuple(reply.notes),
        )

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with the seconds of video that were asked for."""
        seconds = ask.params.get("durationSeconds")
        if reply.failure or not isinstance(seconds, int | float) or isinstance(seconds, bool):
            return reply
        return replace(reply, usage=Usage(detail=splits(video_seconds=seconds)))

    def _model_of(self, route: Route) -> str:
        found = self.path.search(route.path)
        return found["model"] if found else ""


def _media_in(made: JsonObject) -> list[MediaPart]:
    """The medium of a prediction; none where it was filtered out, or is of another kind."""
    mime_type = text_of(made.get("mimeType")) or "image/png"
    modality = media.modality_of(mime_type)
    if data := next((made[name] for name in _MEDIA if made.get(name)), None):
        return [media.from_base64(modality, mime_type, data)]
    uri = text_of(made.get("gcsUri"))
    return [media.at(modality, mime_type, uri)] if uri else []


def _words_in(predictions: list[Json]) -> list[Message]:
    """A message for each text: a completion, a candidate of a chat, a caption."""
    said: list[Message] = []
    for one in predictions:
        fields = object_of(one)
        for answer in list_of(fields.get("candidates")) or [fields or one]:
            text = answer if isinstance(answer, str) else object_of(answer).get("content")
            if isinstance(text, str):
                said.append(Message("assistant", (TextPart(text),), answer))
    return said


def _embedded(body: JsonObject, notes: list[str]) -> Usage | None:
    """The tokens of embedded texts, each of which reports its own; None where nothing was embedded.

    One that reports none leaves the whole unknown.
    """
    found = [object_of(one) for one in list_of(body.get("predictions"))]
    texts = [object_of(one["embeddings"]) for one in found if "embeddings" in one]
    if not texts:
        return None
    about = Reader(body, notes).object("metadata")
    counts = [
        Reader(text, notes, "embeddings").count("statistics", "token_count") for text in texts
    ]
    known = [count for count in counts if count is not None]
    characters = about.count("billableCharacterCount")
    return Usage(
        sum(known) if len(known) == len(counts) else None,
        detail=splits(characters=characters),
        raw=about.value or None,
        source="reported" if known or characters is not None else "none",
    )


def _written(body: JsonObject, notes: list[str]) -> Usage | None:
    """The tokens that PaLM read and wrote; None where it does not say."""
    about = Reader(body, notes).object("metadata")
    counts = about.object("tokenMetadata")
    if not counts.value:
        return None
    return Usage(
        counts.count("inputTokenCount", "totalTokens"),
        counts.count("outputTokenCount", "totalTokens"),
        raw=counts.value,
        source="reported",
    )
