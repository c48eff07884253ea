"""OpenAI videos: jobs that are paid by the second and the size of the picture.

The job's own answer repeats seconds and size; fetching it later adds nothing.
"""

import re

from msgspec.structs import replace

from ..model import Ask, JsonObject, Message, Reply, Usage
from ..wire.jsonio import Reader, text_of
from .adapter import Route
from .endpoint import Endpoint, said_by_user
from .finish import normalized
from .usage import splits


class OpenAIVideos(Endpoint):
    """`openai.videos`: `POST /v1/videos`, and a remix, an extension or an edit of one."""

    dialect = "openai.videos"
    path = re.compile(r"/videos(/(edits|extensions)|/[^/]+/remix)?$")
    does = "video"
    params = ("seconds", "size")

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The prompt."""
        prompt = text_of(body.get("prompt"))
        return said_by_user(prompt, prompt)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The job: its state and how long the video will be."""
        reply = Reader(body)
        status = reply.text("status")
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            finish_reasons=(status,) if status else (),
            finish_reason=normalized(status),
            usage=Usage(detail=splits(video_seconds=_seconds(body.get("seconds")))),
            notes=tuple(reply.notes),
        )

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with the seconds that were asked for, where the answer does not say."""
        if reply.usage.detail or reply.failure:
            return reply
        asked = splits(video_seconds=_seconds(ask.params.get("seconds")))
        return replace(reply, usage=Usage(detail=asked)) if asked else reply


def _seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
