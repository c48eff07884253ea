"""Imagen and Veo: `:predict` and `:predictLongRunning`.

Nothing is reported, so images and seconds are counted.
"""

import re
from typing import Literal

from msgspec.structs import replace

from ..model import Ask, Json, JsonObject, MediaPart, Message, Reply, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import media
from .adapter import Route
from .endpoint import Endpoint, said_by_user
from .params import chosen
from .usage import splits


class GeminiPredict(Endpoint):
    """`gemini.predict`: images and videos."""

    dialect = "gemini.predict"
    path = re.compile(r"/models/(?P<model>[^/:]+):(predict|predictLongRunning)$")
    params = ("sampleCount", "aspectRatio", "durationSeconds", "resolution", "sampleImageSize")

    def operation(self, route: Route) -> str:
        """A video where it takes long, else an image."""
        return "video" if route.path.endswith("LongRunning") else "image"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model of the path, prompts and parameters."""
        found = self.path.search(route.path)
        prompts = [text_of(object_of(one).get("prompt")) for one in list_of(body.get("instances"))]
        return Ask(
            model=found["model"] if found else "",
            messages=said_by_user("\n".join(filter(None, prompts)), prompts),
            params=chosen(object_of(body.get("parameters")), self.params),
        )

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The images; a video's operation has only a name."""
        reply = Reader(body)
        images = tuple(_made(made) for made in reply.list("predictions"))
        return Reply(
            response_id=reply.text("name"),
            messages=(Message("assistant", images),) if images else (),
            usage=Usage(detail=splits(output_images=len(images))),
            notes=tuple(reply.notes),
        )

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with the seconds of video that were asked for."""
        seconds = ask.params.get("durationSeconds")
        if reply.failure or not isinstance(seconds, int | float) or isinstance(seconds, bool):
            return reply
        return replace(reply, usage=Usage(detail=splits(video_seconds=seconds)))


def _made(made: Json) -> MediaPart:
    fields = object_of(made)
    mime_type = text_of(fields.get("mimeType")) or "image/png"
    modality: Literal["image", "video"] = "video" if mime_type.startswith("video") else "image"
    return media.from_base64(modality, mime_type, fields.get("bytesBase64Encoded"))
