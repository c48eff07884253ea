"""One conversation in every dialect that streams: the request, the whole reply, and its stream.

Written by hand after the providers' formats.  The two replies of a `Twin` say the same, so that
whatever is made of one has to be made of the other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agenttrace_mitm.model import Arrival, Body, Exchange, Headers

from ..e2e import wire

AT_US = 1_795_200_000_000_000
STEP_US = 1_000


@dataclass(frozen=True, repr=False)
class Twin:
    """What one dialect says in two ways; *stream* is the body in the pieces it came in."""

    dialect: str
    provider: str
    host: str
    target: str
    request: dict[str, Any]
    whole: bytes
    stream: tuple[bytes, ...]
    stream_target: str = ""
    stream_type: str = "text/event-stream"

    def __repr__(self) -> str:
        return self.dialect

    def exchange(self, *, streamed: bool, id_: str = "1") -> Exchange:
        """The conversation, answered whole or as a stream."""
        pieces = self.stream if streamed else (self.whole,)
        asked = self.request | ({"stream": True} if streamed and not self.stream_target else {})
        return exchange(
            self.provider,
            self.stream_target if streamed and self.stream_target else self.target,
            pieces,
            json.dumps(asked).encode(),
            host=self.host,
            content_type=self.stream_type if streamed else "application/json",
            id_=id_,
        )


def exchange(
    provider: str,
    target: str,
    pieces: Sequence[bytes],
    request: bytes = b"{}",
    *,
    host: str = "host",
    content_type: str = "application/json",
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    request_headers: tuple[tuple[str, str], ...] = (),
    id_: str = "1",
) -> Exchange:
    """A finished exchange whose reply came in *pieces*, a millisecond apart."""
    arrivals, size = [], 0
    for n, piece in enumerate(pieces, 1):
        size += len(piece)
        arrivals.append(Arrival(AT_US + n * STEP_US, size))
    return Exchange(
        id=id_,
        provider=provider,
        host=host,
        method="POST",
        target=target,
        started_us=AT_US,
        ended_us=AT_US + (len(arrivals) + 1) * STEP_US,
        request_headers=Headers((("content-type", "application/json"), *request_headers)),
        request=Body.of(request, AT_US),
        status=status,
        response_headers=Headers((("content-type", content_type), *headers)),
        response=Body(b"".join(pieces), size, tuple(arrivals)),
        first_byte_us=arrivals[0].at_us if arrivals else None,
    )


# --- What wire.py does not have ----------------------------------------------------------------

_SAID = [{"role": "user", "content": "How is the weather in Lisbon?"}]
_COUNTED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def _completion(text: str, finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1}
    return {**head, "model": "gpt-3.5-turbo-instruct", "choices": [choice]}


def _completions() -> list[bytes]:
    return wire.whole(_completion(wire.TEXT, "stop") | {"usage": _COUNTED})


def _completions_stream() -> list[bytes]:
    return wire.sse(
        *(("", _completion(piece, None)) for piece in wire.PIECES),
        ("", _completion("", "stop")),
        ("", _completion("", None) | {"choices": [], "usage": _COUNTED}),
        ("", "[DONE]"),
    )


def _legacy(text: str, stop: str | None) -> dict[str, Any]:
    head = {"type": "completion", "id": "compl_1", "model": "claude-2.1", "stop": None}
    return {**head, "completion": text, "stop_reason": stop}


def _anthropic_complete_stream() -> list[bytes]:
    pieces = (("completion", _legacy(piece, None)) for piece in wire.PIECES)
    return wire.sse(
        *pieces, ("ping", {"type": "ping"}), ("completion", _legacy("", "stop_sequence"))
    )


_META = {
    "api_version": {"version": "1"},
    "billed_units": {"input_tokens": 20, "output_tokens": 25},
    "tokens": {"input_tokens": 120, "output_tokens": 30},
}
_V1 = {
    "response_id": "r1",
    "generation_id": "g1",
    "text": wire.TEXT,
    "tool_calls": [{"name": "get_weather", "parameters": wire.ARGUMENTS}],
    "finish_reason": "COMPLETE",
    "meta": _META,
}


def _lines(*events: dict[str, Any]) -> list[bytes]:
    return [json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events]


def _cohere_v1_events() -> list[dict[str, Any]]:
    going = {"is_finished": False}
    return [
        going | {"event_type": "stream-start", "generation_id": "g1"},
        *(going | {"event_type": "text-generation", "text": piece} for piece in wire.PIECES),
        going | {"event_type": "tool-calls-generation", "tool_calls": _V1["tool_calls"]},
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE"}
        | {"response": _V1},
    ]


def _generated(text: str) -> dict[str, Any]:
    one = {"id": "g1", "text": text, "finish_reason": "COMPLETE"}
    return {"id": "r1", "generations": [one], "prompt": "Hi", "meta": _META}


def _generate_stream() -> list[bytes]:
    end = {"is_finished": True, "finish_reason": "COMPLETE", "response": _generated(wire.TEXT)}
    return _lines(*({"text": piece, "is_finished": False} for piece in wire.PIECES), end)


def _as_array(events: list[bytes]) -> list[bytes]:
    """Gemini's events as the JSON array that it sends without `alt=sse`, oddly cut."""
    objects = [event.removeprefix(b"data: ").strip() for event in events]
    text = b"[" + b",\r\n".join(objects) + b"]\n"
    return [text[start : start + 37] for start in range(0, len(text), 37)]


