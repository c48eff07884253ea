"""Counts where the provider gave none: marked, kept apart, and only there."""

from agenttrace_mitm.providers.estimates import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE

from .exchanges import sse, told

CHAT = "/v1/chat/completions"
ASKED = {"model": "gpt-x", "messages": [{"role": "user", "content": "x" * 40}]}


def chunk(words, **more):
    return {"model": "gpt-x", "choices": [{"index": 0, "delta": {"content": words}}], **more}


def test_a_stream_without_usage_is_estimated_beside_the_counts():
    """The columns stay empty, so that no sum takes a guess for a report."""
    usage = told("openai", CHAT, sse(chunk("y" * 12), "[DONE]"), ASKED).reply.usage
    assert usage.source == "estimated"
    assert (usage.input_tokens, usage.output_tokens) == (None, None)
    assert usage.detail == {
        "estimated_input_tokens": 40 // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE,
        "estimated_output_tokens": 12 // BYTES_PER_TOKEN,
    }


def test_tool_definitions_and_tool_calls_are_counted():
    tools = [{"type": "function", "function": {"name": "f", "description": "z" * 400}}]
    called = {"index": 0, "id": "1", "function": {"name": "find", "arguments": '{"q":"abcdefg"}'}}
    stream = sse({"choices": [{"index": 0, "delta": {"tool_calls": [called]}}]}, "[DONE]")
    detail = told("openai", CHAT, stream, ASKED | {"tools": tools}).reply.usage.detail
    assert detail["estimated_input_tokens"] > 100
    assert detail["estimated_output_tokens"] == 5


def test_reported_usage_is_left_alone():
    spent = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    usage = told("openai", CHAT, sse(chunk("y" * 400, usage=spent), "[DONE]"), ASKED).reply.usage
    assert usage.source == "reported"
    assert usage.detail == {}


def test_a_cut_anthropic_stream_keeps_its_input_and_estimates_its_output_beside():
    """`message_start` counts the input exactly; its output count is a placeholder."""
    spent = {"input_tokens": 9, "cache_read_input_tokens": 4000, "output_tokens": 1}
    start = {"type": "message_start", "message": {"model": "claude-x", "usage": spent}}
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    piece = {"type": "text_delta", "text": "y" * 40}
    delta = {"type": "content_block_delta", "index": 0, "delta": piece}
    stream = sse(start, opened, delta, named=True)
    usage = told("anthropic", "/v1/messages", stream, ASKED, complete=False).reply.usage
    assert usage.source == "partial"
    assert (usage.input_tokens, usage.output_tokens) == (4009, 1)
    assert usage.detail["estimated_output_tokens"] == 10


def test_an_error_is_not_estimated():
    failed = {"error": {"message": "no", "type": "server_error"}}
    usage = told("openai", CHAT, failed, ASKED, status=500).reply.usage
    assert (usage.source, usage.detail) == ("none", {})


def test_what_generates_nothing_is_not_estimated():
    listed = {"object": "list", "data": [{"embedding": [0.5], "index": 0}]}
    usage = told("openai", "/v1/embeddings", listed, {"input": "x"}).reply.usage
    assert usage.source == "none"
