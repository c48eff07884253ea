"""Chat completions: the stream traps, both spellings of tools, several choices."""

import json

import pytest

from agenttrace_mitm.model import MediaPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1/chat/completions"
USAGE = {
    "prompt_tokens": 51,
    "completion_tokens": 12,
    "total_tokens": 63,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 4, "rejected_prediction_tokens": 2},
}


def chunk(delta=None, finish=None, **more):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-7", "model": "gpt-x", "choices": [choice], **more}


def end(usage=USAGE):
    return {"id": "chatcmpl-7", "model": "gpt-x", "choices": [], "usage": usage}


def test_usage_comes_after_the_finish_reason():
    stream = sse(chunk({"content": "Hi"}), chunk(finish="stop"), end(), "[DONE]")
    reply = told("openai", PATH, stream).reply
    assert (reply.text, reply.finish_reason, reply.complete) == ("Hi", "stop", True)
    assert reply.usage.source == "reported"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (51, 12)
    assert reply.usage.cache_read_tokens == 40
    assert reply.usage.reasoning_tokens == 4
    assert reply.usage.detail == {"input_audio": 3, "prediction_rejected": 2}
    assert reply.usage.raw == USAGE


def test_a_stream_without_usage_reports_none():
    usage = told("openai", PATH, sse(chunk({"content": "Hi"}, "stop"), "[DONE]")).reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.raw) == (None, None, None)


def test_counts_that_run_along_are_partial_until_the_end():
    along = chunk({"content": "Hi"}, usage={"prompt_tokens": 5, "completion_tokens": 1})
    assert told("openai", PATH, sse(along)).reply.usage.source == "partial"
    assert told("openai", PATH, sse(along, chunk(finish="stop"), end())).reply.usage.source == (
        "reported"
    )


def test_an_empty_name_in_a_later_chunk_takes_none_back():
    """Azure's asynchronous filter: its last chunks are of no completion and no model."""
    filtered = {"index": 0, "delta": {}, "content_filter_offsets": {"check_offset": 44}}
    empty = {"id": "", "model": "", "object": "", "created": 0, "choices": [filtered]}
    stream = sse(chunk({"content": "Hi"}, "stop"), end(), empty, "[DONE]")
    reply = told("azure", PATH, stream).reply
    assert (reply.response_id, reply.model, reply.text) == ("chatcmpl-7", "gpt-x", "Hi")
    assert (reply.finish_reason, reply.usage.input_tokens) == ("stop", 51)


def test_counts_that_run_along_are_partial_until_every_choice_has_ended():
    def along(index, finish, written):
        counted = {"prompt_tokens": 5, "completion_tokens": written}
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": finish}
        return {"choices": [choice], "usage": counted}

    one = sse(along(0, None, 1), along(1, None, 2), along(0, "stop", 3))
    assert told("vllm", PATH, one).reply.usage.source == "partial"
    both = one + sse(along(1, "stop", 4))
    assert told("vllm", PATH, both, complete=False).reply.usage.source == "reported"


def test_a_stream_that_stops_without_an_end_is_aborted():
    reply = told("openai", PATH, sse(chunk({"content": "Hi"}))).reply
    assert (reply.finish_reason, reply.complete, reply.finish_reasons) == ("aborted", False, ())


def test_parallel_tool_calls_interleave_and_split_inside_an_escape():
    def call(index, **function):
        given = {"index": index, "function": function}
        if "name" in function:
            given |= {"id": f"call_{index}", "type": "function"}
        return chunk({"tool_calls": [given]})

    stream = sse(
        call(0, name="ls", arguments=""),
        call(1, name="cat", arguments='{"path": "\\u00'),
        call(0, arguments='{"dir"'),
        call(1, arguments='e9"}'),
        call(0, arguments=': "."}'),
        chunk(finish="tool_calls"),
        end(),
        "[DONE]",
    )
    calls = told("openai", PATH, stream).reply.tool_calls
    assert [(c.id, c.name, json.loads(c.arguments)) for c in calls] == [
        ("call_0", "ls", {"dir": "."}),
        ("call_1", "cat", {"path": "\u00e9"}),
    ]


def test_parallel_calls_that_share_an_index_are_told_apart_by_id():
    """Some compatible servers say index 0 for each of several whole calls."""
    stream = sse(
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "b", "function": {"arguments": "[]"}}]}),
        chunk(finish="tool_calls"),
        "[DONE]",
    )
    calls = told("openai", PATH, stream).reply.tool_calls
    assert [(c.id, c.name, c.arguments) for c in calls] == [("a", "f", "{}"), ("b", "g", "[]")]


