"""How a call ended: what was said to the end, what failed without an error, what an error says."""

import json

import pytest
from msgspec.structs import replace

from agenttrace_mitm.providers import understand
from agenttrace_mitm.told import outcome

from .exchanges import exchange, sse, told

CHAT = "/v1/chat/completions"
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(content="", finish=None, index=0, **more):
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **more}


def ended(provider, target, response, *, cut=False, **more):
    """What such an exchange meant, and how it ended."""
    came = exchange(provider, target, response, complete=not cut, **more)
    came = replace(came, ending="upstream_left") if cut else came
    reply = understand(came).reply
    return reply, outcome(came, reply)


# --- Streams whose last word is missing --------------------------------------------------------

SPOKEN = sse(chunk("Hi"), chunk(finish="stop"), {"choices": [], "usage": COUNTED})


@pytest.mark.parametrize("last", [b"", b"data: [DONE] \n\n", b"data:[DONE]\t\n\n"])
def test_who_said_why_it_ended_and_closed_properly_has_ended(last):
    reply, how = ended("vllm", CHAT, SPOKEN + last)
    assert (how, reply.complete, reply.finish_reason) == ("ok", True, "stop")
    assert (reply.usage.output_tokens, reply.usage.source) == (2, "reported")
    assert not reply.notes


def test_a_transport_that_was_cut_is_no_end():
    reply, how = ended("vllm", CHAT, SPOKEN, cut=True)
    assert (how, reply.complete, reply.finish_reason) == ("interrupted", False, "stop")
    assert ended("vllm", CHAT, SPOKEN + b"data: [DONE] \n\n", cut=True)[1] == "ok"


def test_every_choice_has_to_say_why_it_ended():
    one = sse(chunk("Hi"), chunk("Ho", index=1), chunk(finish="stop"))
    assert ended("vllm", CHAT, one)[1] == "interrupted"
    assert ended("vllm", CHAT, one + sse(chunk(finish="length", index=1)))[1] == "ok"
    assert ended("vllm", CHAT, sse({"choices": [], "prompt_filter_results": []}))[1] == (
        "interrupted"
    )


def test_an_empty_word_is_no_end_and_takes_none_back():
    empty = chunk("Hi", finish="", usage=COUNTED)
    reply, how = ended("vllm", CHAT, sse(empty))
    assert (how, reply.usage.source) == ("interrupted", "partial")
    reply, how = ended("vllm", CHAT, sse(empty, chunk(finish="stop"), chunk(finish="")))
    assert (how, reply.finish_reasons, reply.usage.source) == ("ok", ("stop",), "reported")


def test_text_completions_may_leave_out_their_end_too():
    def piece(text, finish):
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}

    stream = sse(piece("Hi", ""), piece("", "stop"), piece("", ""))
    reply, how = ended("vllm", "/v1/completions", stream)
    assert (how, reply.text, reply.finish_reason) == ("ok", "Hi", "stop")
    assert ended("vllm", "/v1/completions", sse(piece("Hi", "")))[1] == "interrupted"
    assert ended("vllm", "/v1/completions", stream, cut=True)[1] == "interrupted"


# --- Failures that are no error object ---------------------------------------------------------