_OPENAI = {"provider": "openai", "host": "api.openai.com"}
_ANTHROPIC = {"provider": "anthropic", "host": "api.anthropic.com"}
_GOOGLE = {"provider": "google", "host": "generativelanguage.googleapis.com"}
_MISTRAL = {"provider": "mistral", "host": "api.mistral.ai"}
_COHERE = {"provider": "cohere", "host": "api.cohere.com"}
_GEMINI = "/v1beta/models/gemini-3.8-flash"
_GEMINI_REQUEST = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def _twin(
    dialect: str,
    at: dict[str, str],
    target: str,
    request: dict[str, Any],
    whole: list[bytes],
    stream: list[bytes],
    **more: str,
) -> Twin:
    return Twin(
        dialect=dialect,
        target=target,
        request=request,
        whole=b"".join(whole),
        stream=tuple(stream),
        **at,
        **more,
    )


TWINS: tuple[Twin, ...] = (
    _twin(
        "openai.chat",
        _OPENAI,
        "/v1/chat/completions",
        {"model": "gpt-5.5", "messages": _SAID},
        wire.openai_chat(),
        wire.openai_chat_stream(),
    ),
    _twin(
        "openai.responses",
        _OPENAI,
        "/v1/responses",
        {"model": "gpt-5.5", "input": _SAID},
        wire.openai_responses(),
        wire.openai_responses_stream(),
    ),
    _twin(
        "openai.completions",
        _OPENAI,
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi"},
        _completions(),
        _completions_stream(),
    ),
    _twin(
        "anthropic.messages",
        _ANTHROPIC,
        "/v1/messages",
        {"model": "claude-sonnet-5-5", "max_tokens": 99, "messages": _SAID},
        wire.anthropic(),
        wire.anthropic_stream(),
    ),
    _twin(
        "anthropic.complete",
        _ANTHROPIC,
        "/v1/complete",
        {"model": "claude-2.1", "prompt": "\n\nHuman: Hi\n\nAssistant:"},
        wire.whole(_legacy(wire.TEXT, "stop_sequence")),
        _anthropic_complete_stream(),
    ),
    _twin(
        "gemini.generate",
        _GOOGLE,
        f"{_GEMINI}:generateContent",
        _GEMINI_REQUEST,
        wire.google(),
        wire.google_stream(),
        stream_target=f"{_GEMINI}:streamGenerateContent?alt=sse",
    ),
    _twin(
        "gemini.generate",
        _GOOGLE,
        f"{_GEMINI}:generateContent",
        _GEMINI_REQUEST,
        wire.google(),
        _as_array(wire.google_stream()),
        stream_target=f"{_GEMINI}:streamGenerateContent",
        stream_type="application/json",
    ),
    _twin(
        "mistral.chat",
        _MISTRAL,
        "/v1/chat/completions",
        {"model": "mistral-large-2512", "messages": _SAID},
        wire.mistral(),
        wire.mistral_stream(),
    ),
    _twin(
        "mistral.agents",
        _MISTRAL,
        "/v1/agents/completions",
        {"agent_id": "ag_1", "messages": _SAID},
        wire.mistral(),
        wire.mistral_stream(),
    ),
    _twin(
        "mistral.fim",
        _MISTRAL,
        "/v1/fim/completions",
        {"model": "mistral-large-2512", "prompt": "def f(", "suffix": "return 1"},
        wire.mistral(),
        wire.mistral_stream(),
    ),
    _twin(
        "cohere.v2chat",
        _COHERE,
        "/v2/chat",
        {"model": "command-a-03-2025", "messages": _SAID},
        wire.cohere(),
        wire.cohere_stream(),
    ),
    _twin(
        "cohere.v1chat",
        _COHERE,
        "/v1/chat",
        {"model": "command-r", "message": "Hi"},
        wire.whole(_V1),
        _lines(*_cohere_v1_events()),
        stream_type="application/stream+json",
    ),
    _twin(
        "cohere.v1chat",
        _COHERE,
        "/v1/chat",
        {"model": "command-r", "message": "Hi"},
        wire.whole(_V1),
        wire.sse(*((event["event_type"], event) for event in _cohere_v1_events())),
    ),
    _twin(
        "cohere.generate",
        _COHERE,
        "/v1/generate",
        {"model": "command", "prompt": "Hi"},
        wire.whole(_generated(wire.TEXT)),
        _generate_stream(),
        stream_type="application/stream+json",
    ),
)
