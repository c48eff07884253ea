"""What the providers answer in the end-to-end tests: whole replies and the same as streams.

Written by hand after the providers' formats; every reply has text, a tool call and usage with a
subset (cached or reasoning tokens), so that a wrong sum shows.
"""

import json
from typing import Any

ARGUMENTS = {"city": "Lisbon", "unit": "°C"}
CALL = json.dumps(ARGUMENTS, ensure_ascii=False)
TEXT = "Let me look. Olá! ☀"
PIECES = ["Let me ", "look. ", "Olá! ", "☀"]


def sse(*events: tuple[str, Any], newline: str = "\n") -> list[bytes]:
    """Server-sent events, one piece of the body each."""
    return [_event(name, data, newline) for name, data in events]


def _event(name: str, data: Any, newline: str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {name}{newline}" if name else ""
    return f"{head}data: {text}{newline}{newline}".encode()


def _named(*events: dict[str, Any]) -> list[bytes]:
    return sse(*((event["type"], event) for event in events))


def whole(value: Any) -> list[bytes]:
    """A JSON reply in one piece."""
    return [json.dumps(value, ensure_ascii=False).encode()]


# --- OpenAI chat -------------------------------------------------------------------------------

_CHAT_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
_FUNCTION = {"name": "get_weather", "arguments": CALL}


def openai_chat() -> list[bytes]:
    """A whole chat completion."""
    call = {"id": "call_1", "type": "function", "function": _FUNCTION}
    message = {"role": "assistant", "content": TEXT, "tool_calls": [call]}
    return whole(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-5.5-2026-04-23",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": _CHAT_USAGE,
        }
    )


def openai_chat_stream() -> list[bytes]:
    """Its stream: usage comes after the finish reason, with no choices."""

    def chunk(delta: Any, finish: str | None = None) -> tuple[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return "", _chunk([choice])

    first = {"index": 0, "id": "call_1", "type": "function"}
    name = {"name": "get_weather", "arguments": ""}
    cut = len(CALL) - 4
    return sse(
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in PIECES),
        chunk({"tool_calls": [first | {"function": name}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": CALL[:cut]}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": CALL[cut:]}}]}),
        chunk({}, "tool_calls"),
        ("", _chunk([]) | {"usage": _CHAT_USAGE}),
        ("", "[DONE]"),
    )


def _chunk(choices: list[Any]) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    return {**head, "model": "gpt-5.5-2026-04-23", "choices": choices}


# --- OpenAI Responses --------------------------------------------------------------------------


def _response(status: str, output: list[Any]) -> dict[str, Any]:
    usage = {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 100},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 150,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-5.5-2026-04-23",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if status == "completed" else None,
    }


_SPOKEN = {"type": "output_text", "text": TEXT, "annotations": []}
_MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
_ITEMS = [
    _MESSAGE | {"content": [_SPOKEN]},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather"}
    | {"arguments": CALL, "status": "completed"},
]


def openai_responses() -> list[bytes]:
    """A whole response."""
    return whole(_response("completed", _ITEMS))


def openai_responses_stream() -> list[bytes]:
    """Its stream."""
    text = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    call = {"item_id": "fc_1", "output_index": 1}
    added = "response.output_item.added"
    empty = {"type": "output_text", "text": "", "annotations": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [])},
        {"type": added, "output_index": 0, "item": _MESSAGE | {"content": []}},
        {"type": "response.content_part.added", **text, "part": empty},
        *(
            {"type": "response.output_text.delta", **text, "delta": piece, "logprobs": []}
            for piece in PIECES
        ),
        {"type": "response.output_text.done", **text, "text": TEXT, "logprobs": []},
        {"type": "response.content_part.done", **text, "part": _SPOKEN},
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEMS[0]},
        {"type": added, "output_index": 1, "item": _ITEMS[1] | {"arguments": ""}},
        {"type": "response.function_call_arguments.delta", **call, "delta": CALL},
        {"type": "response.function_call_arguments.done", **call, "arguments": CALL},
        {"type": "response.output_item.done", "output_index": 1, "item": _ITEMS[1]},
        {"type": "response.completed", "response": _response("completed", _ITEMS)},
    ]  # fmt: skip
    return _named(*(event | {"sequence_number": n} for n, event in enumerate(events)))


# --- Anthropic ---------------------------------------------------------------------------------


