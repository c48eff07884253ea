"""Everything else on a provider's hosts: files, models, batches, images, audio, telemetry ...

Read as far as it costs nothing: the model, the usage of what was posted, and the error.
"""

import re

from ..model import Ask, JsonObject, Kind, Reply, Usage
from ..wire.jsonio import Reader, text_of
from .adapter import Framing, ReplyStream, Route
from .usage import splits, total_of, usage, with_thoughts

# What is done at a path, in the order of asking.
_OPERATIONS = (
    (re.compile(r"/images/(generations|edits|variations)$"), "image"),
    (re.compile(r"/audio/(speech|transcriptions|translations)$"), "audio"),
    (re.compile(r"/(chat/)?(moderations|classifications)$"), "moderation"),
    (re.compile(r"/v1/tokenize$|:computeTokens$"), "count_tokens"),
)
_TELEMETRY = re.compile(
    r"^/api/(event_logging|claude_cli|eval|hello|claude_code)|/analytics/codex/"
)


class Other:
    """`other`: what no dialect claims."""

    dialect = "other"

    def matches(self, route: Route) -> bool:
        """Always true: it stands last."""
        return True

    def operation(self, route: Route) -> str:
        """What the path says, else `other`."""
        if not route.is_post:
            return "other"
        return next((name for path, name in _OPERATIONS if path.search(route.path)), "other")

    def kind(self, route: Route) -> Kind:
        """Administration, unless it is a count or an agent's telemetry."""
        if _TELEMETRY.search(route.path):
            return "telemetry"
        return "count" if self.operation(route) == "count_tokens" else "admin"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Server-sent events, where it streams at all."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model and whether a stream is wanted."""
        return Ask(model=text_of(body.get("model")), streamed=body.get("stream") is True)

    def open_stream(self) -> ReplyStream:
        """A fold that keeps the last model, id, usage and error."""
        return OtherStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Model and usage, where they stand in plain sight."""
        notes: list[str] = []
        # What is merely fetched was counted when it was made.
        spent = _usage(body, notes) if route.is_post else Usage()
        return Reply(
            model=text_of(body.get("model")),
            # A file, a batch or a thread has an id too, but only what was generated has usage.
            response_id=text_of(body.get("id")) if spent.raw else "",
            usage=spent,
            notes=tuple(notes),
        )


class OtherStream:
    """Keeps what the last event that had it said."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._fields: JsonObject = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; nothing here counts as generated content."""
        for value in (event, *(v for v in event.values() if isinstance(v, dict))):
            for key in ("model", "id", "usage", "error"):
                if value.get(key):
                    self._fields[key] = value[key]
        return False

    def done(self) -> None:
        """The stream said `[DONE]`."""
        self.complete = self.usage_is_final = True

    def whole(self) -> JsonObject:
        """What was in plain sight."""
        return dict(self._fields)


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, [], "usage")
    # The interactions of Gemini count thoughts and tool results apart.
    thoughts = counts.count("total_thought_tokens")
    read = total_of(_first(counts, _READ), counts.count("total_tool_use_tokens"))
    written, total = _first(counts, _WRITTEN), counts.count("total_tokens")
    return usage(
        raw,
        notes,
        input_tokens=read,
        output_tokens=with_thoughts(read, written, thoughts, total),
        total_tokens=total,
        cache_read_tokens=counts.count("total_cached_tokens"),
        reasoning_tokens=thoughts,
        detail=splits(
            input_image=counts.object("input_tokens_details").count("image_tokens"),
            output_image=counts.object("output_tokens_details").count("image_tokens"),
            input_audio=counts.object("input_token_details").count("audio_tokens"),
            audio_seconds=counts.number("seconds") or counts.number("prompt_audio_seconds"),
        ),
    )


_READ = ("input_tokens", "prompt_tokens", "total_input_tokens")
_WRITTEN = ("output_tokens", "completion_tokens", "total_output_tokens")


def _first(counts: Reader, names: tuple[str, ...]) -> int | None:
    return next((n for n in map(counts.count, names) if n is not None), None)
