"""Gemini Live: a socket cut into turns, and the turn read as generated content.

A turn ends with `turnComplete`, or with a tool call, whose result begins the next one.  The
socket remembers what was said, so every turn reads the setup and all contents before it.  What a
turn took nearly always comes with its end.  Where it does not, the turn waits for it: usage that
comes in a message of its own begins no turn.
"""

import re

from msgspec.structs import replace

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    Message,
    Part,
    Reply,
    SocketMessage,
    TextPart,
    ToolCallPart,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .gemini_content import parts_of
from .gemini_generate import GeminiGenerate, tier_of
from .turns import Draft, Turn, TurnReader

_PATH = re.compile(r"\.(GenerativeService|LlmBidiService)[./]BidiGenerateContent")
_UPPER = re.compile(r"(?<!^)([A-Z])")
_USAGE_WITHIN_US = 2_000_000
"""So long after its end a turn waits for its usage, until the next message that comes then."""


def live_turns(route: Route) -> TurnReader | None:
    """A reader for sockets of `BidiGenerateContent`."""
    return GeminiLiveTurns() if _PATH.search(route.path) else None


class GeminiLiveTurns:
    """Turns of a Live socket."""

    def __init__(self) -> None:
        self._setup: JsonObject = {}
        self._contents: list[Json] = []
        self._draft: Draft | None = None
        self._uncounted: Turn | None = None

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in the setup, contents, sound and tool results."""
        if setup := _either(event, "setup"):
            self._setup = setup
        if content := _either(event, "clientContent"):
            self._contents += list_of(content.get("turns"))
            self._ask(message)
        if answer := _either(event, "toolResponse"):
            results = list_of(_field(answer, "functionResponses"))
            parts = [{"functionResponse": result} for result in results]
            self._contents.append({"role": "user", "parts": parts})
            self._ask(message)
        words = _either(event, "realtimeInput").get("text")
        if isinstance(words, str) and words:
            self._contents.append({"role": "user", "parts": [{"text": words}]})
            self._ask(message)
        return self._overdue(message)

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in what the model says; a turn ends with its last word or with a tool call."""
        content = object_of(event.get("serverContent"))
        called = isinstance(event.get("toolCall"), dict)
        if not (content or called):
            return self._count(message, event) or self._overdue(message)
        ended = self._released()
        if self._draft is None:
            self._ask(message)
        draft = self._draft
        assert draft
        draft.add(message, event)
        self._hear(content)
        if not called and content.get("turnComplete") is not True:
            return ended
        turn = self._end(draft, complete=True)
        if any(_counts(event) for _, event in turn.events):
            return [*ended, turn]
        self._uncounted = turn
        return ended

    def open_number(self) -> int | None:
        """The first message of the turns that have not been told."""
        turns = (self._uncounted, self._draft)
        return min((turn.number for turn in turns if turn), default=None)

    def close(self) -> list[Turn]:
        """What waited for its usage, and what was asked and not answered to the end."""
        asked = [self._end(self._draft, complete=False)] if self._draft else []
        return [*self._released(), *asked]

    def _count(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """The turn that has ended with the usage in *event*; of one under way it is a part."""
        if not _counts(event):
            return []
        if turn := self._uncounted:
            self._uncounted = None
            return [replace(turn, events=(*turn.events, (turn.ended_us, event)))]
        if self._draft:
            self._draft.add(message, event)
        return []

    def _overdue(self, message: SocketMessage) -> list[Turn]:
        turn = self._uncounted
        late = turn is not None and message.at_us - turn.ended_us > _USAGE_WITHIN_US
        return self._released() if late else []

    def _released(self) -> list[Turn]:
        turn, self._uncounted = self._uncounted, None
        return [turn] if turn else []

    def _ask(self, message: SocketMessage) -> None:
        self._draft = self._draft or Draft(message.number, message.at_us, {})

    def _hear(self, content: JsonObject) -> None:
        """What a person said, as the model heard it, joins the contents."""
        words = text_of(object_of(content.get("inputTranscription")).get("text"))
        if not words:
            return
        last = object_of(self._contents[-1]) if self._contents else {}
        if last.get("heard") is True:
            self._contents[-1] = _spoken(text_of(object_of(last["parts"][0]).get("text")) + words)
        else:
            self._contents.append(_spoken(words))

    def _end(self, draft: Draft, *, complete: bool) -> Turn:
        self._draft = None
        request = {**self._setup, "contents": list(self._contents)}
        stream = GeminiLiveStream()
        for _, event in draft.events:
            stream.add("", event)
        answer = stream.content()
        if answer["parts"]:
            self._contents.append(answer)
        return draft.turn(complete=complete, request=request)


def _counts(event: JsonObject) -> bool:
    return isinstance(event.get("usageMetadata"), dict)


def _spoken(words: str) -> JsonObject:
    return {"role": "user", "parts": [{"text": words}], "heard": True}


def _field(value: JsonObject, name: str) -> Json:
    found = value.get(name)
    return value.get(_UPPER.sub(r"_\1", name).lower()) if found is None else found


def _either(event: JsonObject, name: str) -> JsonObject:
    """A client's member, in camelCase or in snake_case."""
    return object_of(_field(event, name))


class GeminiLiveStream:
    """Folds `BidiGenerateContentServerMessage`s into one turn."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._parts: list[JsonObject] = []
        self._sound = 0
        self._said: list[str] = []
        self._head: JsonObject = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a message in; true when it carried generated content."""
        content = object_of(event.get("serverContent"))
        before = len(self._parts), self._sound, len(self._said)
        for part in map(object_of, list_of(object_of(content.get("modelTurn")).get("parts"))):
            self._add_part(part)
        words = text_of(object_of(content.get("outputTranscription")).get("text"))
        self._said += [words] if words else []
        for call in list_of(object_of(event.get("toolCall")).get("functionCalls")):
            self._parts.append({"functionCall": call})
            self.complete = self.usage_is_final = True
        for key in ("interrupted", "turnCompleteReason"):
            if content.get(key):
                self._head[key] = content[key]
        for key in ("usageMetadata", "error"):
            if isinstance(event.get(key), dict):
                self._head[key] = event[key]
        if content.get("turnComplete") is True:
            self.complete = self.usage_is_final = True
        return (len(self._parts), self._sound, len(self._said)) != before

    def done(self) -> None:
        """Live has no `[DONE]`."""

    def content(self) -> JsonObject:
        """What the model said, as it would stand in a later request."""
        spoken = [{"text": "".join(self._said)}] if self._said else []
        return {"role": "model", "parts": [*self._parts, *spoken]}

    def whole(self) -> JsonObject:
        """The turn as far as it came."""
        return {
            **self._head,
            "parts": self._parts,
            "transcript": "".join(self._said),
            "complete": self.complete,
        }

    def _add_part(self, part: JsonObject) -> None:
        data = object_of(part.get("inlineData"))
        if "data_bytes" in data:
            self._sound += Reader(data, []).count("data_bytes") or 0
            return
        last = self._parts[-1] if self._parts else {}
        text, before = part.get("text"), last.get("text")
        alike = last.get("thought") == part.get("thought")
        if alike and isinstance(text, str) and isinstance(before, str):
            last["text"] = before + text
            return
        self._parts.append(dict(part))


class GeminiLive(GeminiGenerate):
    """`gemini.live`: a turn of `BidiGenerateContent`."""

    dialect = "gemini.live"

    def matches(self, route: Route) -> bool:
        """True for the turns of a Live socket."""
        return bool(route.turn) and _PATH.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """Generating, as over HTTP."""
        return "generate_content"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Turns are kept as lines of JSON."""
        return "ndjson"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Setup and contents of the session."""
        contents = [_plain(object_of(content)) for content in list_of(body.get("contents"))]
        ask = super().read_request({**body, "contents": contents}, route)
        return _streamed(ask)

    def open_stream(self) -> ReplyStream:
        """A fold of server messages."""
        return GeminiLiveStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """Thoughts, words and calls of a turn, and its usage."""
        reply = Reader(body)
        parts: list[Part] = list(parts_of({"parts": body.get("parts")}))
        if transcript := reply.text("transcript"):
            parts.append(TextPart(transcript, "transcript"))
        word = text_of(body.get("turnCompleteReason"))
        return Reply(
            messages=(Message("assistant", tuple(parts), body.get("parts")),) if parts else (),
            finish_reasons=(word,) if word else (),
            finish_reason=_finish(body, tuple(parts)),
            usage=self.read_usage(body, reply.notes),
            service_tier=tier_of(body),
            notes=tuple(reply.notes),
        )


def _plain(content: JsonObject) -> JsonObject:
    return {k: v for k, v in content.items() if k != "heard"}


def _streamed(ask: Ask) -> Ask:
    return replace(ask, model=ask.model.rpartition("models/")[2], streamed=True)


def _finish(body: JsonObject, parts: tuple[Part, ...]) -> str:
    if any(isinstance(part, ToolCallPart) and not part.server for part in parts):
        return "tool_calls"
    if body.get("interrupted") is True:
        return "aborted"  # the person spoke in between
    return "stop" if body.get("complete") is True else ""
