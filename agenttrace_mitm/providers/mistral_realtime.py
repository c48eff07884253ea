"""Mistral's realtime transcription: sound in, words out, and seconds on the bill.

One turn lasts from the first sound to `transcription.done`, which carries the usage.
"""

from ..model import Ask, JsonObject, Kind, Message, Reply, SocketMessage, TextPart
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .turns import Draft, Turn, TurnReader
from .usage import splits, usage

_PATH = "/audio/transcriptions/realtime"


def transcription_turns(route: Route) -> TurnReader | None:
    """A reader for sockets that transcribe."""
    return MistralTurns(route) if route.path.endswith(_PATH) else None


class MistralTurns:
    """Turns of a transcribing socket."""

    def __init__(self, route: Route) -> None:
        self._request: JsonObject = {"model": route.query.get("model", "")}
        self._draft: Draft | None = None

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in the settings; sound opens a turn."""
        if event.get("type") == "session.update":
            self._request |= object_of(event.get("session"))
        elif event.get("type") == "input_audio.append":
            self._draft = self._draft or Draft(message.number, message.at_us, self._request)
        return []

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in the words as they come."""
        kind = text_of(event.get("type"))
        if kind.startswith("session."):
            told = object_of(event.get("session"))
            self._request |= {k: v for k, v in told.items() if v and k != "client_secret"}
            return []
        if self._draft is None:
            if not kind.startswith("transcription.") and kind != "error":
                return []
            self._draft = Draft(message.number, message.at_us, self._request)
        self._draft.add(message, event)
        if kind not in ("transcription.done", "error"):
            return []
        draft, self._draft = self._draft, None
        return [draft.turn()]

    def open_number(self) -> int | None:
        """None: the sound of a turn under way is not kept, its words are few."""
        return None

    def close(self) -> list[Turn]:
        """What was heard and not written to the end."""
        return [self._draft.turn(complete=False)] if self._draft else []


class MistralRealtime:
    """`mistral.realtime`: one transcription on a socket."""

    dialect = "mistral.realtime"

    def matches(self, route: Route) -> bool:
        """True for the turns of a transcribing socket."""
        return bool(route.turn) and route.path.endswith(_PATH)

    def operation(self, route: Route) -> str:
        """Sound."""
        return "audio"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Turns are kept as lines of JSON."""
        return "ndjson"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model; the sound is not kept."""
        return Ask(model=text_of(body.get("model")), streamed=True)

    def open_stream(self) -> ReplyStream:
        """A fold of transcription events."""
        return TranscriptionStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The words, and how long it took to say them."""
        reply = Reader(body)
        raw = object_of(body.get("usage"))
        counts = Reader(raw, reply.notes, "usage")
        text = reply.text("text")
        message = Message("assistant", (TextPart(text, "transcript"),), text)
        return Reply(
            model=reply.text("model"),
            messages=(message,) if text else (),
            finish_reason="stop" if body.get("done") is True else "",
            usage=usage(
                raw,
                reply.notes,
                input_tokens=counts.count("prompt_tokens"),
                output_tokens=counts.count("completion_tokens"),
                total_tokens=counts.count("total_tokens"),
                detail=splits(audio_seconds=counts.number("prompt_audio_seconds")),
            ),
            notes=tuple(reply.notes),
        )


class TranscriptionStream:
    """Folds `transcription.*` events; the last one has the whole text and the usage."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._pieces: list[str] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        match event.get("type"):
            case "transcription.text.delta":
                piece = text_of(event.get("text"))
                self._pieces.append(piece)
                return bool(piece)
            case "transcription.done":
                self._head |= event | {"done": True}
                self.complete = self.usage_is_final = True
            case "error":
                self._head["error"] = event.get("error") or event
                self.complete = True
            case _:
                pass
        return False

    def done(self) -> None:
        """There is no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The transcription as far as it came."""
        return {**self._head, "text": text_of(self._head.get("text")) or "".join(self._pieces)}
