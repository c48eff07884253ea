"""PaLM's methods on the Gemini API: old, and calls of a model like any other."""

import pytest

from agenttrace_mitm.model import TextPart

from .exchanges import told

TEXT = "/v1beta2/models/text-bison-001"
CHAT = "/v1beta2/models/chat-bison-001"


def test_a_text_is_completed():
    answer = {"candidates": [{"output": "Hello", "safetyRatings": []}, {"output": "Hi"}]}
    asked = {"prompt": {"text": "Greet me."}, "temperature": 0.5}
    understood = told("google", f"{TEXT}:generateText", answer, asked)
    assert (understood.dialect, understood.operation) == ("gemini.palm", "text_completion")
    assert (understood.kind, understood.ask.model) == ("llm", "text-bison-001")
    assert understood.ask.messages[0].parts == (TextPart("Greet me."),)
    said = [message.parts for message in understood.reply.messages]
    assert said == [(TextPart("Hello"),), (TextPart("Hi"),)]
    assert understood.reply.usage.input_tokens is None  # reported by nobody
    assert understood.reply.notes == ()


def test_a_tuned_model_keeps_its_name():
    path = "/v1beta3/tunedModels/mine:generateText"
    assert told("google", path, {}).ask.model == "tunedModels/mine"


def test_a_message_is_answered():
    said = [{"author": "0", "content": "Hi"}, {"author": "1", "content": "Yes?"}, {"author": "0"}]
    asked = {"prompt": {"context": "Be kind.", "messages": said}}
    answer = {"candidates": [{"author": "1", "content": "Hello"}], "messages": said}
    understood = told("google", f"{CHAT}:generateMessage", answer, asked)
    assert understood.operation == "chat"
    roles = [message.role for message in understood.ask.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert understood.reply.text == "Hello"


def test_an_answer_is_generated_content():
    answer = {
        "answer": {"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"},
        "answerableProbability": 0.9,
    }
    asked = {"contents": [{"parts": [{"text": "Hi"}]}], "answerStyle": "VERBOSE"}
    understood = told("google", "/v1beta/models/aqa:generateAnswer", answer, asked)
    assert (understood.operation, understood.ask.model) == ("generate_content", "aqa")
    assert understood.ask.params == {"answerStyle": "VERBOSE"}
    assert (understood.reply.text, understood.reply.finish_reason) == ("Hello", "stop")
    refused = {"inputFeedback": {"blockReason": "SAFETY"}}
    reply = told("google", "/v1beta/models/aqa:generateAnswer", refused).reply
    assert (reply.finish_reason, reply.finish_detail) == ("content_filter", "SAFETY")


def test_what_was_filtered_is_told():
    reply = told("google", f"{TEXT}:generateText", {"filters": [{"reason": "SAFETY"}]}).reply
    assert (reply.finish_reason, reply.finish_detail) == ("content_filter", "SAFETY")


@pytest.mark.parametrize("method", ["countTextTokens", "countMessageTokens"])
def test_counts_count(method):
    counted = told("google", f"{TEXT}:{method}", {"tokenCount": 5})
    assert (counted.kind, counted.operation) == ("count", "count_tokens")
    assert counted.reply.usage.detail == {"counted_tokens": 5}
