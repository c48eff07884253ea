"""OpenAI chat completions, and everybody who speaks them.

Gemini's `/v1beta/openai/` and Cohere's `/compatibility/` come here; Mistral's chat is a small
delta in a file of its own.  `chat_stream` folds streams into the completion read here.
"""

import re
from collections.abc import Iterable

from ..model import (
    Ask,
    Json,
    JsonObject,
    Kind,
    Links,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Reply,
    TextPart,
    ToolResultPart,
    Usage,
)
from ..wire.jsonio import Reader, list_of, object_of, text_of
from . import tool_results
from .adapter import Framing, ReplyStream, Route
from .chat_content import parts_of, role_of, tool_calls_of, tool_names
from .chat_stream import ChatStream, spent_in
from .finish import normalized
from .params import chosen
from .usage import server_tools, splits, total_of, usage

_PATH = re.compile(r"/chat/completions$")
PARAMS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stop",
    "seed",
    "random_seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "service_tier",
    "store",
    "parallel_tool_calls",
    "tool_choice",
    "stream_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safe_prompt",
    "prompt_mode",
)


class OpenAIChat:
    """`openai.chat`: `POST .../chat/completions`."""

    dialect = "openai.chat"

    def matches(self, route: Route) -> bool:
        """True for the path that ends every compatible endpoint."""
        return route.is_post and _PATH.search(route.path) is not None

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
        """Messages, tools, parameters and identity of a chat request."""
        request = Reader(body)
        return Ask(
            model=request.text("model"),
            streamed=body.get("stream") is True,
            messages=tuple(messages_of(request.list("messages"))),
            tool_names=tool_names(body.get("tools")) or _functions(body.get("functions")),
            tools=body.get("tools") or body.get("functions"),
            params=chat_params(body),
            links=Links(
                end_user=request.text("safety_identifier") or request.text("user"),
            ),
            metadata=object_of(body.get("metadata")),
            notes=tuple(request.notes),
        )

    def open_stream(self) -> ReplyStream:
        """A fold of chunks."""
        return ChatStream()

    def read_reply(self, body: JsonObject, route: Route) -> Reply:
        """One message for each choice."""
        reply = Reader(body)
        choices = list(reply.objects("choices"))
        words = tuple(w for w in (choice.text("finish_reason") for choice in choices) if w)
        messages = tuple(_answer(choice.get("message")) for choice in choices)
        return Reply(
            model=reply.text("model"),
            response_id=reply.text("id"),
            messages=messages,
            finish_reasons=words,
            finish_reason=_finish(words, messages),
            usage=self.read_usage(body, reply.notes),
            service_tier=self.read_tier(body),
            notes=tuple(reply.notes),
        )

    def read_usage(self, body: JsonObject, notes: list[str]) -> Usage:
        """What the completion cost, all choices together."""
        spent = spent_in(body)
        return usage_of(spent, notes) if spent else timed(body, notes)

    def read_tier(self, body: JsonObject) -> str:
        """The tier as served."""
        return text_of(body.get("service_tier"))


class GeminiChat(OpenAIChat):
    """`openai.chat` as Google speaks it.

    Gemini's own host tells of thoughts by the total alone: 9 + 3 tokens are 105, without any
    `reasoning_tokens` (seen 2025-06).  Vertex names them.
    """

    def matches(self, route: Route) -> bool:
        """True for this path at Google."""
        return route.provider == "google" and super().matches(route)

    def read_usage(self, body: JsonObject, notes: list[str]) -> Usage:
        """Chat usage with the thoughts that the total tells of."""
        return usage_of(spent_in(body), notes, total_has_thoughts=True)


def messages_of(values: Iterable[Json]) -> Iterable[Message]:
    """The messages of a chat request, in the shared words."""
    for value in values:
        if not isinstance(value, dict):
            yield Message("user", tuple(parts_of([value])), value)
            continue
        role = role_of(value.get("role"))
        match role:
            case "tool":
                yield Message("tool", (_tool_result(value),), value)
            case "assistant":
                yield Message("assistant", tuple(assistant_parts(value)), value)
            case _:
                yield Message(role, tuple(parts_of(value.get("content"))), value)


def _tool_result(message: JsonObject) -> ToolResultPart:
    return ToolResultPart(
        text_of(message.get("tool_call_id")),
        tool_results.content_of(message.get("content"), parts_of),
        text_of(message.get("name")),
    )