def test_fragments_without_index_join_by_id_or_by_being_the_last():
    whole = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    first = {"id": "b", "function": {"name": "g", "arguments": '{"x"'}}
    stream = sse(
        chunk({"tool_calls": [whole]}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"function": {"arguments": ": 1}"}}]}),
        chunk(finish="tool_calls"),
        "[DONE]",
    )
    calls = told("openai", PATH, stream).reply.tool_calls
    assert [(c.id, c.name, c.arguments) for c in calls] == [
        ("a", "f", "{}"),
        ("b", "g", '{"x": 1}'),
    ]


def test_streamed_and_whole_say_the_same():
    message = {
        "role": "assistant",
        "content": "Hi there",
        "reasoning_content": "hm, hm",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "d", "type": "custom", "custom": {"name": "g", "input": "free text"}},
        ],
    }
    whole = {
        "id": "chatcmpl-7",
        "model": "gpt-x",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": USAGE,
        "service_tier": "priority",
    }
    half = {"index": 1, "custom": {"input": "text"}}
    stream = sse(
        chunk({"role": "assistant", "reasoning_content": "hm, "}, service_tier="priority"),
        chunk({"reasoning_content": "hm", "obfuscation": "xyz"}, obfuscation="abcdef"),
        chunk({"content": "Hi "}),
        chunk({"content": "there"}),
        chunk({"tool_calls": [message["tool_calls"][0] | {"index": 0}]}),
        chunk(
            {
                "tool_calls": [
                    {"index": 1, "id": "d", "type": "custom"}
                    | {"custom": {"name": "g", "input": "free "}}
                ]
            }
        ),
        chunk({"tool_calls": [half]}),
        chunk(finish="tool_calls"),
        end(),
        "[DONE]",
    )
    one, other = told("openai", PATH, whole).reply, told("openai", PATH, stream).reply
    assert one.messages[0].parts == other.messages[0].parts
    assert one.usage == other.usage
    assert (one.finish_reason, one.service_tier) == (other.finish_reason, other.service_tier)
    assert not one.streamed
    assert other.streamed


def test_every_choice_is_a_message():
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for n, text in enumerate(("a", "b"))
    ]
    reply = told("openai", PATH, {"id": "x", "choices": choices, "usage": USAGE}).reply
    assert [m.parts for m in reply.messages] == [(TextPart("a"),), (TextPart("b"),)]
    assert reply.finish_reasons == ("stop", "stop")
    assert reply.text == "a"


def test_an_error_inside_a_stream_is_the_reply_s_failure():
    error = {"error": {"message": "overloaded", "type": "server_error", "code": None}}
    reply = told("openai", PATH, sse(chunk({"content": "Hi"}), error)).reply
    assert (reply.failure.type, reply.failure.message) == ("server_error", "overloaded")
    assert (reply.text, reply.finish_reason, reply.complete) == ("Hi", "error", False)


def test_a_refusal_is_filtered_content():
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reply = told("openai", PATH, {"choices": [choice]}).reply
    assert reply.finish_reason == "content_filter"
    assert reply.finish_reasons == ("stop",)
    assert reply.messages[0].parts == (TextPart("I will not.", "refusal"),)


def test_a_request_is_read_message_by_message():
    png = "data:image/png;base64,iVBORw0KGgo="
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": png}},
                {"type": "image_url", "image_url": {"url": "https://host/cat.png"}},
                {"type": "hologram", "data": 1},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    request = {
        "model": "gpt-x",
        "messages": messages,
        "stream": True,
        "temperature": 0.5,
        "max_tokens": 9,
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"secret": 1}}},
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "user": "u-1",
        "metadata": {"run": "7"},
    }
    ask = told("openai", PATH, {}, request).ask
    assert [m.role for m in ask.messages] == ["system", "user", "assistant", "tool"]
    assert [m.raw for m in ask.messages] == messages
    text, inline, linked, unknown = ask.messages[1].parts
    assert text == TextPart("See")
    assert isinstance(inline, MediaPart)
    assert (inline.mime_type, inline.size, len(inline.sha256)) == ("image/png", 8, 64)
    assert linked == MediaPart("image", uri="https://host/cat.png")
    assert unknown.raw == {"type": "hologram", "data": 1}
    assert ask.messages[2].parts == (ToolCallPart("c1", "f", "{}"),)
    assert ask.messages[3].parts == (ToolResultPart("c1", "42"),)
    assert ask.tool_names == ("f",)
    assert ask.streamed
    assert ask.params == {"temperature": 0.5, "max_tokens": 9, "response_format": "json_schema"}
    assert ask.links.end_user == "u-1"
    assert ask.metadata == {"run": "7"}