def lines(*events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


V1_FAILED = lines(
    {"event_type": "stream-start", "generation_id": "g"},
    {"event_type": "text-generation", "text": "The m"},
    {"event_type": "stream-end", "finish_reason": "ERROR", "response": {"text": "The m"}},
)
V2_FAILED = sse(
    {"type": "message-start", "id": "g"},
    {"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}},
    named=True,
)


@pytest.mark.parametrize(
    ("provider", "target", "response", "word"),
    [
        ("cohere", "/v1/chat", V1_FAILED, "ERROR"),
        ("cohere", "/v1/chat", {"text": "", "finish_reason": "ERROR"}, "ERROR"),
        ("cohere", "/v2/chat", V2_FAILED, "TIMEOUT"),
        ("mistral", CHAT, sse(chunk("The m"), chunk(finish="error"), "[DONE]"), "error"),
        ("mistral", CHAT, {"choices": [{"message": {}, "finish_reason": "error"}]}, "error"),
    ],
)
def test_a_word_that_says_error_is_one(provider, target, response, word):
    asked = {"stream": isinstance(response, bytes)}
    reply, how = ended(provider, target, response, request=asked)
    assert (how, reply.failure.type, reply.finish_reason) == ("error", word, "error")
    assert reply.finish_reasons == (word,)


@pytest.mark.parametrize("word", ["network_error", "insufficient_system_resource"])
def test_words_of_compatible_servers_that_say_error(word):
    for answer in (
        {"choices": [{"message": {"content": "The m"}, "finish_reason": word}]},
        sse(chunk("The m"), chunk(finish=word), "[DONE]"),
    ):
        reply, how = ended("deepseek", CHAT, answer)
        assert (how, reply.failure.type, reply.finish_reason) == ("error", word, "error")


@pytest.mark.parametrize(
    ("word", "shared"),
    [
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("end_of_turn", "stop"),
        ("sensitive", "content_filter"),
        ("abort", "aborted"),
    ],
)
def test_words_of_compatible_servers_have_a_shared_one(word, shared):
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": word}]}
    reply, how = ended("together", CHAT, answer)
    assert (how, reply.finish_reason, reply.finish_reasons) == ("ok", shared, (word,))
    assert reply.notes == ()


def test_an_error_in_words_alone_is_of_the_type_that_the_end_says():
    delta = {"finish_reason": "TIMEOUT", "error": "The model took too long."}
    stream = sse({"type": "message-end", "delta": delta}, named=True)
    failure = ended("cohere", "/v2/chat", stream)[0].failure
    assert (failure.type, failure.message) == ("TIMEOUT", "The model took too long.")


def test_what_the_model_did_wrong_is_an_answer():
    """A toxic text, a limit, a call that is no call: they were generated, and are paid for."""
    for word in ("ERROR_TOXIC", "ERROR_LIMIT", "COMPLETE"):
        answer = {"text": "x", "finish_reason": word}
        assert ended("cohere", "/v1/chat", answer)[1] == "ok"
    malformed = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}
    reply, how = ended("google", "/v1beta/models/m:generateContent", malformed)
    assert (how, reply.finish_reason) == ("ok", "error")


# --- What an error says ------------------------------------------------------------------------


def failure(response, status=400, **more):
    return told("azure", CHAT, response, status=status, **more).reply.failure


def test_azure_s_status_is_a_number_and_no_type():
    error = {"message": "Filtered.", "type": None, "code": "content_filter", "status": 400}
    said = failure({"error": error})
    assert (said.type, said.code, said.message) == ("", "content_filter", "Filtered.")
    google = {"error": {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT"}}
    assert failure(google).type == "INVALID_ARGUMENT"


@pytest.mark.parametrize("key", ["message", "Message"])
def test_aws_names_its_errors_in_a_header(key):
    named = {"x-amzn-ErrorType": "ThrottlingException:http://internal.example/coral/"}
    said = failure({key: "Too many requests"}, 429, headers=named)
    assert (said.type, said.message) == ("ThrottlingException", "Too many requests")
    assert failure(b"Too many", 429, headers=named).type == "ThrottlingException"
    assert failure(b"", 429, headers=named).type == "ThrottlingException"
    own = {"error": {"type": "overloaded_error", "message": "Busy."}}
    assert failure(own, 529, headers=named).type == "overloaded_error"


# --- Errors in an answer with status 200 -------------------------------------------------------


def test_openrouter_s_choice_says_what_went_wrong_behind_it():
    error = {"code": 502, "message": "The provider is gone."}
    choice = {"index": 0, "finish_reason": "error", "error": error}
    whole = {"choices": [choice | {"message": {"content": "The m"}}]}
    stream = sse(chunk("The m"), {"choices": [choice | {"delta": {}}]}, "[DONE]")
    for answer in (whole, stream):
        reply, how = ended("openrouter", CHAT, answer)
        said = reply.failure
        assert (how, said.type, said.code) == ("error", "error", "502")
        assert (said.message, reply.text) == ("The provider is gone.", "The m")


def test_groq_says_in_a_chunk_that_it_stopped():
    stopped = chunk() | {"x_groq": {"id": "req", "error": "over capacity"}}
    reply, how = ended("groq", CHAT, sse(chunk("The m"), stopped, "[DONE]"))
    assert (how, reply.failure.message) == ("error", "over capacity")
    assert (reply.finish_reason, reply.text) == ("error", "The m")
    named = chunk("Hi", "stop") | {"x_groq": {"id": "req"}}
    assert ended("groq", CHAT, sse(named, "[DONE]"))[1] == "ok"


def test_minimax_s_status_stands_in_the_body():
    refused = {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}
    for answer in (refused, sse(refused)):
        reply, how = ended("minimax", CHAT, answer)
        assert (how, reply.failure.code, reply.failure.message) == ("error", "1004", "login fail")
    fine = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    fine["base_resp"] = {"status_code": 0, "status_msg": ""}
    reply, how = ended("minimax", CHAT, fine)
    assert (how, reply.failure, reply.notes) == ("ok", None, ())


def test_an_error_in_words_has_a_code_or_a_type_beside_it():
    said = failure({"code": "Client specified an invalid argument", "error": "Bad key."})
    assert (said.type, said.code) == ("", "Client specified an invalid argument")
    assert said.message == "Bad key."
    said = failure({"error": "Input validation error", "error_type": "validation"}, 422)
    assert (said.type, said.message) == ("validation", "Input validation error")
    said = failure({"error": "invalid_grant", "error_description": "Expired."})
    assert (said.type, said.message) == ("invalid_grant", "Expired.")