def assistant_parts(message: JsonObject) -> Iterable[Part]:
    """Thoughts, words and calls of an assistant message, asked or answered."""
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought:
        yield ReasoningPart(thought)
    plan = message.get("tool_plan")
    if isinstance(plan, str) and plan:
        yield TextPart(plan, "tool_plan")
    yield from parts_of(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield TextPart(refusal, "refusal")
    audio = message.get("audio")
    if isinstance(audio, dict):
        yield from _spoken(audio)
    yield from tool_calls_of(message)


def _spoken(audio: JsonObject) -> Iterable[Part]:
    # Only its id comes back in the next request: it stands for the sound in both.
    yield MediaPart("audio", uri=text_of(audio.get("id")))
    transcript = text_of(audio.get("transcript"))
    if transcript:
        yield TextPart(transcript, "transcript")


def _answer(message: Json) -> Message:
    return Message("assistant", tuple(assistant_parts(object_of(message))), message)


def _finish(words: tuple[str, ...], messages: tuple[Message, ...]) -> str:
    first = messages[0].parts if messages else ()
    if any(isinstance(part, TextPart) and part.kind == "refusal" for part in first):
        return "content_filter"
    return normalized(words[0]) if words else ""


def chat_params(body: JsonObject) -> dict[str, Json]:
    """Sampling and control parameters of a chat request."""
    params = chosen(body, PARAMS)
    form = object_of(body.get("response_format")).get("type")
    if isinstance(form, str):
        params["response_format"] = form
    return params


def _functions(functions: Json) -> tuple[str, ...]:
    names = (text_of(object_of(function).get("name")) for function in list_of(functions))
    return tuple(filter(None, names))


def timed(body: JsonObject, notes: list[str]) -> Usage:
    """The counts in llama.cpp's `timings`, for an answer without usage.

    `prompt_n` leaves out what was cached; servers before 2025-09 do not say how much that was.
    """
    raw = body.get("timings")
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "timings")
    read, cached = counts.count("prompt_n"), counts.count("cache_n")
    return usage(
        raw,
        notes,
        input_tokens=None if None in (read, cached) else total_of(read, cached),
        output_tokens=counts.count("predicted_n"),
        cache_read_tokens=cached,
    )


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens")


def usage_of(raw: Json, notes: list[str], *, total_has_thoughts: bool = False) -> Usage:
    """Chat usage: counts that include what was cached and what was thought.

    *total_has_thoughts* where what was thought is in the total and nowhere else.
    """
    if not isinstance(raw, dict):
        return Usage()
    counts = Reader(raw, notes, "usage")
    read = counts.object("prompt_tokens_details")
    written = counts.object("completion_tokens_details")
    asked, total = counts.count("prompt_tokens"), counts.count("total_tokens")
    answered, thought = counts.count("completion_tokens"), written.count("reasoning_tokens")
    # Perplexity names them beside the counts, and has more of them than the answer has tokens.
    beside = counts.count("reasoning_tokens") if thought is None else None
    if beside is not None:
        thought = beside
    # xAI counts thoughts apart; the total tells.
    if thought and (total == total_of(asked, answered, thought) or (beside or 0) > (answered or 0)):
        answered = total_of(answered, thought)
    if total_has_thoughts and thought is None and asked is not None and total is not None:
        beyond = total - asked - (answered or 0)
        if beyond > 0:
            thought, answered = beyond, total - asked
            notes.append("derived:reasoning_tokens")
    cached = read.count("cached_tokens")
    return usage(
        raw,
        notes,
        input_tokens=asked,
        output_tokens=answered,
        total_tokens=total,
        # DeepSeek and Moonshot have names of their own for it.
        cache_read_tokens=next(
            (n for n in (cached, *map(counts.count, _CACHED)) if n is not None), None
        ),
        cache_write_tokens=read.count("cache_write_tokens"),
        reasoning_tokens=thought,
        detail=splits(
            input_audio=read.count("audio_tokens"),
            input_image=read.count("image_tokens"),
            output_audio=written.count("audio_tokens"),
            server_tools=server_tools(counts),
            prediction_accepted=written.count("accepted_prediction_tokens"),
            prediction_rejected=written.count("rejected_prediction_tokens"),
        ),
    )
