"""OpenAI Realtime: one response of a session, as its turn reader put it together.

The request is the session's settings with the conversation as `input`.  Sound is a part of its
own without bytes; what was said in it is its transcript.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ..model import (
    Ask,
    Failure,
    Json,
    JsonObject,
    Kind,
    MediaPart,
    Message,
    Part,
    Reply,
    TextPart,
    Usage,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import responses_items
from .adapter import Framing, ReplyStream, Route
from .chat_content import parts_of, tool_names
from .params import chosen
from .realtime_stream import RealtimeStream
from .usage import cached_parts, cached_splits, splits, usage

_PARAMS = (
    "temperature",
    "max_output_tokens",
    "max_response_output_tokens",
    "modalities",
    "output_modalities",
    "tool_choice",
    "voice",
    "speed",
    "reasoning",
)
_SOUND = ("input_audio", "output_audio", "audio")


class OpenAIRealtime:
    """`openai.realtime`: a turn on a socket at `/realtime`."""

    dialect = "openai.realtime"

    def matches(self, route: Route) -> bool:
        """True for the turns of a Realtime socket, whoever's it is."""
        return bool(route.turn) and route.path.endswith("/realtime")

    def operation(self, route: Route) -> str:
        """A chat, or the transcription of what was said."""
        return "audio" if route.turn == "transcription" else "chat"

    def kind(self, route: Route) -> Kind:
        """A transcription is billed, but no turn of the conversation."""
        return "auxiliary" if route.turn == "transcription" else "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Turns are kept as lines of JSON."""
        return "ndjson"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Settings and conversation of the session."""
        request = Reader(body)
        return Ask(
            model=request.text("model"),
            streamed=True,
            messages=tuple(_messages(body)),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=chosen(body, _PARAMS),
            metadata=object_of(body.get("metadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of realtime events."""
        return RealtimeStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The response's items, status and usage."""
        if isinstance(body.get("heard"), dict):
            return _heard(body["heard"])
        reply = Reader(body)
        output = [object_of(item) for item in reply.list("output")]
        parts = tuple(part for item in output for part in _parts(item))
        status, details = reply.text("status"), object_of(body.get("status_details"))
        detail = text_of(details.get("reason"))
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, output),) if parts else (),
            finish_reasons=(status,) if status else (),
            finish_reason=responses_items.finish_of(status, detail, parts),
            finish_detail=detail,
            usage=_usage(body.get("usage"), reply.notes),
            failure=_failure(details.get("error") or body.get("error")),
            notes=tuple(reply.notes),
        )


def _messages(body: JsonObject) -> Iterator[Message]:
    if body.get("instructions"):
        yield from responses_items.messages_of(body["instructions"], None)
    for item in list_of(body.get("input")):
        for message in responses_items.messages_of(None, [item]):
            yield replace(message, parts=tuple(_parts(object_of(item))))


def _parts(item: JsonObject) -> Iterator[Part]:
    if text_of(item.get("type")) != "message":
        yield from responses_items.output_parts([item])
        return
    for block in list_of(item.get("content")):
        fields = object_of(block)
        if fields.get("type") in _SOUND:
            yield MediaPart("audio", size=Reader(fields, []).count("audio_bytes"))
            if transcript := text_of(fields.get("transcript")):
                yield TextPart(transcript, "transcript")
        else:
            yield from parts_of([block])


def _heard(event: JsonObject) -> Reply:
    """What was transcribed, and what that took."""
    reply = Reader(event)
    raw = object_of(event.get("usage"))
    counts = Reader(raw, reply.notes, "usage")
    part = TextPart(reply.text("transcript"), "transcript")
    spent = usage(
        raw,
        reply.notes,
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        total_tokens=counts.count("total_tokens"),
        detail=splits(
            audio_seconds=counts.number("seconds"),
            input_audio=counts.count("input_token_details", "audio_tokens"),
        ),
    )
    return Reply(
        messages=(Message("assistant", (part,), event),), finish_reason="stop", usage=spent
    )


def _failure(error: Json) -> Failure | None:
    if not isinstance(error, dict):
        return None
    return Failure(*(text_of(error.get(name)) for name in ("type", "code", "message")))


def _usage(raw: Json, notes: list[str]) -> Usage:
    """Counts that include what was cached; sound, image and text are told apart."""
    if not isinstance(raw, dict) or not raw:
        return Usage()
    counts = Reader(raw, notes, "usage")
    read, written = counts.object("input_token_details"), counts.object("output_token_details")
    cached = read.count("cached_tokens")
    detail = splits(
        input_audio=read.count("audio_tokens"),
        input_image=read.count("image_tokens"),
        output_audio=written.count("audio_tokens"),
    )
    return usage(
        raw,
        notes,
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=cached,
        reasoning_tokens=written.count("reasoning_tokens"),
        detail=detail | cached_splits(cached, cached_parts(read), detail),
    )
