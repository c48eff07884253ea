"""Ollama's own API: chat, generating, embedding.

It streams NDJSON unless told not to; the last object, `done`, has the counts.  Tool calls carry
their arguments as objects.  What comes through `/v1` is read as OpenAI's.
"""

import re

from ..model import Ask, Json, JsonObject, Message, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .endpoint import Endpoint
from .finish import normalized
from .openai_chat import assistant_parts, messages_of
from .usage import splits, usage


class _Ollama(Endpoint):
    """What the three have in common."""

    providers = ("ollama",)

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """NDJSON unless the request says otherwise."""
        return "sse" if request.get("stream") is False else "ndjson"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Model, options and what was put in."""
        request = Reader(body)
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is not False,
            messages=self.read_input(body),
            tools=body.get("tools"),
            tool_names=tuple(
                text_of(object_of(object_of(tool).get("function")).get("name"))
                for tool in list_of(body.get("tools"))
            ),
            params=dict(object_of(body.get("options"))),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of NDJSON lines."""
        return OllamaStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The message, why it ended, and the counts."""
        reply = Reader(body)
        reason = reply.text("done_reason")
        message = _answer(body)
        return Reply(
            model=reply.text("model"),
            messages=(message,) if message else (),
            finish_reasons=(reason,) if reason else (),
            finish_reason="tool_calls" if _calls(body) else normalized(reason),
            usage=_usage(body, reply.notes),
            notes=tuple(reply.notes),
        )


class OllamaChat(_Ollama):
    """`ollama.chat`: `POST /api/chat`."""

    dialect = "ollama.chat"
    path = re.compile(r"/api/chat$")
    does = "chat"

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """The messages, in OpenAI's shape but for pictures."""
        return tuple(messages_of(list_of(body.get("messages"))))


class OllamaGenerate(_Ollama):
    """`ollama.generate`: `POST /api/generate`."""

    dialect = "ollama.generate"
    path = re.compile(r"/api/generate$")
    does = "text_completion"

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """System prompt and prompt."""
        given = (("system", body.get("system")), ("user", body.get("prompt")))
        return tuple(
            Message("system" if role == "system" else "user", (TextPart(text),), {role: text})
            for role, text in given
            if isinstance(text, str) and text
        )


class OllamaEmbed(_Ollama):
    """`ollama.embed`: `POST /api/embed`, and the older `/api/embeddings`."""

    dialect = "ollama.embed"
    path = re.compile(r"/api/embed(dings)?$")
    does = "embeddings"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Never streamed."""
        return "sse"


class OllamaStream:
    """Folds NDJSON lines: words and thoughts add up, the last line has the rest."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._message: JsonObject = {}
        self._pieces: dict[str, list[str]] = {}
        self._calls: list[Json] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a line in; true when it carried generated content."""
        message = object_of(event.get("message"))
        self._head |= {k: v for k, v in event.items() if k not in ("message", *_WORDS)}
        self._message |= {k: v for k, v in message.items() if k not in (*_WORDS, "tool_calls")}
        self._calls += list_of(message.get("tool_calls"))
        generated = bool(message.get("tool_calls"))
        for source in (event, message):
            for key in _WORDS:
                if piece := text_of(source.get(key)):
                    self._pieces.setdefault(key, []).append(piece)
                    generated = True
        if event.get("done") is True:
            self.complete = self.usage_is_final = True
        return generated

    def done(self) -> None:
        """There is no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The answer as far as it came."""
        words = {key: "".join(pieces) for key, pieces in self._pieces.items()}
        if "response" in words or not (words or self._message or self._calls):
            return {**self._head, **words}
        message = {**self._message, **words}
        if self._calls:
            message["tool_calls"] = self._calls
        return {**self._head, "message": message}


_WORDS = ("content", "thinking", "response")


def _answer(body: JsonObject) -> Message | None:
    message = object_of(body.get("message"))
    if not message and "response" in body:
        message = {"content": body.get("response"), "thinking": body.get("thinking")}
    if not message:
        return None
    shaped = message | {"reasoning": message.get("thinking")}
    return Message("assistant", tuple(assistant_parts(shaped)), message)


def _calls(body: JsonObject) -> list[Json]:
    return list_of(object_of(body.get("message")).get("tool_calls"))


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    counts = Reader(body, notes)
    names = ("prompt_eval_count", "eval_count")
    raw = {name: body[name] for name in (*names, *_TIMES) if body.get(name) is not None}
    if not any(name in raw for name in names):
        return Usage()
    return usage(
        raw,
        notes,
        input_tokens=counts.count("prompt_eval_count"),
        output_tokens=counts.count("eval_count"),
        detail=splits(),
    )


_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
