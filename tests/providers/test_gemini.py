"""Gemini: two framings, two spellings, thoughts beside the answer, errors between events."""

import json

import pytest

from agenttrace_mitm.model import MediaPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1beta/models/gemini-x:generateContent"
STREAM = "/v1beta/models/gemini-x:streamGenerateContent"


def chunk(*parts, finish=None, usage=None, **more):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    body = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **more}
    return body | ({"usageMetadata": usage} if usage else {})


CHUNKS = [
    chunk({"text": "hm, "}, usage={"promptTokenCount": 7, "totalTokenCount": 7}),
    chunk({"text": "}{[ Hel"}, usage={"promptTokenCount": 7, "candidatesTokenCount": 1}),
    chunk(
        {"text": "lo"},
        finish="STOP",
        usage={
            "promptTokenCount": 7,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 30,
            "totalTokenCount": 39,
        },
    ),
]
CHUNKS[0]["candidates"][0]["content"]["parts"][0]["thought"] = True


def check(reply):
    assert reply.messages[0].parts == (ReasoningPart("hm, "), TextPart("}{[ Hello"))
    assert (reply.complete, reply.finish_reason, reply.usage.source) == (True, "stop", "reported")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 32)
    assert (reply.usage.reasoning_tokens, reply.usage.total_tokens) == (30, 39)
    assert reply.notes == ()


@pytest.mark.parametrize("step", [1, 3, 0])
def test_events_with_crlf(step):
    stream = sse(*CHUNKS, line_end="\r\n")
    check(told("google", STREAM + "?alt=sse", stream, chunk=step).reply)


@pytest.mark.parametrize("step", [1, 3, 0])
def test_a_json_array_in_odd_pieces(step):
    body = json.dumps(CHUNKS, indent=2).encode()
    check(told("google", STREAM, body, chunk=step).reply)


def test_a_cut_array_tells_what_came():
    body = json.dumps(CHUNKS).encode()
    reply = told("google", STREAM, body[:-40], complete=False).reply
    assert reply.text.startswith("}{[ Hel")
    assert (reply.complete, reply.usage.source) == (False, "partial")


def test_an_error_between_the_events_is_found():
    error = json.dumps(
        {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, indent=2
    )
    stream = sse(CHUNKS[1]) + error.encode()
    reply = told("google", STREAM + "?alt=sse", stream).reply
    assert (reply.failure.type, reply.failure.code) == ("UNAVAILABLE", "503")
    assert (reply.text, reply.finish_reason) == ("}{[ Hel", "error")


def test_an_error_may_come_as_an_array():
    body = [{"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}]
    reply = told("google", STREAM, body, status=429).reply
    assert (reply.failure.type, reply.failure.message) == ("RESOURCE_EXHAUSTED", "slow")


def test_thoughts_tools_and_cache_add_up():
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 50,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 10,
        "totalTokenCount": 180,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 80},
            {"modality": "IMAGE", "tokenCount": 20},
        ],
    }
    body = chunk({"text": "a"}, finish="STOP", usage=usage)
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b", "a", ""]}
    reply = told("google", PATH, body).reply
    assert reply.notes == ()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (150, 30)
    assert reply.usage.cache_read_tokens == 60
    assert reply.usage.detail == {"input_tool": 50, "input_image": 20, "web_searches": 2}


@pytest.mark.parametrize(
    ("thoughts", "total", "generated", "notes"),
    [
        (30, 87, 80, ()),
        (30, 57, 50, ()),  # the total is that of prompt and candidates: thoughts are inside
        (30, 60, 80, ("usage_mismatch",)),
        (60, 57, 110, ("usage_mismatch",)),  # more thoughts than candidates can hold
        (30, None, 80, ()),
        (0, 57, 50, ()),
    ],
)
def test_the_total_tells_where_thoughts_are_counted(thoughts, total, generated, notes):
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 50, "thoughtsTokenCount": thoughts}
    body = chunk({"text": "a"}, finish="STOP", usage=usage | {"totalTokenCount": total})
    reply = told("google", PATH, body).reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, generated)
    assert (reply.usage.reasoning_tokens, reply.notes) == (thoughts, notes)


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        ({"serviceTier": "flex"}, "flex"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "ON_DEMAND_PRIORITY"),
        ({"trafficType": 1}, "ON_DEMAND"),
        ({"trafficType": 2}, "PROVISIONED_THROUGHPUT"),
        ({"trafficType": 9}, "9"),
        ({"trafficType": 0}, ""),
        ({"trafficType": ["x"]}, ""),
    ],
)
def test_the_tier_as_served(said, tier):
    """Vertex calls it traffic, in words or, with `enum-encoding=int`, in numbers."""
    body = chunk({"text": "a"}, finish="STOP", usage={"promptTokenCount": 1} | said)
    assert told("google", PATH, body).reply.service_tier == tier


