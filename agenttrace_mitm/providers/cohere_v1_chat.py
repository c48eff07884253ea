"""Cohere chat v1 and generate: one `message` beside a history, streamed as JSON lines.

Tool calls have no ids here: results repeat the call they answer.
"""

from collections.abc import Iterator
from typing import Literal

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    Links,
    Message,
    Part,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .chat_content import arguments_of, tool_names
from .cohere_usage import usage_of
from .finish import normalized
from .params import chosen

_PARAMS = (
    "temperature",
    "p",
    "k",
    "seed",
    "max_tokens",
    "stop_sequences",
    "frequency_penalty",
    "presence_penalty",
    "prompt_truncation",
    "citation_quality",
    "force_single_step",
    "safety_mode",
    "num_generations",
    "truncate",
)
_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "chatbot": "assistant",
    "assistant": "assistant",
    "tool": "tool",
}


class CohereV1Stream:
    """Folds v1 events; the last one repeats the whole response."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._texts: list[str] = []
        self._calls: list[Json] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        match event.get("event_type") or name:
            case "text-generation":
                return self._add_text(event)
            case "tool-calls-generation":
                self._calls = list_of(event.get("tool_calls"))
                self._add_text(event)
                return True
            case "tool-calls-chunk":
                return bool(event.get("tool_call_delta") or event.get("text"))
            case "stream-start":
                self._head["generation_id"] = event.get("generation_id")
            case "stream-end":
                self._end(event)
            case "":
                return self._add_plain(event)
            case _:
                pass
        return False

    def done(self) -> None:
        """There is no `[DONE]` here."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        body: JsonObject = {"text": "".join(self._texts)} if self._texts else {}
        if self._calls:
            body["tool_calls"] = self._calls
        return body | self._head

    def _add_text(self, event: JsonObject) -> bool:
        text = text_of(event.get("text"))
        if text:
            self._texts.append(text)
        return bool(text)

    def _add_plain(self, event: JsonObject) -> bool:
        """Generate's events have no type, and its errors no event."""
        generated = self._add_text(event)
        if event.get("is_finished") is True:
            self._end(event)
        elif "text" not in event:
            self._head |= event
        return generated

    def _end(self, event: JsonObject) -> None:
        response = object_of(event.get("response"))
        self._head |= {k: v for k, v in response.items() if v is not None}
        for key in ("finish_reason", "error"):
            if event.get(key) is not None:
                self._head[key] = event[key]
        self.complete = self.usage_is_final = True


class CohereV1Chat:
    """`cohere.v1chat`: `POST /v1/chat`; `cohere.generate` is its older sibling."""

    dialect = "cohere.v1chat"
    paths: tuple[str, ...] = ("/v1/chat", "/chat")

    def matches(self, route: Route) -> bool:
        """True for the first version, with its number or without."""
        return route.is_post and route.provider == "cohere" and route.path in self.paths

    def operation(self, route: Route) -> str:
        """A chat."""
        return "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """JSON lines, unless the client accepts events, which the body then shows."""
        return "ndjson" if request.get("stream") is True else "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Preamble, history, message, tool results."""
        request = Reader(body)
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(_messages(body)),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=chosen(body, _PARAMS),
            links=Links(conversation_id=request.text("conversation_id")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of v1 events."""
        return CohereV1Stream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The answer, whose id is that of the generation."""
        reply = Reader(body)
        word = reply.text("finish_reason")
        parts = tuple(_answer_parts(body))
        raw = {k: body[k] for k in ("text", "tool_calls") if k in body}
        asks_tools = any(isinstance(part, ToolCallPart) for part in parts)
        return Reply(
            response_id=reply.text("generation_id") or reply.text("response_id"),
            messages=(Message("assistant", parts, raw),) if parts else (),
            finish_reasons=(word,) if word else (),
            finish_reason="tool_calls" if asks_tools and word == "COMPLETE" else normalized(word),
            usage=usage_of(body.get("meta"), reply.notes),
            notes=tuple(reply.notes),
        )


class CohereGenerate(CohereV1Chat):
    """`cohere.generate`: `POST /v1/generate`."""

    dialect = "cohere.generate"
    paths = ("/v1/generate", "/generate")

    def operation(self, route: Route) -> str:
        """A text completion."""
        return "text_completion"

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each generation."""
        reply = Reader(body)
        generations = list(reply.objects("generations"))
        words = tuple(w for w in (one.text("finish_reason") for one in generations) if w)
        return Reply(
            response_id=reply.text("id"),
            messages=tuple(
                Message("assistant", (TextPart(one.text("text")),), one.value)
                for one in generations
            ),
            finish_reasons=words,
            finish_reason=normalized(words[0]) if words else "",
            usage=usage_of(body.get("meta"), reply.notes),
            notes=tuple(reply.notes),
        )


def _messages(body: JsonObject) -> Iterator[Message]:
    preamble = text_of(body.get("preamble"))
    if preamble:
        raw = {"role": "SYSTEM", "message": preamble}
        yield Message("system", (TextPart(preamble),), raw)
    for turn in map(object_of, list_of(body.get("chat_history"))):
        role = _ROLES.get(text_of(turn.get("role")).lower(), "user")
        yield Message(role, tuple(_turn_parts(turn)), turn)
    message = text_of(body.get("message")) or text_of(body.get("prompt"))
    if message:
        yield Message("user", (TextPart(message),), {"role": "USER", "message": message})
    results = tuple(_results(body.get("tool_results")))
    if results:
        yield Message("tool", results, {"role": "TOOL", "tool_results": body["tool_results"]})


def _turn_parts(turn: JsonObject) -> Iterator[Part]:
    text = text_of(turn.get("message"))
    if text:
        yield TextPart(text)
    yield from _calls(turn.get("tool_calls"))
    yield from _results(turn.get("tool_results"))


def _answer_parts(body: JsonObject) -> Iterator[Part]:
    text = text_of(body.get("text"))
    if text:
        yield TextPart(text)
    yield from _calls(body.get("tool_calls"))


def _calls(calls: Json) -> Iterator[ToolCallPart]:
    for call in map(object_of, list_of(calls)):
        yield ToolCallPart("", text_of(call.get("name")), arguments_of(call.get("parameters")))


def _results(results: Json) -> Iterator[ToolResultPart]:
    for result in map(object_of, list_of(results)):
        call = object_of(result.get("call"))
        yield ToolResultPart("", result.get("outputs"), text_of(call.get("name")))
