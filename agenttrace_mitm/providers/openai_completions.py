"""OpenAI's legacy text completions, and everybody who still speaks them; edits, older still."""

import re
from collections.abc import Iterator

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
    UnknownPart,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Framing, ReplyStream, Route
from .finish import normalized
from .openai_chat import PARAMS, timed, usage_of
from .params import chosen

_PATH = re.compile(r"(?<!/chat)(?<!/fim)(?<!/agents)/completions$|^/v1/edits$")
_PARAMS = (*PARAMS, "best_of", "echo")


class CompletionStream:
    """Folds `text_completion` chunks into one `text_completion`."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._texts: dict[int, list[str]] = {}
        self._ends: dict[int, Json] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a chunk in; true when it carried generated content."""
        generated = False
        for choice in map(object_of, list_of(event.get("choices"))):
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            text = text_of(choice.get("text"))
            self._texts.setdefault(index, []).append(text)
            if choice.get("finish_reason"):
                self._ends[index] = choice["finish_reason"]
            generated |= bool(text)
        self._head |= {
            key: value
            for key, value in event.items()
            if key != "choices" and value is not None and value != ""
        }
        if event.get("usage"):
            # As in a chat: servers that count along count the whole with or after the end.
            self.usage_is_final = self.has_ended or not event.get("choices")
        return generated

    def done(self) -> None:
        """The stream said `[DONE]`."""
        self.complete = self.usage_is_final = True

    @property
    def has_ended(self) -> bool:
        """True once every choice said why it ended."""
        return bool(self._texts) and self._ends.keys() >= self._texts.keys()

    def whole(self) -> JsonObject:
        """The completion as far as it came."""
        choices = [
            {"index": index, "text": "".join(texts), "finish_reason": self._ends.get(index)}
            for index, texts in sorted(self._texts.items())
        ]
        return {**self._head, "choices": choices}


class OpenAICompletions:
    """`openai.completions`: `POST .../completions`, `POST /v1/edits`."""

    dialect = "openai.completions"

    def matches(self, route: Route) -> bool:
        """True for the bare paths; chat, fim and agents have their own."""
        return route.is_post and _PATH.search(route.path) is not None

    def operation(self, route: Route) -> str:
        """Always a text completion."""
        return "text_completion"

    def kind(self, route: Route) -> Kind:
        """Always a model call."""
        return "llm"

    def framing(self, route: Route, request: JsonObject) -> Framing:
        """Always server-sent events."""
        return "sse"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The prompt as a user's message; of an edit the text and what to do with it."""
        request = Reader(body)
        prompt = body.get("prompt")
        if route.path.endswith("/edits"):
            prompt = [text for text in (body.get("input"), body.get("instruction")) if text]
        parts = tuple(_prompt_parts(prompt))
        raw = {"role": "user", "content": prompt}
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=(Message("user", parts, raw),) if parts else (),
            params=chosen(body, _PARAMS),
            links=Links(end_user=request.text("user")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of chunks."""
        return CompletionStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each choice."""
        reply = Reader(body)
        choices = list(reply.objects("choices"))
        words = tuple(w for w in (choice.text("finish_reason") for choice in choices) if w)
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=tuple(
                Message("assistant", (TextPart(choice.text("text")),), choice.value)
                for choice in choices
            ),
            finish_reasons=words,
            finish_reason=normalized(words[0]) if words else "",
            usage=usage_of(body.get("usage"), reply.notes)
            if body.get("usage")
            else timed(body, reply.notes),
            notes=tuple(reply.notes),
        )


def _prompt_parts(prompt: Json) -> Iterator[Part]:
    """A prompt is a text or several, or their token numbers."""
    if isinstance(prompt, str):
        yield TextPart(prompt)
    elif isinstance(prompt, list) and any(isinstance(item, str) for item in prompt):
        yield from (TextPart(p) if isinstance(p, str) else UnknownPart(p) for p in prompt)
    elif prompt is not None:
        yield UnknownPart(prompt)
