"""Cohere: two counters, three framings, two versions."""

import json

import pytest

from agenttrace_mitm.model import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

USAGE = {
    "billed_units": {"input_tokens": 11.0, "output_tokens": 2.0},
    "tokens": {"input_tokens": 506.0, "output_tokens": 5.0, "reasoning_tokens": 3},
    "cached_tokens": 448.0,
}


def check(usage):
    assert (usage.input_tokens, usage.output_tokens) == (506, 5)
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (448, 3)
    assert usage.detail == {"billed_input_tokens": 11, "billed_output_tokens": 2}
    assert usage.source == "reported"


def content(index, **fields):
    delta = {"message": {"content": fields}}
    return {"type": "content-delta", "index": index, "delta": delta}


def test_v2_streams_like_it_answers():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    stream = sse(
        {"type": "message-start", "id": "m1", "delta": {"message": {"role": "assistant"}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will "}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}},
        content(0, type="thinking", thinking="hm"),
        content(1, type="text", text="Hel"),
        content(1, text="lo"),
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {
            "type": "tool-call-delta",
            "index": 0,
            "delta": {"message": {"tool_calls": {"function": {"arguments": '{"a":1}'}}}},
        },
        {"type": "tool-call-end", "index": 0},
        {"type": "brand-new", "delta": {}},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
        named=True,
    )
    message = {
        "role": "assistant",
        "tool_plan": "I will look.",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "Hello"},
        ],
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ],
    }
    body = {"id": "m1", "finish_reason": "TOOL_CALL", "message": message, "usage": USAGE}
    for answer in (stream, stream + b"data: [DONE]\n\n", body):
        reply = told("cohere", "/v2/chat", answer, {"model": "command"}).reply
        assert reply.messages[0].parts == (
            TextPart("I will look.", "tool_plan"),
            ReasoningPart("hm"),
            TextPart("Hello"),
            ToolCallPart("c", "f", '{"a":1}'),
        )
        assert (reply.finish_reason, reply.response_id, reply.complete) == (
            "tool_calls",
            "m1",
            True,
        )
        check(reply.usage)


V1_EVENTS = [
    {"event_type": "stream-start", "generation_id": "g1", "is_finished": False},
    {"event_type": "text-generation", "text": "Hel"},
    {"event_type": "text-generation", "text": "lo"},
    {
        "event_type": "stream-end",
        "is_finished": True,
        "finish_reason": "COMPLETE",
        "response": {"generation_id": "g1", "text": "Hello", "meta": USAGE},
    },
]
V1_LINES = b"".join(json.dumps(event).encode() + b"\n" for event in V1_EVENTS)


@pytest.mark.parametrize("stream", [V1_LINES, sse(*V1_EVENTS)], ids=["lines", "events"])
def test_v1_streams_as_lines_or_events(stream):
    for step in (0, 1):
        request = {"message": "Hi", "stream": True}
        reply = told("cohere", "/v1/chat", stream, request, chunk=step).reply
        assert (reply.text, reply.finish_reason, reply.response_id) == ("Hello", "stop", "g1")
        assert (reply.streamed, reply.complete) == (True, True)
        check(reply.usage)


def test_a_cut_v1_stream_tells_what_came():
    reply = told("cohere", "/v1/chat", V1_LINES[:160], {"stream": True}, complete=False).reply
    assert (reply.text, reply.complete, reply.usage.source) == ("Hel", False, "estimated")


def test_v1_calls_have_no_ids_and_results_repeat_the_call():
    call = {"name": "f", "parameters": {"a": 1}}
    request = {
        "model": "command",
        "preamble": "Be brief.",
        "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Ho"}],
        "message": "And?",
        "tool_results": [{"call": call, "outputs": [{"n": 2}]}],
        "conversation_id": "conv",
    }
    body = {"generation_id": "g", "text": "", "tool_calls": [call], "finish_reason": "COMPLETE"}
    understood = told("cohere", "/v1/chat", body, request)
    assert [m.role for m in understood.ask.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "tool",
    ]
    assert understood.ask.messages[4].parts == (ToolResultPart("", [{"n": 2}], "f"),)
    assert understood.ask.links.conversation_id == "conv"
    assert understood.reply.tool_calls == (ToolCallPart("", "f", '{"a":1}'),)
    assert understood.reply.finish_reason == "tool_calls"


def test_rerank_and_embed_are_billed_in_units():
    meta = {"billed_units": {"search_units": 1}}
    ranked = told("cohere", "/v2/rerank", {"id": "r", "meta": meta}, {"documents": ["a", "b"]})
    assert (ranked.dialect, ranked.operation, ranked.kind) == ("cohere.rerank", "rerank", "llm")
    assert ranked.reply.usage.detail == {"rerank_searches": 1}
    assert ranked.ask.params == {"inputs": 2}
    meta = {"billed_units": {"images": 1, "input_tokens": 4}}
    embedded = told("cohere", "/v1/embed", {"id": "e", "meta": meta}, {"texts": ["a"]})
    assert embedded.reply.usage.detail == {"images": 1, "billed_input_tokens": 4}
    assert embedded.reply.usage.input_tokens is None


def test_errors_stand_at_the_top():
    reply = told("cohere", "/v2/chat", {"id": "x", "message": "no such model"}, status=404).reply
    assert (reply.failure.message, reply.failure.type) == ("no such model", "")
    assert reply.finish_reason == "error"