def test_compatible_endpoints_speak_the_same_dialect():
    for provider, path in [
        ("google", "/v1beta/openai/chat/completions"),
        ("cohere", "/compatibility/v1/chat/completions"),
        ("openrouter", "/api/v1/chat/completions"),
    ]:
        assert told(provider, path, {}).dialect == "openai.chat"
    assert told("mistral", PATH, {}).dialect == "mistral.chat"
    assert told("openai", PATH, {}, method="GET").dialect == "openai.stored_chat"


def test_totals_that_do_not_add_up_are_noted():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    reply = told("openai", PATH, {"choices": [], "usage": usage}).reply
    assert reply.notes == ("usage_mismatch",)
    assert reply.usage.total_tokens == 40


@pytest.mark.parametrize(
    ("usage", "counted", "notes"),
    [
        ((9, 3, 105), (96, 93), ("derived:reasoning_tokens",)),
        ((9, 0, 105), (96, 96), ("derived:reasoning_tokens",)),
        ((9, None, 105), (96, 96), ("derived:reasoning_tokens",)),
        ((9, 3, 12), (3, None), ()),
        ((9, 3, None), (3, None), ()),
        ((None, 3, 105), (3, None), ("usage_mismatch",)),
        ((9, 3, 10), (3, None), ("usage_mismatch",)),
    ],
)
def test_gemini_tells_of_thoughts_by_the_total_alone(usage, counted, notes):
    """At its compatible endpoint; whose total holds what elsewhere is not ours to guess."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    body = {"choices": [], "usage": dict(zip(names, usage, strict=True))}
    reply = told("google", "/v1beta/openai/chat/completions", body).reply
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == counted
    assert reply.notes == notes
    other = told("openai", PATH, body).reply.usage
    assert (other.output_tokens, other.reasoning_tokens) == (usage[1], None)


def test_vertex_names_its_thoughts():
    details = {"completion_tokens_details": {"reasoning_tokens": 93}}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 105} | details
    path = "/v1/projects/p/locations/l/endpoints/openapi/chat/completions"
    reply = told("google", path, {"choices": [], "usage": usage}).reply
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (96, 93)
    assert reply.notes == ()


def test_gemini_s_stream_tells_of_thoughts_as_its_answer_does():
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 105}
    stream = sse(chunk({"content": "Hi"}, "stop") | {"usage": usage}, "[DONE]")
    reply = told("google", "/v1beta/openai/chat/completions", stream).reply
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (96, 93)


def test_mistral_mixes_text_and_blocks():
    def delta(content):
        return chunk({"content": content})

    def thinking(text):
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}

    stream = sse(
        delta(""),
        delta([thinking("first ")]),
        delta([thinking("this"), {"type": "text", "text": "So"}]),
        delta(": yes"),
        chunk(finish="stop", usage={"prompt_tokens": 5, "completion_tokens": 3}),
        "[DONE]",
    )
    reply = told("mistral", PATH, stream).reply
    assert [part.text for part in reply.messages[0].parts] == ["first this", "So: yes"]
    assert reply.usage.source == "reported"


def test_mistral_arguments_may_be_an_object_and_its_cache_an_older_field():
    call = {"id": "c", "function": {"name": "f", "arguments": {"a": [1]}}}
    body = {
        "choices": [
            {
                "message": {"role": "assistant", "tool_calls": [call]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 64, "completion_tokens": 6, "num_cached_tokens": 32},
    }
    reply = told("mistral", PATH, body).reply
    assert reply.tool_calls[0].arguments == '{"a":[1]}'
    assert reply.usage.cache_read_tokens == 32


def test_fill_in_the_middle_is_a_text_completion():
    understood = told("mistral", "/v1/fim/completions", {}, {"prompt": "def", "suffix": "end"})
    assert (understood.dialect, understood.operation) == ("mistral.fim", "text_completion")
    assert understood.ask.messages[0].parts == (TextPart("def"), TextPart("end"))
