"""Bedrock's InvokeModel: whose body it is tells its shape, and who counted the tokens."""

import base64
import json

import pytest

from agenttrace_mitm.model import TextPart
from tests.providers.exchanges import frame, told

ARN = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fteam1"
AWS = {"content-type": "application/vnd.amazon.eventstream"}
COUNTED = {"X-Amzn-Bedrock-Input-Token-Count": "21", "X-Amzn-Bedrock-Output-Token-Count": "34"}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 21, "outputTokenCount": 34}}
CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "How far is the moon?"}],
}
NOVA = {"messages": [{"role": "user", "content": [{"text": "How far is the moon?"}]}]}


def invoked(model, response, request=None, **more):
    return told("bedrock", f"/model/{model}/invoke", response, request, **more)


def streamed(model, *events, request=None, complete=True):
    pieces = [{"bytes": base64.b64encode(json.dumps(event).encode()).decode()} for event in events]
    body = b"".join(frame("chunk", piece) for piece in pieces)
    target = f"/model/{model}/invoke-with-response-stream"
    return told("bedrock", target, body, request, headers=AWS, complete=complete)


def counts(understood):
    usage = understood.reply.usage
    return usage.input_tokens, usage.output_tokens, usage.source


def test_a_profile_s_arn_says_nothing_of_the_vendor():
    """Read as OpenAI's, Claude's answer had neither text nor tokens."""
    answer = {
        "type": "message",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "384,400 km"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "cache_read_input_tokens": 100, "output_tokens": 9},
    }
    claude = invoked(ARN, answer, CLAUDE)
    assert claude.ask.messages[0].role == "user"
    assert claude.ask.params["max_tokens"] == 64
    assert (claude.reply.text, claude.reply.finish_reason) == ("384,400 km", "stop")
    assert counts(claude) == (112, 9, "reported")

    spent = {"inputTokens": 12, "outputTokens": 9, "totalTokens": 121}
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "384,400 km"}]}},
        "stopReason": "content_filtered",
        "usage": spent | {"cacheReadInputTokenCount": 100, "cacheWriteInputTokenCount": 0},
    }
    nova = invoked(ARN, answer, NOVA)
    assert nova.ask.messages[0].parts[0].text == "How far is the moon?"
    assert (nova.reply.text, nova.reply.finish_reason) == ("384,400 km", "content_filter")
    assert counts(nova) == (112, 9, "reported")
    assert not nova.reply.notes


