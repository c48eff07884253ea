"""Vertex AI: Google's own models under its paths, tuned ones, and what `:predict` is asked for."""

import pytest

from agenttrace_mitm.model import TextPart

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


def embedded(*counts):
    texts = [
        {"statistics": {"truncated": False, "token_count": n}, "values": [0.1]} for n in counts
    ]
    return {
        "predictions": [{"embeddings": text} for text in texts],
        "metadata": {"billableCharacterCount": 20},
    }


@pytest.mark.parametrize(
    "model", ["text-embedding-005", "textembedding-gecko@003", "gemini-embedding-001"]
)
def test_embeddings_are_predicted_and_counted(model):
    asked = {"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}, {"content": "b"}]}
    understood = told("vertex", f"{MODELS}/{model}:predict", embedded(6, 4), asked)
    assert (understood.operation, understood.kind) == ("embeddings", "llm")
    assert understood.ask.model == model
    assert understood.ask.params == {"task_type": "RETRIEVAL_QUERY", "inputs": 2}
    assert understood.ask.messages == understood.reply.messages == ()
    usage = understood.reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (10, None, "reported")
    assert usage.detail == {"characters": 20}
    assert usage.raw == {"billableCharacterCount": 20}


def test_an_embedding_without_its_count_leaves_the_sum_unknown():
    reply = told("vertex", f"{MODELS}/text-embedding-005:predict", embedded(6, None)).reply
    assert reply.usage.input_tokens is None
    asked = {"instances": [{"text": "a"}]}
    both = {"predictions": [{"textEmbedding": [0.1], "imageEmbedding": [0.2]}]}
    multimodal = told("vertex", f"{MODELS}/multimodalembedding@001:predict", both, asked)
    assert multimodal.operation == "embeddings"
    assert (multimodal.reply.usage.source, multimodal.reply.usage.detail) == ("none", {})


SPENT = {
    "tokenMetadata": {
        "inputTokenCount": {"totalTokens": 3, "totalBillableCharacters": 5},
        "outputTokenCount": {"totalTokens": 7, "totalBillableCharacters": 20},
    }
}


def test_palm_completes_texts():
    asked = {"instances": [{"prompt": "Hello"}], "parameters": {"temperature": 0.2}}
    answer = {"predictions": [{"content": "Hi there"}], "metadata": SPENT}
    understood = told("vertex", f"{MODELS}/text-bison%40001:predict", answer, asked)
    assert (understood.operation, understood.ask.model) == ("text_completion", "text-bison@001")
    assert understood.ask.params == {"temperature": 0.2}
    assert understood.ask.messages[0].parts == (TextPart("Hello"),)
    reply = understood.reply
    assert (reply.text, reply.usage.detail) == ("Hi there", {})
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 7)
    assert reply.usage.source == "reported"


def test_palm_chats():
    said = [{"author": name, "content": name} for name in ("me", "bot", "me")]
    asked = {"instances": [{"context": "Be kind.", "messages": said}]}
    answer = {
        "predictions": [{"candidates": [{"author": "bot", "content": "Yes?"}]}],
        "metadata": SPENT,
    }
    understood = told("vertex", f"{MODELS}/chat-bison:predict", answer, asked)
    assert understood.operation == "chat"
    roles = [message.role for message in understood.ask.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert (understood.reply.text, understood.reply.usage.output_tokens) == ("Yes?", 7)


def test_only_images_are_counted_as_images():
    filtered = {"raiFilteredReason": "Unsafe."}
    stored = {"gcsUri": "gs://b/1.png", "mimeType": "image/png"}
    shown = {"bytesBase64Encoded": "aGVsbG8=", "mimeType": "image/png"}
    answer = {"predictions": [shown, stored, filtered]}
    understood = told("vertex", f"{MODELS}/imagen-4:predict", answer)
    assert understood.operation == "image"
    assert understood.reply.usage.detail == {"output_images": 2}
    song = {"predictions": [{"audioContent": "aGVsbG8=", "mimeType": "audio/wav"}]}
    heard = told("vertex", f"{MODELS}/lyria-002:predict", song)
    assert (heard.operation, heard.reply.usage.detail) == ("audio", {})
    assert heard.reply.messages[0].parts[0].modality == "audio"


def test_a_model_of_another_name_may_answer_in_any_shape():
    for answer in ({"predictions": ["A cat."]}, {"predictions": [{"content": "A cat."}]}):
        understood = told("vertex", f"{MODELS}/imagetext@001:predict", answer)
        assert (understood.operation, understood.reply.text) == ("generate_content", "A cat.")
    for strange in ([], {"predictions": 1}, {"predictions": [[], {"embeddings": 1}, None]}):
        usage = told("vertex", f"{MODELS}/x:predict", strange).reply.usage
        assert (usage.input_tokens, usage.output_tokens, usage.detail) == (None, None, {})
