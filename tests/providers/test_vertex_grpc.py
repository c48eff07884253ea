"""Gemini on Vertex over gRPC: the same meaning as over HTTP, under Vertex's field numbers."""

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Exchange, ReasoningPart, TextPart
from agenttrace_mitm.providers import understand

from . import test_gemini_grpc as gemini
from .test_gemini_grpc import ARGS, framed, pb

MODEL = "projects/p/locations/l/publishers/google/models/gemini-x"


def content(role, *parts):
    return pb((1, role), *((2, part) for part in parts))


REQUEST = pb(
    (5, MODEL),
    (2, content("user", pb((1, "Weather?")))),
    (8, content("", pb((1, "Be short.")))),
    (6, pb((1, pb((1, "get_weather"))))),
    (4, pb((5, 99))),
)
SPENT = pb((1, 20), (2, 5), (3, 36), (5, 8), (8, 1), (13, 4), (14, 7), (9, pb((1, 2), (2, 6))))
CALLED = pb((5, pb((1, "get_weather"), (2, ARGS))))
THOUGHT = pb((1, "hm"), (10, 1))
FIRST = pb((2, pb((2, content("model", THOUGHT, pb((1, "Let me ")))))), (11, "gemini-x-001"))
LAST = pb(
    (
        2,
        pb(
            (2, content("model", pb((1, "see.")), CALLED)),
            (3, 1),
            (7, pb((1, "weather oslo"))),
        ),
    ),
    (4, SPENT),
    (13, "r1"),
)


def exchange(method="StreamGenerateContent", *answers, asked=REQUEST, until=None) -> Exchange:
    service = "LlmUtilityService" if method == "CountTokens" else "PredictionService"
    data = framed(*(answers or (FIRST, LAST)))
    sent = data[:until]
    return replace(
        gemini.exchange(),
        provider="vertex",
        host="europe-west1-aiplatform.googleapis.com",
        target=f"/google.cloud.aiplatform.v1.{service}/{method}",
        request=Body.of(framed(asked)),
        response=replace(Body.of(sent), complete=len(sent) == len(data)),
    )


def test_a_stream_is_the_call_that_it_would_be_over_http():
    understood = understand(exchange())
    ask, reply = understood.ask, understood.reply
    assert (understood.dialect, understood.kind) == ("gemini.grpc", "llm")
    assert understood.operation == "generate_content"
    assert (ask.model, ask.streamed, ask.tool_names) == ("gemini-x", True, ("get_weather",))
    assert [m.role for m in ask.messages] == ["system", "user"]
    assert ask.params == {"maxOutputTokens": 99}
    assert reply.messages[0].parts[:2] == (ReasoningPart("hm"), TextPart("Let me see."))
    assert (reply.model, reply.response_id) == ("gemini-x-001", "r1")
    (call,) = reply.tool_calls
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Oslo","days":3,"tags":[true]}')
    assert (reply.finish_reasons, reply.finish_reason) == (("STOP",), "tool_calls")
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (24, 12, 36)
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (8, 7)
    assert usage.detail == {"input_image": 6, "input_tool": 4, "web_searches": 1}
    assert reply.service_tier == "ON_DEMAND"
    assert (reply.complete, reply.notes) == (True, ())


def test_a_whole_answer_and_a_tuned_model():
    asked = pb((5, "projects/p/locations/l/endpoints/123"), (2, content("user", pb((1, "Hi")))))
    understood = understand(exchange("GenerateContent", FIRST, asked=asked))
    assert (understood.ask.model, understood.ask.streamed) == ("endpoints/123", False)
    assert understood.reply.text == "Let me "
    assert not understood.streamed


@pytest.mark.parametrize(
    ("number", "word", "meaning"),
    [
        (2, "MAX_TOKENS", "length"),
        (9, "MALFORMED_FUNCTION_CALL", "error"),
        (10, "MODEL_ARMOR", "content_filter"),
        (99, "99", "other"),
    ],
)
def test_reasons_have_numbers_of_their_own(number, word, meaning):
    reply = understand(exchange("GenerateContent", pb((2, pb((3, number)))))).reply
    assert (reply.finish_reasons, reply.finish_reason) == ((word,), meaning)


def test_a_blocked_prompt_is_filtered_content():
    reply = understand(exchange("GenerateContent", pb((3, pb((1, 4)))))).reply
    assert (reply.finish_reason, reply.finish_detail) == ("content_filter", "PROHIBITED_CONTENT")


def test_a_count_counts():
    asked = pb((1, MODEL), (3, MODEL), (4, content("user", pb((1, "Hi")))))
    understood = understand(exchange("CountTokens", pb((1, 31), (2, 90)), asked=asked))
    assert (understood.kind, understood.ask.model) == ("count", "gemini-x")
    assert understood.ask.messages[0].parts == (TextPart("Hi"),)
    assert understood.reply.usage.detail == {"counted_tokens": 31}


def test_cut_or_damaged_anywhere_it_tells_what_came():
    whole = understand(exchange()).reply.text
    data = framed(FIRST, LAST)
    for end in range(len(data)):
        assert whole.startswith(understand(exchange(until=end)).reply.text)
        damaged = bytearray(data)
        damaged[end] ^= 0x81
        understand(replace(exchange(), response=Body.of(bytes(damaged))))
