"""Peers that send other shapes than agreed: it costs a field, never the call."""

import gzip
import json
import random

import brotli
import pytest
import zstandard

from agenttrace_mitm.providers import understand

from .exchanges import exchange, frame, sse, told

ENDPOINTS = [
    ("openai", "/v1/chat/completions"),
    ("openai", "/v1/responses"),
    ("openai", "/v1/completions"),
    ("openai", "/v1/embeddings"),
    ("openai", "/v1/images/generations"),
    ("anthropic", "/v1/messages"),
    ("anthropic", "/v1/messages/count_tokens"),
    ("anthropic", "/v1/complete"),
    ("google", "/v1beta/models/gemini-x:generateContent"),
    ("google", "/v1beta/models/gemini-x:streamGenerateContent"),
    ("google", "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"),
    ("google", "/v1beta/models/gemini-x:countTokens"),
    ("google", "/v1beta/models/gemini-x:batchEmbedContents"),
    ("google", "/v1beta/openai/chat/completions"),
    ("mistral", "/v1/chat/completions"),
    ("mistral", "/v1/fim/completions"),
    ("mistral", "/v1/agents/completions"),
    ("mistral", "/v1/embeddings"),
    ("cohere", "/v2/chat"),
    ("cohere", "/v1/chat"),
    ("cohere", "/v1/generate"),
    ("cohere", "/v2/embed"),
    ("cohere", "/v2/rerank"),
    ("cohere", "/compatibility/v1/chat/completions"),
]

# Every key that some reader asks for, so that each meets every wrong shape.
KEYS = [
    "model",
    "messages",
    "input",
    "prompt",
    "contents",
    "content",
    "parts",
    "text",
    "type",
    "role",
    "usage",
    "usageMetadata",
    "meta",
    "choices",
    "message",
    "delta",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "index",
    "finish_reason",
    "output",
    "status",
    "item",
    "output_index",
    "response",
    "error",
    "code",
    "candidates",
    "finishReason",
    "functionCall",
    "args",
    "tokens",
    "billed_units",
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "cache_creation",
    "iterations",
    "details",
    "modality",
    "tokenCount",
    "promptTokensDetails",
    "stream",
    "metadata",
    "user_id",
    "system",
    "tools",
    "thinking",
    "source",
    "data",
    "image_url",
    "url",
    "call_id",
    "summary",
    "event_type",
    "system_prompt",
    "chat_history",
    "tool_results",
    "generationConfig",
    "systemInstruction",
    "content_block",
    "incomplete_details",
    "reason",
    "results",
    "requests",
    "labels",
    "generations",
    "detail",
    "groundingMetadata",
    "webSearchQueries",
    "partialArgs",
    "willContinue",
    "jsonPath",
    "conversation",
    "reasoning",
    "custom",
    "audio",
    "embedding_types",
]
ATOMS = [None, True, False, 0, -1, 1.5, 2**70, "", "x", "\ud83d", "content_block_delta", [], {}]
TYPES = [
    "response.completed",
    "response.output_item.added",
    "response.output_text.delta",
    "error",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "message_stop",
    "text_delta",
    "input_json_delta",
    "text",
    "tool_use",
    "tool_result",
    "image",
    "function_call",
    "message-start",
    "content-delta",
    "tool-call-delta",
    "message-end",
    "stream-end",
    "text-generation",
    "tool-calls-generation",
    "thinking",
    "citations_delta",
    "response.function_call_arguments.delta",
    "base64",
    "input_audio",
    "file",
    "signature_delta",
]


def anything(dice, depth=4):
    """A JSON value out of the dialects' own words, put together without sense."""
    if depth == 0 or dice.random() < 0.25:
        return dice.choice(ATOMS)
    if dice.random() < 0.3:
        return [anything(dice, depth - 1) for _ in range(dice.randrange(4))]
    value = {dice.choice(KEYS): anything(dice, depth - 1) for _ in range(dice.randrange(8))}
    if dice.random() < 0.6:
        value["type"] = dice.choice(TYPES)
    return value


