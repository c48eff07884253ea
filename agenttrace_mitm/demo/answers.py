"""What the fake provider says, in each provider's own wire format.

Token counts are a plain function of the text, so that the same request always costs the same.
"""

import json
import secrets
import time
from typing import Any

from .coding import Scripted

FORECAST_ADVICE = (
    "Lisbon will be 24 degrees and sunny on Saturday. Walk up to the Graca viewpoint before "
    "eleven, have lunch in Alfama, and keep a jacket for the wind on the river in the evening."
)
ITINERARY = (
    "Saturday: tram 28 at nine, then on foot through Alfama. Lunch at a tasca near the cathedral. "
    "In the afternoon the tile museum, which is quieter than Belem. Sunday: the early train to "
    "Sintra, back by four."
)
SUMMARY = "Two easy days: Alfama and tiles on Saturday, Sintra by train on Sunday. Pack a jacket."
POSTCARD = "Dear Ada, Lisbon is all light and hills. We took the slow tram. Wish you were here."

type Events = tuple[tuple[str, Any], ...]


def identifier(prefix: str) -> str:
    """A fresh id that looks like the provider's."""
    return f"{prefix}_{secrets.token_hex(12)}"


def tokens(value: Any) -> int:
    """About four characters a token, never zero."""
    text = value if isinstance(value, str) else json.dumps(value)
    return max(1, len(text) // 4)


def _words(text: str) -> list[str]:
    return [f"{word} " for word in text.split(" ")]


def openai_text(body: dict[str, Any], text: str) -> Events:
    """A streamed chat completion that says *text*."""
    id_ = identifier("chatcmpl")
    chunks = [_openai_chunk(id_, body, {"role": "assistant", "content": ""})]
    chunks += [_openai_chunk(id_, body, {"content": word}) for word in _words(text)]
    return _openai_end(id_, body, chunks, "stop", tokens(text))


def openai_tool_call(body: dict[str, Any]) -> Events:
    """A streamed chat completion that asks for the weather."""
    id_ = identifier("chatcmpl")
    first = {"index": 0, "id": identifier("call"), "type": "function"}
    function = {"name": "get_weather", "arguments": ""}
    deltas: list[dict[str, Any]] = [{"tool_calls": [first | {"function": function}]}]
    for piece in ('{"city": "Lis', 'bon", "day": "Sat', 'urday"}'):
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    chunks = [_openai_chunk(id_, body, delta) for delta in deltas]
    return _openai_end(id_, body, chunks, "tool_calls", 18)


def _openai_chunk(id_: str, body: dict[str, Any], delta: dict[str, Any]) -> tuple[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return "", _openai_head(id_, body) | {"choices": [choice]}


def _openai_head(id_: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": f"{body['model']}-2026-04-23",
        "service_tier": "default",
    }


def _openai_end(
    id_: str, body: dict[str, Any], chunks: list[tuple[str, Any]], reason: str, spoken: int
) -> Events:
    finish = {"index": 0, "delta": {}, "finish_reason": reason}
    asked = tokens(body["messages"]) + 180
    cached = 1024 if asked > 1100 else 0
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": spoken,
        "total_tokens": asked + spoken,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    head = _openai_head(id_, body)
    last = [("", head | {"choices": [finish]}), ("", head | {"choices": [], "usage": usage})]
    return (*chunks, *last, ("", "[DONE]"))


def openai_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """One short vector an input."""
    vectors = [
        {"object": "embedding", "index": n, "embedding": [0.01 * n, -0.02, 0.03]}
        for n, _ in enumerate(body["input"])
    ]
    read = tokens(body["input"])
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "model": body["model"], "data": vectors, "usage": usage}


def anthropic_message(body: dict[str, Any], text: str) -> Events:
    """A streamed message that thinks, then says *text*."""
    events = [_anthropic_start(body)]
    events += _anthropic_block(0, "thinking", ["Two days, on foot where possible, one excursion."])
    events += _anthropic_block(1, "text", _words(text))
    spoken = tokens(text) + 12
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    delta = {"type": "message_delta", "delta": stop, "usage": {"output_tokens": spoken}}
    return (*events, ("message_delta", delta), ("message_stop", {"type": "message_stop"}))


def anthropic_overloaded(body: dict[str, Any]) -> Events:
    """A stream that breaks off with an error after the first words, under status 200."""
    error = {"type": "overloaded_error", "message": "Overloaded"}
    words = _anthropic_block(0, "text", ["Let me see"])[:-1]
    return (_anthropic_start(body), *words, ("error", {"type": "error", "error": error}))


def anthropic_scripted(body: dict[str, Any], reply: Scripted) -> Events:
    """A streamed message of a coding agent's model: thoughts, words, calls of tools."""
    blocks: list[tuple[dict[str, Any], str, list[str]]] = []
    if reply.thinks:
        blocks.append(({"type": "thinking", "thinking": ""}, "thinking", _words(reply.thinks)))
    if reply.says:
        blocks.append(({"type": "text", "text": ""}, "text", _words(reply.says)))
    for name, arguments in reply.calls:
        start = {"type": "tool_use", "id": identifier("toolu"), "name": name, "input": {}}
        blocks.append((start, "partial_json", [json.dumps(arguments)]))
    events = [_anthropic_start(body, cached=body["messages"][:-1])]
    for index, (start, field, pieces) in enumerate(blocks):
        kind = "input_json" if field == "partial_json" else field
        deltas = [{"type": f"{kind}_delta", field: piece} for piece in pieces]
        shared = {"index": index}
        events.append(
            ("content_block_start",
             {"type": "content_block_start", "content_block": start} | shared)
        )  # fmt: skip
        events += [
            ("content_block_delta", {"type": "content_block_delta", "delta": delta} | shared)
            for delta in deltas
        ]
        events.append(("content_block_stop", {"type": "content_block_stop"} | shared))
    spoken = sum(tokens("".join(pieces)) for *_, pieces in blocks)
    stop = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    delta = {"type": "message_delta", "delta": stop, "usage": {"output_tokens": spoken}}
    return (*events, ("message_delta", delta), ("message_stop", {"type": "message_stop"}))


def _anthropic_start(body: dict[str, Any], cached: Any = None) -> tuple[str, Any]:
    """The head of a message; the system prompt and *cached* messages came from the cache."""
    known = tokens(cached) if cached else 0
    usage = {
        "input_tokens": max(1, tokens(body["messages"]) - known),
        "cache_read_input_tokens": tokens(body.get("system", "")) + known,
        "cache_creation_input_tokens": 0,
        "output_tokens": 1,
    }
    message = {
        "id": identifier("msg"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "usage": usage,
    }
    return "message_start", {"type": "message_start", "message": message}


def _anthropic_block(index: int, kind: str, pieces: list[str]) -> list[tuple[str, Any]]:
    def event(type_: str, **values: Any) -> tuple[str, Any]:
        return type_, {"type": type_, "index": index, **values}

    start = event("content_block_start", content_block={"type": kind, kind: ""})
    deltas = [
        event("content_block_delta", delta={"type": f"{kind}_delta", kind: piece})
        for piece in pieces
    ]
    return [start, *deltas, event("content_block_stop")]


def gemini_stream(text: str) -> Events:
    """A streamed answer with cumulative usage, thoughts counted apart."""
    words = _words(text)
    id_ = identifier("r")
    events = []
    for n in range(0, len(words), 4):
        last = n + 4 >= len(words)
        part = {"text": "".join(words[n : n + 4])}
        candidate = {"index": 0, "content": {"role": "model", "parts": [part]}}
        spoken = tokens("".join(words[: n + 4]))
        usage = {
            "promptTokenCount": 96,
            "candidatesTokenCount": spoken,
            "thoughtsTokenCount": 40,
            "totalTokenCount": 136 + spoken,
        }
        if last:
            candidate["finishReason"] = "STOP"
        events.append(
            {
                "candidates": [candidate],
                "usageMetadata": usage,
                "modelVersion": "gemini-3.8-flash",
                "responseId": id_,
            }
        )
    return tuple(("", event) for event in events)


def mistral_message(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A whole chat completion."""
    asked, spoken = tokens(body["messages"]), tokens(text)
    message = {"role": "assistant", "content": text, "tool_calls": None}
    return {
        "id": identifier("cmpl"),
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": spoken,
            "total_tokens": asked + spoken,
        },
    }


def cohere_rerank(body: dict[str, Any]) -> dict[str, Any]:
    """Documents in the order they came, with falling scores."""
    results = [
        {"index": n, "relevance_score": round(0.98 / (n + 1), 4)}
        for n, _ in enumerate(body["documents"])
    ]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return {"id": identifier("rr"), "results": results, "meta": meta}