def test_grounding_in_maps_is_counted_by_the_prompt():
    body = chunk({"text": "a"}, finish="STOP", usage={"promptTokenCount": 1})
    chunks = [{"web": {"uri": "u"}}, {"maps": {"placeId": "p"}}, {"maps": {"placeId": "q"}}]
    body["candidates"][0]["groundingMetadata"] = {"groundingChunks": chunks}
    assert told("google", PATH, body).reply.usage.detail == {"map_searches": 1}


def test_snake_case_requests_mean_the_same():
    camel = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBOR"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"n": 2}}}]},
        ],
        "generationConfig": {"maxOutputTokens": 9, "topP": 0.5},
        "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}],
    }
    snake = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"inline_data": {"mime_type": "image/png", "data": "iVBOR"}}],
            },
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"a": 1}}}]},
            {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"n": 2}}}]},
        ],
        "generation_config": {"max_output_tokens": 9, "top_p": 0.5},
        "tools": [{"function_declarations": [{"name": "f"}]}, {"google_search": {}}],
    }
    one = told("google", PATH + "?key=REDACTED", {}, camel).ask
    other = told("google", PATH, {}, snake).ask
    assert [(m.role, m.parts) for m in one.messages] == [(m.role, m.parts) for m in other.messages]
    assert [m.role for m in one.messages] == ["system", "user", "assistant", "tool"]
    assert one.messages[2].parts == (ToolCallPart("", "f", '{"a":1}'),)
    assert one.messages[3].parts == (ToolResultPart("", {"n": 2}, "f"),)
    assert isinstance(one.messages[1].parts[0], MediaPart)
    assert one.params == other.params == {"maxOutputTokens": 9, "topP": 0.5}
    assert one.tool_names == other.tool_names == ("f", "googleSearch")
    assert one.model == "gemini-x"


def test_a_stop_with_calls_asks_for_tools():
    body = chunk({"functionCall": {"name": "f", "args": {}}}, finish="STOP")
    reply = told("google", PATH, body).reply
    assert (reply.finish_reasons, reply.finish_reason) == (("STOP",), "tool_calls")


def test_streamed_arguments_are_joined():
    def call(**fields):
        return chunk({"functionCall": fields})

    def piece(path, **value):
        return [{"jsonPath": path, **value}]

    stream = sse(
        call(name="f", partialArgs=piece("$.city", stringValue="New "), willContinue=True),
        call(partialArgs=piece("$.city", stringValue="York"), willContinue=True),
        call(partialArgs=piece("$.days", numberValue=3), willContinue=False),
        chunk(finish="STOP"),
    )
    calls = told("google", STREAM + "?alt=sse", stream).reply.tool_calls
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [
        ("f", {"city": "New York", "days": 3})
    ]


def test_a_blocked_prompt_is_filtered_content():
    reply = told("google", PATH, {"promptFeedback": {"blockReason": "SAFETY"}}).reply
    assert (reply.finish_reason, reply.finish_detail) == ("content_filter", "SAFETY")


def test_the_envelope_of_a_google_login_is_opened():
    path = "/v1internal:streamGenerateContent?alt=sse"
    request = {"model": "gemini-x", "request": {"contents": [{"parts": [{"text": "Hi"}]}]}}
    stream = sse(*({"response": part} for part in CHUNKS))
    understood = told("google", path, stream, request)
    assert (understood.dialect, understood.ask.model) == ("gemini.generate", "gemini-x")
    assert understood.ask.messages[0].parts == (TextPart("Hi"),)
    check(understood.reply)


def test_counts_and_embeddings():
    counted = told("google", "/v1/models/gemini-x:countTokens", {"totalTokens": 5})
    assert (counted.kind, counted.reply.usage.detail) == ("count", {"counted_tokens": 5})
    usage = {"promptTokenCount": 8, "totalTokenCount": 8}
    embedded = told(
        "google",
        "/v1/models/e:batchEmbedContents",
        {"usageMetadata": usage},
        {"requests": [{}, {}]},
    )
    assert (embedded.dialect, embedded.ask.model) == ("gemini.embeddings", "e")
    assert embedded.ask.params == {"inputs": 2}
    assert embedded.reply.usage.input_tokens == 8


@pytest.mark.parametrize("colon", ["%3A", "%3a"])
def test_an_escaped_colon_is_a_colon(colon):
    body = chunk({"text": "a"}, finish="STOP", usage={"promptTokenCount": 7, "totalTokenCount": 7})
    understood = told("google", PATH.replace(":", colon), body)
    assert (understood.dialect, understood.kind) == ("gemini.generate", "llm")
    assert understood.ask.model == "gemini-x"
    assert understood.reply.usage.input_tokens == 7


def test_only_a_cache_has_a_size():
    """What another method reports is no size of a cache."""
    body = {"usageMetadata": {"totalTokenCount": 40}}
    cache = told("google", "/v1beta/cachedContents", body, {"model": "models/gemini-x"})
    assert cache.reply.usage.detail == {"cached_content_tokens": 40}
    assert told("google", "/v1beta/models/gemini-x:later", body).reply.usage.detail == {}
