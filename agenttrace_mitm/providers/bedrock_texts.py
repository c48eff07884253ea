"""Bedrock's text models, each with names of its own: Titan, Llama, Mistral, Cohere, AI21, DeepSeek.

They take one prompt and answer with one text, or with a list of them.  Streams repeat the same
names, a piece of text at a time.
"""

from collections.abc import Iterator

from ..model import Ask, Json, JsonObject, Message, Reply, TextPart, Usage
from ..wire.jsonio import Reader, list_of, object_of, text_of
from .adapter import Route
from .endpoint import said_by_user
from .finish import normalized
from .openai_chat import usage_of as chat_usage_of
from .params import chosen
from .usage import splits, total_of, usage

_PARAMS = (
    "temperature",
    "top_p",
    "topP",
    "p",
    "top_k",
    "topK",
    "k",
    "max_gen_len",
    "max_tokens",
    "maxTokens",
    "maxTokenCount",
    "stop",
    "stop_sequences",
    "stopSequences",
    "num_generations",
    "numResults",
)
# Titan, Mistral, Cohere, AI21, DeepSeek; Llama answers with its one text at the top.
_LISTS = ("results", "outputs", "generations", "completions", "choices")
_TEXTS = ("outputText", "generation", "text")
_ENDS = ("completionReason", "stop_reason", "finish_reason", "finishReason")
_READ = ("inputTextTokenCount", "prompt_token_count")
_WRITTEN = ("generation_token_count", "totalOutputTextTokenCount")
_HEAD = (*_READ, *_WRITTEN, "id", "model", "usage")


class BedrockTexts:
    """What such a model was asked, and what it answered."""

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The prompt, as one user's message."""
        request = Reader(body)
        prompt = request.text("prompt") or request.text("inputText")
        settings = object_of(body.get("textGenerationConfig")) or body
        return Ask(
            messages=said_by_user(prompt, {"role": "user", "content": prompt}),
            params=chosen(settings, _PARAMS),
            notes=tuple(request.notes),
        )

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each text.  Vectors, ranks and images are none, but may be counted."""
        reply = Reader(body)
        texts = [(text, one) for one in _answers(body) if (text := _text(one)) is not None]
        words = tuple(word for _, one in texts if (word := _end(one)))
        return Reply(
            model=text_of(body.get("model")),
            response_id=text_of(body.get("id")),  # AI21's is a number
            messages=tuple(Message("assistant", (TextPart(text),), one) for text, one in texts),
            finish_reasons=words,
            finish_reason=normalized(words[0]) if words else "",
            usage=_usage(body, reply.notes),
            operation=_other_than_text(body),
            notes=tuple(reply.notes),
        )


def _other_than_text(body: JsonObject) -> str:
    """What was done where the answer is no text: behind an ARN nothing else tells it."""
    if "embedding" in body or "embeddings" in body:
        return "embeddings"
    if _images(body):
        return "image"
    ranks = any("relevance_score" in object_of(one) for one in list_of(body.get("results")))
    return "rerank" if ranks else ""


def _images(body: JsonObject) -> int:
    """How many images an answer of Titan, Nova or Stability has, or of the older Stability."""
    return len(list_of(body.get("images")) or list_of(body.get("artifacts")))


def _answers(body: JsonObject) -> list[JsonObject]:
    listed = next((body[name] for name in _LISTS if isinstance(body.get(name), list)), [body])
    return [object_of(one) for one in list_of(listed)]


def _text(answer: JsonObject) -> str | None:
    """The words of an answer; None when it is no text."""
    values = [answer.get(name) for name in _TEXTS]
    values.append(object_of(answer.get("data")).get("text"))  # AI21
    return next((value for value in values if isinstance(value, str)), None)


def _end(answer: JsonObject) -> str:
    """Why an answer ended, in the model's own word; AI21 wraps it in an object."""
    said = next((answer[name] for name in _ENDS if answer.get(name)), None)
    return text_of(said.get("reason") if isinstance(said, dict) else said)


def _usage(body: JsonObject, notes: list[str]) -> Usage:
    if isinstance(body.get("usage"), dict):
        return chat_usage_of(body["usage"], notes)
    counts = Reader(body, notes)
    raw: JsonObject = {k: body[k] for k in (*_READ, *_WRITTEN) if body.get(k) is not None}
    each = [one.get("tokenCount") for one in _answers(body)]
    if all(count is not None for count in each):  # Titan counts each of its results
        raw["results"] = [{"tokenCount": count} for count in each]
    told = [Reader({"tokenCount": count}, notes).count("tokenCount") for count in each]
    return usage(
        raw,
        notes,
        input_tokens=_first(counts, _READ),
        output_tokens=total_of(*told) if None not in told else _first(counts, _WRITTEN),
        detail=splits(output_images=_images(body)),
    )


def _first(counts: Reader, names: tuple[str, ...]) -> int | None:
    return next((n for name in names if (n := counts.count(name)) is not None), None)


class TextStream:
    """Folds the events of such a model into `generations`, as far as they came."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._texts: dict[int, list[str]] = {}
        self._ends: dict[int, str] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        generated = False
        for index, answer in _numbered(event):
            if text := _text(answer):
                self._texts.setdefault(index, []).append(text)
                generated = True
            if word := _end(answer):
                self._ends[index] = word
        # Counts go along; null in an event takes back none of them.
        self._head |= {key: event[key] for key in _HEAD if event.get(key) is not None}
        ended = bool(self._ends) and self._ends.keys() >= self._texts.keys()
        self.complete = self.usage_is_final = ended
        return generated

    def done(self) -> None:
        """There is no `[DONE]`."""

    def whole(self) -> JsonObject:
        """The texts as far as they came."""
        generations: list[Json] = [
            {"text": "".join(self._texts.get(index, ())), "finish_reason": self._ends.get(index)}
            for index in sorted(self._texts.keys() | self._ends.keys())
        ]
        return {**self._head, "generations": generations}


def _numbered(event: JsonObject) -> Iterator[tuple[int, JsonObject]]:
    for position, answer in enumerate(_answers(event)):
        index = Reader(answer, []).count("index")
        yield position if index is None else index, answer