def test_a_profile_s_stream_is_its_vendor_s():
    start = {"model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 12}}
    claude = streamed(
        ARN,
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "384,400 km"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"} | METRICS,
        request=CLAUDE,
    )
    assert claude.reply.text == "384,400 km"
    assert claude.reply.complete
    assert counts(claude) == (12, 9, "reported")


@pytest.mark.parametrize("named", ["inference-profile/us.anthropic.claude-haiku-4-5", "prompt/P1"])
def test_the_slash_of_an_arn_may_stand_as_it_is(named):
    arn = f"arn:aws:bedrock:us-east-1:123456789012:{named}"
    for call in ("invoke", "converse"):
        understood = told("bedrock", f"/model/{arn}/{call}", {}, {})
        assert (understood.dialect, understood.ask.model) == (f"bedrock.{call}", arn)


TEXTS = {
    "titan": (
        {"inputText": "Hi", "textGenerationConfig": {"temperature": 0.5, "maxTokenCount": 9}},
        {
            "inputTextTokenCount": 21,
            "results": [{"tokenCount": 34, "outputText": "Hello!", "completionReason": "FINISH"}],
        },
    ),
    "llama": (
        {"prompt": "Hi", "temperature": 0.5, "max_gen_len": 9},
        {
            "generation": "Hello!",
            "prompt_token_count": 21,
            "generation_token_count": 34,
            "stop_reason": "stop",
        },
    ),
    "mistral": (
        {"prompt": "Hi", "temperature": 0.5, "max_tokens": 9},
        {"outputs": [{"text": "Hello!", "stop_reason": "stop"}]},
    ),
    "command": (
        {"prompt": "Hi", "temperature": 0.5, "max_tokens": 9},
        {"id": "g1", "generations": [{"text": "Hello!", "finish_reason": "COMPLETE"}]},
    ),
    "command-r": (
        {"message": "Hi", "temperature": 0.5},
        {"text": "Hello!", "generation_id": "g1", "finish_reason": "COMPLETE"},
    ),
    "jurassic": (
        {"prompt": "Hi", "temperature": 0.5, "maxTokens": 9},
        {
            "id": 1234,
            "completions": [
                {"data": {"text": "Hello!", "tokens": []}, "finishReason": {"reason": "endoftext"}}
            ],
        },
    ),
    "claude-2": (
        {"prompt": "Hi", "temperature": 0.5, "max_tokens_to_sample": 9},
        {"completion": "Hello!", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"},
    ),
    "deepseek": (
        {"prompt": "Hi", "temperature": 0.5, "max_tokens": 9},
        {"choices": [{"text": "Hello!", "stop_reason": "stop"}]},
    ),
}


@pytest.mark.parametrize("asked, answer", TEXTS.values(), ids=TEXTS)
def test_each_text_model_is_read_and_counted(asked, answer):
    """By the body where it counts, else by the response's headers."""
    understood = invoked("vendor.model-v1", answer, asked, headers=COUNTED)
    assert [message.parts[0].text for message in understood.ask.messages] == ["Hi"]
    assert understood.ask.params["temperature"] == 0.5
    assert (understood.reply.text, understood.reply.finish_reason) == ("Hello!", "stop")
    assert counts(understood) == (21, 34, "reported")
    assert not understood.reply.notes


def test_titan_counts_each_of_its_results():
    results = [{"tokenCount": n, "outputText": "Hi", "completionReason": "LENGTH"} for n in (3, 4)]
    said = invoked("amazon.titan-text", {"inputTextTokenCount": 5, "results": results}).reply
    assert (said.usage.input_tokens, said.usage.output_tokens) == (5, 7)
    assert said.usage.raw["results"] == [{"tokenCount": 3}, {"tokenCount": 4}]
    assert (len(said.messages), said.finish_reason) == (2, "length")
    # One that is not counted: how many there were in all is not known.
    del results[1]["tokenCount"]
    said = invoked("amazon.titan-text", {"inputTextTokenCount": 5, "results": results}).reply
    assert (said.usage.input_tokens, said.usage.output_tokens) == (5, None)


def test_headers_count_what_the_body_does_not():
    """What the cache took part in is not in their input; a body's own count stays."""
    cached = {f"x-amzn-bedrock-cache-{way}-input-token-count": "100" for way in ("read", "write")}
    said = invoked("m", {"outputs": [{"text": "Hi"}]}, headers=COUNTED | cached).reply.usage
    assert (said.input_tokens, said.output_tokens, said.cache_read_tokens) == (221, 34, 100)
    own = {"generation": "Hi", "prompt_token_count": 1, "generation_token_count": 2}
    assert counts(invoked("m", own, headers=COUNTED)) == (1, 2, "reported")
    assert (
        counts(invoked("m", {}, headers={"x-amzn-bedrock-input-token-count": "many"}))[2] == "none"
    )
    embedded = {"embeddings": [[0.5]], "id": "e1", "response_type": "embeddings_floats"}
    only = {"x-amzn-bedrock-input-token-count": "21"}
    understood = invoked("cohere.embed-english-v3", embedded, {"texts": ["Hi"]}, headers=only)
    assert counts(understood) == (21, None, "reported")
    assert (understood.operation, understood.reply.messages) == ("embeddings", ())


STREAMS = {
    "llama": [
        {"generation": "Hel", "prompt_token_count": 21, "generation_token_count": 1},
        {"generation": "lo!", "prompt_token_count": None, "generation_token_count": 34}
        | {"stop_reason": "stop"},
    ],
    "titan": [
        {
            "outputText": "Hel",
            "index": 0,
            "inputTextTokenCount": 21,
            "totalOutputTextTokenCount": 9,
        },
        {"outputText": "lo!", "index": 0, "totalOutputTextTokenCount": 34}
        | {"completionReason": "FINISH"},
    ],
    "mistral": [
        {"outputs": [{"text": "Hel"}]},
        {"outputs": [{"text": "lo!", "stop_reason": "stop"}]},
    ],
    "command": [
        {"index": 0, "is_finished": False, "text": "Hello!"},
        {"is_finished": True, "finish_reason": "COMPLETE"},
    ],
    "command-r": [
        {"event_type": "text-generation", "text": "Hello!"},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": "Hello!"}},
    ],
    "claude-2": [{"completion": "Hel"}, {"completion": "lo!", "stop_reason": "stop_sequence"}],
    "deepseek": [
        {"choices": [{"text": "Hel"}]},
        {"choices": [{"text": "lo!", "stop_reason": "stop"}]},
    ],
}


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)
def test_each_text_model_s_stream_is_folded(events):
    last = events[-1] | METRICS
    reply = streamed("vendor.model-v1", *events[:-1], last).reply
    assert (reply.text, reply.finish_reason, reply.complete) == ("Hello!", "stop", True)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (21, 34)
    cut = streamed("vendor.model-v1", *events[:-1], complete=False).reply
    assert "Hello!".startswith(cut.text)
    assert cut.text
    assert not cut.complete
    assert cut.usage.source != "reported"


def test_a_guardrail_s_answer_is_a_whole_one_that_says_no_end():
    blocked = {"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {}}
    spoken = {"outputText": "No.", "index": 0, "inputTextTokenCount": 6}
    counted = spoken | {"totalOutputTextTokenCount": 3} | blocked
    said = streamed("amazon.titan-text-express-v1", counted).reply
    assert (said.text, said.finish_reason, said.complete) == ("No.", "content_filter", True)
    assert (said.usage.output_tokens, said.usage.source) == (3, "reported")
    assert not streamed("amazon.titan-text-express-v1", counted, complete=False).reply.complete
    answer = {"results": [{"outputText": "No."}]} | blocked
    assert invoked("amazon.titan-text-express-v1", answer).reply.finish_reason == "content_filter"


def test_what_a_guardrail_did_beside_an_event_hides_none_of_it():
    """Nova's events are objects of one name, which the guardrail's stood beside."""
    masked = {"amazon-bedrock-guardrailAction": "INTERVENED"}
    said = streamed(
        "amazon.nova-lite-v1%3A0",
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Call {PHONE}"}, "contentBlockIndex": 0}} | masked,
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}} | METRICS,
    ).reply
    assert (said.text, said.finish_reason, said.complete) == ("Call {PHONE}", "stop", True)


