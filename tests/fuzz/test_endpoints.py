"""Every other endpoint and every socket: mutated wire is understood, recorded and written.

One reply holds the words of all dialects; whoever reads it finds something of his own in it, with
something wrong about it.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agenttrace_mitm.model import SocketMessage
from agenttrace_mitm.providers import turns_of
from agenttrace_mitm.recorder.sockets import Socket
from tests.support.dialects import AT_US, exchange
from tests.support.recording import Recording

from .hostile import mutated, spoiled, written
from .test_adapters import RICH, fuzzed, kept

GEMINI = "/v1beta/models/g"
ENDPOINTS = [
    ("openai", "/v1/embeddings"),
    ("openai", "/v1/moderations"),
    ("openai", "/v1/decisions"),
    ("openai", "/v1/images/generations"),
    ("openai", "/v1/audio/transcriptions"),
    ("openai", "/v1/audio/speech"),
    ("openai", "/v1/videos"),
    ("openai", "/v1/responses/compact"),
    ("openai", "/v1/threads/t/runs"),
    ("openai", "/v1/agents/sessions/s"),
    ("openai", "/v1/files/f/content"),
    ("openai", "/v1/batches"),
    ("anthropic", "/v1/messages/count_tokens"),
    ("anthropic", "/v1/messages/batches/b/results"),
    ("anthropic", "/v1/sessions/s/events/stream"),
    ("google", f"{GEMINI}:batchEmbedContents"),
    ("google", f"{GEMINI}:countTokens"),
    ("google", f"{GEMINI}:predict"),
    ("vertex", "/v1/publishers/google/models/chat-bison:predict"),
    ("google", f"{GEMINI}:generateMessage"),
    ("google", f"{GEMINI}:generateAnswer"),
    ("google", f"{GEMINI}:batchGenerateContent"),
    ("google", "/v1beta/interactions"),
    ("google", "/v1beta/cachedContents"),
    ("mistral", "/v1/conversations"),
    ("mistral", "/v1/ocr"),
    ("mistral", "/v1/audio/transcriptions"),
    ("mistral", "/v1/chat/moderations"),
    ("cohere", "/v2/embed"),
    ("cohere", "/v2/rerank"),
    ("cohere", "/v2/parse"),
    ("cohere", "/v1/classify"),
    ("cohere", "/v1/tokenize"),
]
_TOKENS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "prompt_tokens": 5}
_TOKENS |= {"completion_tokens": 2, "type": "duration", "seconds": 3}
_TOKENS |= {f"{name}_details": {"cached_tokens": 1, "audio_tokens": 2} for name in ("input", "x")}
_TOKENS |= {"input_tokens_details": {"image_tokens": 1, "text_tokens": 4}}
_TEXT = [{"type": "text", "text": "a"}, {"type": "output_text", "text": {"value": "a"}}]
REPLY = {
    "id": "x",
    "object": "list",
    "type": "x.done",
    "model": "m",
    "status": "completed",
    "conversation_id": "c",
    "data": [{"b64_json": "AA==", "embedding": [0.1], "content": _TEXT, "index": 0, "url": "u"}],
    "results": [{"flagged": True, "categories": {"a": True}, "relevance_score": 1.0}],
    "text": "a",
    "segments": [{"text": "a", "start": 0}],
    "outputs": [{"type": "message.output", "content": "a"}, {"type": "function.call", "name": "f"}],
    "steps": [{"type": "text", "text": "a"}, {"type": "function_call", "name": "f"}],
    "pages": [{"index": 0, "markdown": "a"}],
    "usage_info": {"pages_processed": 1, "doc_size_bytes": 1},
    "embeddings": {"float": [[0.1]]},
    "classifications": [{"prediction": "a", "confidence": 0.5}],
    "predictions": [
        {"bytesBase64Encoded": "AA==", "mimeType": "image/png"},
        {"embeddings": {"values": [0.1], "statistics": {"token_count": 2}}},
        {"candidates": [{"author": "bot", "content": "a"}]},
    ],
    "metadata": {"tokenMetadata": {"inputTokenCount": {"totalTokens": 3}}},
    "candidates": [{"author": "1", "content": "a", "output": "a"}],
    "answer": {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
    "filters": [{"reason": "SAFETY"}],
    "tokens": [1, 2],
    "totalTokens": 3,
    "size": "1024x1024",
    "quality": "high",
    "usage": _TOKENS | {"total_input_tokens": 5, "total_output_tokens": 2, "total_tokens": 7},
    "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    "meta": {"billed_units": {"input_tokens": 1, "search_units": 1, "images": 1}},
    "required_action": {"submit_tool_outputs": {"tool_calls": [{"id": "c"}]}},
    "error": None,
}
EVENTS = [
    {"type": "conversation.response.started", "conversation_id": "c"},
    {"type": "message.output.delta", "output_index": 0, "content": {"type": "text", "text": "a"}},
    {"type": "function.call.delta", "output_index": 1, "name": "f", "arguments": "{"},
    {"event_type": "step.start", "index": 0, "step": {"type": "text"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "a"}},
    {"type": "transcript.text.delta", "delta": "a"},
    {"type": "transcription.segment", "text": "a", "start": 0},
    {"type": "image_generation.partial_image", "b64_json": "AA==", "partial_image_index": 0},
    {"type": "thread.message.delta", "delta": {"content": _TEXT}, "id": "x"},
    {"type": "thread.run.completed", "usage": _TOKENS},
    {"type": "agent.session.turn.completed", "usage": _TOKENS, "session": REPLY},
    {"type": "response.completed", "response": REPLY},
    {"event_type": "interaction.complete", "interaction": REPLY},
]


@pytest.mark.parametrize(("provider", "target"), ENDPOINTS)
@pytest.mark.parametrize("method", ["POST", "GET"])
@given(data=st.data())
@fuzzed
def test_a_mutated_reply_of_any_endpoint_is_recorded(provider, target, method, data):
    body = data.draw(spoiled(written(data.draw(mutated(REPLY)))))
    if data.draw(st.booleans()):
        events = data.draw(mutated(EVENTS))
        told = [events] if not isinstance(events, list) else events
        body = b"".join(b"data: " + written(event) + b"\n\n" for event in told)
    request = written(RICH | REPLY)
    one = exchange(provider, target, [body], request, status=data.draw(st.sampled_from((200, 400))))
    kept(replace(one, method=method))


SOCKETS = [
    ("openai", "/v1/responses"),
    ("openai", "/v1/realtime?model=m"),
    ("openai", "/v1/live/sessions/s"),
    (
        "google",
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
    ),
    ("mistral", "/v1/audio/transcriptions/realtime?model=m"),
]
_RESPONSE = {"id": "r", "status": "completed", "usage": _TOKENS, "output": [{"id": "i"}]}
_ABOUT = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
MESSAGES = [
    [True, {"type": "session.update", "session": {"instructions": "a", "tools": [{"name": "f"}]}}],
    [True, {"setup": {"model": "m"}, "clientContent": {"turns": [{"parts": [{"text": "a"}]}]}}],
    [True, {"type": "response.create", "stream_id": "s", "input": [{"role": "user"}]}],
    [True, {"type": "response.create", "previous_response_id": "r", "response": {"x": 1}}],
    [True, {"realtimeInput": {"audio": {"data": "AA==", "mimeType": "audio/pcm"}}}],
    [False, {"type": "session.created", "session": {"model": "m", "id": "s"}}],
    [False, {"type": "conversation.item.created", "item": {"id": "i", "type": "message"}}],
    [False, {"type": "response.created", "stream_id": "s", "response": _RESPONSE}],
    [False, {"type": "response.output_text.delta", "delta": "a", **_ABOUT}],
    [False, {"type": "response.output_audio.delta", "delta": "AA==", **_ABOUT}],
    [False, {"type": "response.done", "response": _RESPONSE}],
    [False, {"type": "response.completed", "stream_id": "s", "response": _RESPONSE}],
    [False, {"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}, "turnComplete": True}}],
    [False, {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}],
    [False, {"toolCall": {"functionCalls": [{"id": "c", "name": "f", "args": {}}]}}],
    [False, {"type": "transcription.done", "text": "a", "usage": _TOKENS}],
    [False, {"type": "error", "error": {"type": "x", "message": "y"}}],
]


@pytest.mark.parametrize(("provider", "target"), SOCKETS)
@given(data=st.data())
@fuzzed
def test_mutated_messages_of_a_socket_are_recorded(provider, target, data):
    opened = replace(exchange(provider, target, []), method="GET", status=101)
    reader = turns_of(opened)
    assert reader
    socket, recording = Socket(opened, reader), Recording()
    changed = data.draw(mutated([said for _, said in MESSAGES]))
    order = data.draw(st.lists(st.sampled_from(range(len(MESSAGES))), min_size=4, max_size=20))
    found = []
    for n, which in enumerate(order):
        said = changed[which] if isinstance(changed, list) and which < len(changed) else changed
        message = data.draw(spoiled(written(said)))
        found += socket.add(SocketMessage(n, AT_US + n, MESSAGES[which][0], message))
    for turn in [*found, *socket.close("client_left")]:
        recording.take(turn)
        json.loads(recording.row(turn.id)["usage_raw"] or "null")
