"""Speech made and speech read: OpenAI, Mistral and Cohere, in one family of shapes.

Transcriptions are asked for with a form and answered with JSON, plain text, subtitles or events;
their usage counts tokens or seconds.  Speech is answered with sound, as bytes, base64 or events;
where nothing is reported, the characters that were spoken are counted.
"""

import contextlib
import hashlib
import re

from msgspec.structs import replace

from ..model import Ask, JsonObject, MediaPart, Message, Part, Reply, TextPart, Usage
from ..wire.jsonio import Reader, object_of, text_of
from . import media
from .adapter import ReplyStream, Route
from .endpoint import Endpoint, LastEvent, answered, said_by_user
from .usage import splits, stated, usage


class OpenAITranscriptions(Endpoint):
    """`openai.audio`: `POST /v1/audio/transcriptions` and `/translations`."""

    dialect = "openai.audio"
    path = re.compile(r"/audio/(transcriptions|translations)$")
    does = "audio"
    params = (
        "language",
        "response_format",
        "temperature",
        "timestamp_granularities",
        "chunking_strategy",
        "include",
        "diarize",
        "prompt",
    )

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The recording, described."""
        file = object_of(body.get("file"))
        uri = text_of(body.get("file_url")) or text_of(body.get("file_id"))
        if not file and not uri:
            return ()
        size = file.get("size")
        part = MediaPart(
            "audio",
            text_of(file.get("content_type")),
            size if isinstance(size, int) else None,
            text_of(file.get("sha256")),
            uri,
        )
        return (Message("user", (part,), file or uri),)

    def open_stream(self) -> ReplyStream:
        """Pieces of the text, then all of it."""
        return TranscriptStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The words that were heard, and what they took."""
        reply = Reader(body)
        return Reply(
            model=reply.text("model"),
            messages=answered(reply.text("text"), {"text": body.get("text")}),
            usage=_heard(body, reply.notes),
            notes=tuple(reply.notes),
        )

    def read_content(self, data: bytes, content_type: str) -> Reply:
        """Plain text or subtitles, as `response_format` may ask for."""
        words = data.decode("utf-8", "replace")
        return Reply(messages=answered(words.removesuffix("\n"), words))


class MistralTranscriptions(OpenAITranscriptions):
    """`mistral.audio`: the prompt's tokens leave the sound out; seconds stand beside them."""

    dialect = "mistral.audio"
    providers = ("mistral",)


class CohereTranscriptions(OpenAITranscriptions):
    """`cohere.audio`: answers with the text alone."""

    dialect = "cohere.audio"
    providers = ("cohere",)


class TranscriptStream(LastEvent):
    """Folds `transcript.*` (OpenAI) and `transcription.*` (Mistral) events."""

    def __init__(self) -> None:
        super().__init__(lambda kind: kind.endswith((".done", ".error")))
        self._pieces: list[str] = []
        self._segments: list[str] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried words."""
        super().add(name, event)
        kind = text_of(event.get("type")) or name
        if kind.endswith(".segment"):
            self._segments.append(text_of(event.get("text")))
            return True
        if kind.endswith("text.delta"):
            self._pieces.append(text_of(event.get("delta")) or text_of(event.get("text")))
            return True
        return False

    def whole(self) -> JsonObject:
        """The last event; before it, the words so far."""
        last = super().whole()
        if "text" not in last:
            # Segments begin with a space, the whole text does not.
            last["text"] = "".join(self._pieces or self._segments).lstrip()
        return last


class OpenAISpeech(Endpoint):
    """`openai.audio`: `POST /v1/audio/speech`."""

    dialect = "openai.audio"
    path = re.compile(r"/audio/speech$")
    does = "audio"
    params = ("voice", "voice_id", "response_format", "speed", "stream_format")

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The text to speak."""
        text = text_of(body.get("input"))
        return said_by_user(text, text)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Usage, and sound where it is spelled out."""
        reply = Reader(body)
        sound: tuple[Part, ...] = ()
        if body.get("audio_data"):
            sound = (media.from_base64("audio", "", body.get("audio_data")),)
        return Reply(
            model=reply.text("model"),
            messages=(Message("assistant", sound),) if sound else (),
            usage=_heard(body, reply.notes),
            notes=tuple(reply.notes),
        )

    def read_content(self, data: bytes, content_type: str) -> Reply:
        """The sound itself, described."""
        digest = hashlib.sha256(data).hexdigest()
        sound = MediaPart("audio", content_type.partition(";")[0].strip(), len(data), digest)
        return Reply(messages=(Message("assistant", (sound,)),))

    def metered(self, ask: Ask, reply: Reply) -> Reply:
        """*reply* with the characters that were spoken, where the provider counts nothing."""
        spoken = sum(len(p.text) for m in ask.messages for p in m.parts if isinstance(p, TextPart))
        if reply.usage.raw or reply.failure or not spoken:
            return reply
        counted = Usage(detail=splits(characters=spoken), source="estimated")
        return replace(reply, usage=counted)


class MistralSpeech(OpenAISpeech):
    """`mistral.audio`: answers with base64, or with events that end with the usage."""

    dialect = "mistral.audio"
    providers = ("mistral",)


def _seconds(body: JsonObject, notes: list[str]) -> int | float | None:
    """How long the recording is, by Whisper's `verbose_json`: it is paid by the second.

    The reference has it as a string, servers answer with a number.
    """
    if isinstance(said := body.get("duration"), str):
        with contextlib.suppress(ValueError):
            body = {"duration": float(said)}
    return Reader(body, notes).number("duration")


def _heard(body: JsonObject, notes: list[str]) -> Usage:
    raw = body.get("usage")
    if not isinstance(raw, dict):
        seconds = _seconds(body, notes)
        if seconds is None:
            return Usage()
        detail = stated(audio_seconds=seconds)
        return Usage(detail=detail, raw={"duration": seconds}, source="reported")
    counts = Reader(raw, notes, "usage")
    read = counts.object("input_token_details")
    cached = counts.count("prompt_tokens_details", "cached_tokens")
    given, made = counts.count("input_tokens"), counts.count("output_tokens")
    return usage(
        raw,
        notes,
        input_tokens=counts.count("prompt_tokens") if given is None else given,
        output_tokens=counts.count("completion_tokens") if made is None else made,
        total_tokens=counts.count("total_tokens"),
        cache_read_tokens=cached,
        detail=splits(
            input_text=read.count("text_tokens"),
            input_audio=read.count("audio_tokens"),
            audio_seconds=counts.number("prompt_audio_seconds"),
        )
        | stated(audio_seconds=counts.number("seconds")),
    )