@pytest.mark.parametrize(
    ("operation", "asked", "answer"),
    [
        ("embeddings", {"inputText": "Hi"}, {"embedding": [0.5], "inputTextTokenCount": 2}),
        ("embeddings", {"texts": ["Hi"]}, {"embeddings": [[0.5]], "texts": ["Hi"]}),
        (
            "rerank",
            {"query": "moon", "documents": ["a", "b"]},
            {"results": [{"index": 1, "relevance_score": 0.9}]},
        ),
        ("chat", {"prompt": "Hi"}, {"generation": "Hello"}),
    ],
)
def test_behind_an_arn_the_answer_tells_what_was_done(operation, asked, answer):
    understood = invoked(ARN, answer, asked)
    assert understood.operation == operation
    assert bool(understood.reply.messages) == (operation == "chat")


TITAN_VECTOR = {"embedding": [0.5], "inputTextTokenCount": 3}
PICTURES = {"seeds": [1, 2], "finish_reasons": [None, None], "images": ["aGk=", "aGk="]}


@pytest.mark.parametrize("named", ["itself", ARN])
@pytest.mark.parametrize(
    ("model", "operation", "asked", "answer", "params", "detail"),
    [
        (
            "amazon.titan-embed-text-v2:0",
            "embeddings",
            {"inputText": "Far away"},
            TITAN_VECTOR,
            {"inputs": 1},
            {},
        ),
        (
            "stability.sd3-5-large-v1:0",
            "image",
            {"prompt": "A moon"},
            PICTURES,
            {},
            {"output_images": 2},
        ),
        (
            "stability.stable-diffusion-xl-v1",
            "image",
            {"text_prompts": [{"text": "A moon"}]},
            {"artifacts": [{"base64": "aGk="}]},
            {},
            {"output_images": 1},
        ),
    ],
)
def test_what_is_embedded_or_drawn_is_no_conversation(
    named, model, operation, asked, answer, params, detail
):
    """By what the answer tells, or the model's name."""
    understood = invoked(model if named == "itself" else named, answer, asked)
    assert understood.operation == operation
    assert (understood.ask.messages, understood.reply.messages) == ((), ())
    assert understood.ask.params == params
    assert understood.reply.usage.detail == detail


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("amazon.titan-embed-text-v2:0", "embeddings"),
        ("us.stability.stable-image-core-v1:1", "image"),
        ("amazon.titan-image-generator-v2:0", "image"),
        ("amazon.nova-canvas-v1:0", "image"),
    ],
)
def test_a_model_s_name_tells_it_where_there_is_no_answer(model, operation):
    understood = invoked(model, {"message": "Too many requests"}, {"prompt": "A moon"}, status=429)
    assert (understood.operation, understood.ask.messages) == (operation, ())


def test_a_text_model_is_talked_to_by_the_same_name():
    answer = {"results": [{"outputText": "Hello", "tokenCount": 2}], "inputTextTokenCount": 1}
    for model in ("amazon.titan-text-express-v1", ARN):
        understood = invoked(model, answer, {"inputText": "Hi"})
        assert understood.operation == "chat"
        assert understood.ask.messages[0].parts == (TextPart("Hi"),)


def test_an_image_stays_counted_where_headers_count_tokens():
    only = {"x-amzn-bedrock-input-token-count": "21"}
    said = invoked("stability.sd3-5-large-v1:0", PICTURES, {"prompt": "A moon"}, headers=only).reply
    assert (said.usage.input_tokens, said.usage.detail) == (21, {"output_images": 2})
