"""Vertex AI: Google's own models under its paths, tuned ones, and what `:predict` is asked for."""

import pytest

from .exchanges import sse, told

PROJECT = "/v1/projects/p/locations/europe-west1"
MODELS = f"{PROJECT}/publishers/google/models"
SAID = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
ANSWER = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 3, "totalTokenCount": 7},
    "modelVersion": "gemini-x-001",
}


@pytest.mark.parametrize("before", [PROJECT, "/v1beta1/projects/p/locations/global", "/v1"])
def test_a_tuned_model_answers_at_its_endpoint(before):
    understood = told("vertex", f"{before}/endpoints/123:generateContent", ANSWER, SAID)
    assert (understood.dialect, understood.kind) == ("gemini.generate", "llm")
    assert understood.operation == "generate_content"
    assert understood.ask.model == "endpoints/123"
    reply = understood.reply
    assert (reply.model, reply.text) == ("gemini-x-001", "Hello")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (4, 3)


def test_a_tuned_model_streams_and_counts():
    path = f"{PROJECT}/endpoints/123:streamGenerateContent?alt=sse"
    streamed = told("vertex", path, sse(ANSWER), SAID)
    assert (streamed.streamed, streamed.reply.text) == (True, "Hello")
    assert streamed.reply.usage.source == "reported"
    counted = told("vertex", f"{PROJECT}/endpoints/123:countTokens", {"totalTokens": 5}, SAID)
    assert (counted.kind, counted.reply.usage.detail) == ("count", {"counted_tokens": 5})


def test_the_chat_of_an_endpoint_is_openais():
    path = f"{PROJECT}/endpoints/openapi/chat/completions"
    assert told("vertex", path, {"choices": []}, {"model": "m/x"}).dialect == "openai.chat"
