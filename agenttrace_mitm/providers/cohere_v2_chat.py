"""Cohere chat v2: messages much like OpenAI's, a stream of its own, no model in the answer."""

from ..model import Ask, Json, JsonObject, Kind, Message, Reply
from ..wire.jsonio import Reader, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .chat_content import tool_names
from .cohere_usage import usage_of
from .finish import normalized
from .openai_chat import assistant_parts, messages_of
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
    "logprobs",
    "tool_choice",
    "strict_tools",
    "safety_mode",
    "thinking",
    "reasoning_effort",
    "priority",
)


class CohereV2Stream:
    """Folds v2 events into one chat response."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._content: dict[int, JsonObject] = {}
        self._calls: dict[int, JsonObject] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._plan: list[str] = []
        self._citations: list[Json] = []

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        delta = object_of(event.get("delta"))
        message = object_of(delta.get("message"))
        match event.get("type") or name:
            case "content-start" | "content-delta":
                return self._add_content(_index(event), object_of(message.get("content")))
            case "tool-plan-delta":
                self._plan.append(text_of(message.get("tool_plan")))
                return True
            case "tool-call-start" | "tool-call-delta":
                return self._add_call(_index(event), object_of(message.get("tool_calls")))
            case "citation-start":
                self._citations.append(message.get("citations"))
            case "message-start":
                self._head["id"] = event.get("id")
            case "message-end":
                self._head |= {k: v for k, v in delta.items() if v is not None}
                self.complete = self.usage_is_final = True
            case "":
                self._head |= event
            case _:
                pass
        return False

    def done(self) -> None:
        """Cohere may say `[DONE]` after `message-end`."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        message: JsonObject = {"role": "assistant"}
        if self._plan:
            message["tool_plan"] = "".join(self._plan)
        if self._content:
            message["content"] = [self._block(index) for index in sorted(self._content)]
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        if self._citations:
            message["citations"] = self._citations
        return {**self._head, "message": message}

    def _add_content(self, index: int, content: JsonObject) -> bool:
        block = self._content.setdefault(index, {})
        generated = False
        for key, value in content.items():
            if key in ("text", "thinking") and isinstance(value, str):
                self._pieces.setdefault((index, key), []).append(value)
                generated |= bool(value)
            else:
                block[key] = value
        return generated

    def _add_call(self, index: int, call: JsonObject) -> bool:
        known = self._calls.setdefault(index, {"function": {"arguments": ""}})
        function = object_of(call.get("function"))
        merged = known["function"] | {k: v for k, v in function.items() if k != "arguments"}
        merged["arguments"] = known["function"]["arguments"] + text_of(function.get("arguments"))
        known |= call | {"function": merged}
        return True

    def _block(self, index: int) -> JsonObject:
        block = dict(self._content[index])
        for key in ("text", "thinking"):
            if (index, key) in self._pieces:
                block.setdefault("type", key)
                block[key] = "".join(self._pieces[index, key])
        return block


class CohereV2Chat:
    """`cohere.v2chat`: `POST /v2/chat`."""

    dialect = "cohere.v2chat"

    def matches(self, route: Route) -> bool:
        """True for the path of the second version."""
        return route.is_post and route.provider == "cohere" and route.path.endswith("/v2/chat")

    def operation(self, route: Route) -> str:
        """Always a chat."""
        return "chat"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """Messages, tools and parameters."""
        request = Reader(body)
        params = chosen(body, _PARAMS)
        form = object_of(body.get("response_format")).get("type")
        if isinstance(form, str):
            params["response_format"] = form
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(messages_of(request.list("messages"))),
            tool_names=tool_names(body.get("tools")),
            tools=body.get("tools"),
            params=params,
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of v2 events."""
        return CohereV2Stream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """The message; the model is known from the request alone."""
        reply = Reader(body)
        message = object_of(body.get("message"))
        parts = tuple(assistant_parts(message))
        word = reply.text("finish_reason")
        return Reply(
            response_id=reply.text("id"),
            messages=(Message("assistant", parts, message),) if message else (),
            finish_reasons=(word,) if word else (),
            finish_reason=normalized(word),
            usage=usage_of(body.get("usage"), reply.notes),
            notes=tuple(reply.notes),
        )


def _index(event: JsonObject) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0
