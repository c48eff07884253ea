"""PaLM's methods, from before Gemini: texts, chats, grounded answers, and counts.

Nothing is reported of what they took.  PaLM on Vertex is asked by `:predict`.
"""

import re
from collections.abc import Iterator

from ..model import Ask, JsonObject, Kind, Message, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Route
from .endpoint import Endpoint, said_by_user
from .gemini_content import messages_of
from .gemini_generate import GeminiGenerate
from .params import chosen
from .usage import splits

_GENERATED = GeminiGenerate()
_DOES = {
    "generateText": "text_completion",
    "generateMessage": "chat",
    "generateAnswer": "generate_content",
    "countTextTokens": "count_tokens",
    "countMessageTokens": "count_tokens",
}


class GeminiPalm(Endpoint):
    """`gemini.palm`: `:generateText`, `:generateMessage`, `:generateAnswer` and their counts."""

    dialect = "gemini.palm"
    path = re.compile(
        rf"/(?:models/)?(?P<model>(?:tunedModels/)?[^/:]+):(?P<method>{'|'.join(_DOES)})$"
    )
    params = (
        "temperature",
        "candidateCount",
        "maxOutputTokens",
        "topP",
        "topK",
        "stopSequences",
        "answerStyle",
    )

    def operation(self, route: Route) -> str:
        """What the method does."""
        found = self.path.search(route.path)
        return _DOES[found["method"]] if found else self.does

    def kind(self, route: Route) -> Kind:
        """A count is free and generates nothing."""
        return "count" if self.operation(route) == "count_tokens" else "llm"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model of the path, its prompt and parameters."""
        found = self.path.search(route.path)
        return Ask(
            model=found["model"] if found else "",
            messages=self.read_input(body),
            params=chosen(body, self.params),
        )

    def read_input(self, body: JsonObject) -> tuple[Message, ...]:
        """A text, a conversation, or contents as Gemini has them."""
        prompt = object_of(body.get("prompt"))
        if "contents" in body:
            return tuple(messages_of(None, body["contents"]))
        if "messages" in prompt:
            return tuple(said_in(prompt))
        return said_by_user(text_of(prompt.get("text")), prompt)

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each candidate."""
        reply = Reader(body)
        if self.operation(route) == "count_tokens":
            detail = splits(counted_tokens=reply.count("tokenCount"))
            return Reply(usage=Usage(detail=detail, raw=body), notes=tuple(reply.notes))
        if "answer" in body or "inputFeedback" in body:
            answers = [body["answer"]] if body.get("answer") else []
            told = {"candidates": answers, "promptFeedback": body.get("inputFeedback")}
            return _GENERATED.read_reply(told, route)
        messages = tuple(
            Message("assistant", (TextPart(one.text("output") or one.text("content")),), one.value)
            for one in reply.objects("candidates")
        )
        blocked = [one.text("reason") for one in reply.objects("filters")]
        return Reply(
            messages=messages,
            finish_reason="content_filter" if blocked and not messages else "",
            finish_detail=blocked[0] if blocked else "",
            notes=tuple(reply.notes),
        )


def said_in(prompt: JsonObject) -> Iterator[Message]:
    """The messages of a chat prompt: its context, then what its authors said in turn."""
    context = text_of(prompt.get("context"))
    if context:
        yield Message("system", (TextPart(context),), prompt.get("context"))
    messages = [object_of(one) for one in list_of(prompt.get("messages"))]
    for said in messages:
        # Authors have names of the caller's choice: whoever spoke first is the person.
        is_person = said.get("author") == messages[0].get("author")
        parts = (TextPart(text_of(said.get("content"))),)
        yield Message("user" if is_person else "assistant", parts, said)