def anthropic() -> list[bytes]:
    """A whole message."""
    tool = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": ARGUMENTS}
    content = [{"type": "text", "text": TEXT}, tool]
    usage = {"input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 30}
    return whole(_message(content, "tool_use", usage))


def _message(content: list[Any], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def anthropic_stream() -> list[bytes]:
    """Its stream: output tokens are cumulative, the last count wins."""
    usage = {"input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    stop = {"stop_reason": "tool_use", "stop_sequence": None}

    def delta(index: int, value: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": value}

    return _named(
        {"type": "message_start", "message": _message([], None, usage)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(delta(0, {"type": "text_delta", "text": piece}) for piece in PIECES),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        delta(1, {"type": "input_json_delta", "partial_json": CALL[:9]}),
        delta(1, {"type": "input_json_delta", "partial_json": CALL[9:]}),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 19}},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 30}},
        {"type": "message_stop"},
    )


# --- Gemini ------------------------------------------------------------------------------------


def _gemini(parts: list[Any], candidates: int, thoughts: int, finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": 120,
        "cachedContentTokenCount": 100,
        "candidatesTokenCount": candidates,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": 120 + candidates + thoughts,
    }
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r1",
    }


_FUNCTION_CALL = {"functionCall": {"name": "get_weather", "args": ARGUMENTS}}


def google() -> list[bytes]:
    """A whole response."""
    return whole(_gemini([{"text": TEXT}, _FUNCTION_CALL], 18, 12, "STOP"))


def google_stream() -> list[bytes]:
    """Its stream, with CRLF: usage grows, the last one wins."""
    spoken = [_gemini([{"text": piece}], n + 1, 12) for n, piece in enumerate(PIECES)]
    last = _gemini([_FUNCTION_CALL], 18, 12, "STOP")
    return sse(*(("", event) for event in [*spoken, last]), newline="\r\n")


# --- Mistral -----------------------------------------------------------------------------------

_MISTRAL_USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
_MISTRAL_CALL = {"id": "abcdefghi", "type": "function", "function": _FUNCTION, "index": 0}


def mistral() -> list[bytes]:
    """A whole chat completion."""
    message = {"role": "assistant", "content": TEXT, "tool_calls": [_MISTRAL_CALL]}
    return whole(
        {
            "id": "cmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-large-2512",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": _MISTRAL_USAGE,
        }
    )


def mistral_stream() -> list[bytes]:
    """Its stream: the tool call comes whole, with the usage, in the last chunk."""

    def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
        head = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**head, "model": "mistral-large-2512", "choices": [choice]}

    last = chunk({"content": "", "tool_calls": [_MISTRAL_CALL]}, "tool_calls")
    return sse(
        ("", chunk({"role": "assistant", "content": ""})),
        *(("", chunk({"content": piece})) for piece in PIECES),
        ("", last | {"usage": _MISTRAL_USAGE}),
        ("", "[DONE]"),
    )


# --- Cohere ------------------------------------------------------------------------------------

_COHERE_USAGE = {
    "billed_units": {"input_tokens": 20, "output_tokens": 25},
    "tokens": {"input_tokens": 120, "output_tokens": 30},
}
_COHERE_CALL = {"id": "get_weather_1", "type": "function", "function": _FUNCTION}


def cohere() -> list[bytes]:
    """A whole v2 chat reply; it does not name the model."""
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": TEXT}],
        "tool_calls": [_COHERE_CALL],
    }
    return whole(
        {"id": "c1", "finish_reason": "TOOL_CALL", "message": message, "usage": _COHERE_USAGE}
    )


def cohere_stream() -> list[bytes]:
    """Its stream."""

    def event(type_: str, message: Any = None, **more: Any) -> dict[str, Any]:
        delta = {"delta": {"message": message}} if message is not None else {}
        return {"type": type_, **more, **delta}

    start = {"content": {"type": "text", "text": ""}}
    call = _COHERE_CALL | {"function": {"name": "get_weather", "arguments": ""}}
    end = {"finish_reason": "TOOL_CALL", "usage": _COHERE_USAGE}
    return _named(
        event("message-start", {"role": "assistant"}, id="c1"),
        event("content-start", start, index=0),
        *(event("content-delta", {"content": {"text": piece}}, index=0) for piece in PIECES),
        event("content-end", index=0),
        event("tool-call-start", {"tool_calls": call}, index=0),
        event("tool-call-delta", {"tool_calls": {"function": {"arguments": CALL}}}, index=0),
        event("tool-call-end", index=0),
        {"type": "message-end", "delta": end},
    )