@pytest.mark.parametrize("seed", range(40))
def test_nonsense_in_the_dialect_s_own_words_raises_nothing(seed):
    dice = random.Random(seed)
    for provider, target in ENDPOINTS:
        request, response = anything(dice), anything(dice)
        events = [anything(dice) for _ in range(8)]
        status = dice.choice([200, 200, 400])
        lines = b"\n".join(json.dumps(event).encode() for event in events)
        for body in (response, events, sse(*map(json.dumps, events)), lines):
            understood = told(provider, target, body, request, status=status)
            assert understood.dialect
            # Whatever was read can be written down again.
            json.dumps(understood.reply.usage.raw, allow_nan=False).encode("utf-8")
            understood.reply.text.encode("utf-8")


def every_shape(value, path=()):
    """Copies of *value* with each of its inner values replaced by another shape."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for wrong in (None, "x", 7, [], {}, [None], True):
                yield value | {key: wrong}
            for changed in every_shape(inner):
                yield value | {key: changed}
    elif isinstance(value, list) and value:
        for changed in every_shape(value[0]):
            yield [changed, *value[1:]]


GOOD = [
    (
        "openai",
        "/v1/chat/completions",
        {
            "id": "x",
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {
                        "content": [{"type": "text", "text": "a"}],
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
                    },
                }
            ],
            "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
        },
    ),
    (
        "anthropic",
        "/v1/messages",
        {
            "id": "x",
            "model": "m",
            "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}],
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": 1},
                "server_tool_use": {"web_search_requests": 1},
                "iterations": [{"type": "compaction", "input_tokens": 1}],
            },
        },
    ),
    (
        "google",
        "/v1/models/m:generateContent",
        {
            "candidates": [
                {
                    "content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]},
                    "finishReason": "STOP",
                    "groundingMetadata": {"webSearchQueries": ["q"]},
                }
            ],
            "promptFeedback": {"blockReason": "X"},
            "usageMetadata": {
                "promptTokenCount": 1,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
            },
        },
    ),
]


@pytest.mark.parametrize(("provider", "target", "body"), GOOD, ids=[g[0] for g in GOOD])
def test_each_field_may_have_another_shape(provider, target, body):
    seen = 0
    for changed in every_shape(body):
        seen += 1
        told(provider, target, changed)
        told(provider, target, sse(changed))
    assert seen > 50


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_null_usage_is_none_and_zero_usage_is_zero(provider):
    def usage(value):
        return told(provider, "/v1/chat/completions", {"choices": [], "usage": value}).reply.usage

    assert usage(None).source == "none"
    assert usage({}).source == "none"
    zero = usage({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    assert (zero.source, zero.input_tokens, zero.output_tokens) == ("reported", 0, 0)
    odd = usage({"prompt_tokens": None, "completion_tokens": -3, "total_tokens": "x"})
    assert (odd.input_tokens, odd.output_tokens, odd.total_tokens) == (None, None, None)


@pytest.mark.parametrize(("provider", "target"), ENDPOINTS)
def test_bodies_that_are_no_json_cost_the_parse_alone(provider, target):
    for body in (b"", b"<html>Bad gateway</html>", b"\x00\xff" * 50, b"data", b"[", b"{" * 5000):
        for status in (200, 502):
            understood = told(provider, target, body, b"\xff\x00", status=status)
            assert understood.response_body == body
            assert (understood.reply.failure is not None) == (status == 502)


def test_deep_nesting_costs_the_parse_alone():
    deep = b'{"usage":' * 900 + b"1" + b"}" * 900
    for provider, target in ENDPOINTS:
        told(provider, target, deep, deep)
        told(provider, target, b"data: " + deep + b"\n\n", deep)


ENCODINGS = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoded_bodies_are_understood_both_ways(encoding):
    encode = ENCODINGS[encoding]
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    stream = sse(chunk, "[DONE]")
    request = json.dumps({"model": "gpt-x", "stream": True}).encode()
    understood = told(
        "openai",
        "/v1/chat/completions",
        encode(stream),
        encode(request),
        headers={"content-encoding": encoding, "content-type": "text/event-stream"},
        request_headers={"content-encoding": encoding},
        chunk=5,
    )
    assert (understood.reply.text, understood.ask.model) == ("Hi", "gpt-x")
    assert (understood.request_body, understood.response_body) == (request, stream)
    assert understood.reply.first_content_us is not None


def test_what_cannot_be_decoded_is_said():
    understood = told("openai", "/v1/chat/completions", b"?", headers={"content-encoding": "sdch"})
    assert understood.response_body is None
    assert understood.notes == ("response content-encoding: unknown",)


def test_a_request_without_answer_is_understood():
    from msgspec.structs import replace

    from agenttrace_mitm.model import Body, Headers

    asked = exchange("openai", "/v1/chat/completions", {}, {"model": "gpt-x", "stream": True})
    silent = replace(asked, status=None, response=Body(complete=False), response_headers=Headers())
    understood = understand(silent)
    assert understood.ask.model == "gpt-x"
    assert (understood.reply.complete, understood.reply.failure) == (False, None)


def test_first_content_is_when_the_first_words_came():
    """Not the role, not the empty opening: the first piece that the model made."""

    def chunk(delta):
        return {"choices": [{"index": 0, "delta": delta}]}

    opening = sse(chunk({"role": "assistant", "content": ""}))
    thought = sse(chunk({"reasoning_content": "hm"}))
    stream = opening + thought + sse(chunk({"content": "Hi"}), "[DONE]")
    reply = told("openai", "/v1/chat/completions", stream, chunk=1).reply
    assert reply.first_content_us == len(opening + thought)


def delta(**delta):
    return {"type": "", "choices": [{"index": 0, "delta": delta}]}


FUNCTION = {"id": "c", "function": {"name": "now"}}
ITEM = {"type": "function_call", "id": "i", "call_id": "c", "name": "now", "arguments": ""}
BLOCK = {"type": "tool_use", "id": "c", "name": "now", "input": {}}
NAMED = [
    ("openai", "/v1/chat/completions", delta(role="assistant"), delta(tool_calls=[FUNCTION])),
    (
        "openai",
        "/v1/responses",
        {"type": "response.created", "response": {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": ITEM},
    ),
    (
        "anthropic",
        "/v1/messages",
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": BLOCK},
    ),
    (
        "cohere",
        "/v2/chat",
        {"type": "message-start", "id": "i"},
        {
            "type": "tool-call-start",
            "index": 0,
            "delta": {"message": {"tool_calls": FUNCTION}},
        },
    ),
]


@pytest.mark.parametrize(("provider", "path", "opening", "named"), NAMED)
def test_the_name_of_a_tool_is_first_content(provider, path, opening, named):
    """Of a call without arguments it is all that the model makes."""
    before, whole = sse(opening, named=True), sse(opening, named, named=True)
    reply = told(provider, path, whole, {"stream": True}, chunk=1).reply
    assert len(before) < reply.first_content_us <= len(whole)
    assert [call.name for call in reply.tool_calls] == ["now"]


def test_the_name_of_a_tool_is_first_content_at_bedrock():
    begun = frame("messageStart", {"role": "assistant"})
    start = {"toolUse": {"toolUseId": "c", "name": "now"}}
    named = frame("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    headers = {"content-type": "application/vnd.amazon.eventstream"}
    path = "/model/m/converse-stream"
    reply = told("bedrock", path, begun + named, headers=headers, chunk=1).reply
    assert reply.first_content_us == len(begun + named)


def test_unknown_events_are_passed_over():
    unknown = {"type": "brand.new", "value": [1]}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    odd = text | {"delta": {"type": "brand_new_delta", "x": 1}}
    stream = sse(unknown, start, odd, text, unknown, {"type": "message_stop"}, named=True)
    reply = told("anthropic", "/v1/messages", stream).reply
    assert (reply.text, reply.complete) == ("a", True)
