"""Gemini Interactions: thoughts and tools counted apart, steps streamed and whole alike."""

from agenttrace_mitm.model import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1beta/interactions"
USAGE = {
    "input_tokens_by_modality": [{"modality": "text", "tokens": 50}],
    "total_input_tokens": 60,
    "total_cached_tokens": 20,
    "total_output_tokens": 30,
    "total_thought_tokens": 7,
    "total_tool_use_tokens": 5,
    "total_tokens": 102,
    "grounding_tool_count": [
        {"type": "google_search", "count": 2},
        {"type": "google_maps", "count": 3},
    ],
}
STEPS = [
    {"type": "thought", "signature": "s", "summary": [{"type": "text", "text": "hm"}]},
    {"type": "google_search_call", "id": "g", "arguments": {"queries": ["q"]}},
    {"type": "google_search_result", "call_id": "g", "result": [{"title": "t"}]},
    {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]},
    {"type": "function_call", "id": "f1", "name": "add", "arguments": {"x": 1}},
]


def interaction(status="requires_action", steps=STEPS, **more):
    base = {"id": "v1_a", "object": "interaction", "model": "gemini-3", "status": status}
    return base | {"steps": steps, "usage": USAGE, "service_tier": "flex"} | more


def events():
    def delta(index, **fields):
        return {"event_type": "step.delta", "index": index, "delta": fields}

    def start(index, **step):
        return {"event_type": "step.start", "index": index, "step": step}

    created = interaction("in_progress") | {"steps": None, "usage": None}
    completed = interaction() | {"steps": None}
    return [
        {"event_type": "interaction.created", "interaction": created},
        start(0, type="thought"),
        delta(0, type="thought_signature", signature="s"),
        delta(0, type="thought_summary", content={"type": "text", "text": "hm"}),
        {"event_type": "step.stop", "index": 0},
        start(1, type="google_search_call", id="g", arguments={"queries": ["q"]}),
        start(2, type="google_search_result", call_id="g", result=[{"title": "t"}]),
        start(3, type="model_output"),
        delta(3, type="text", text="Hel"),
        delta(3, type="text", text="lo"),
        start(4, type="function_call", id="f1", name="add", arguments={}),
        delta(4, type="arguments_delta", arguments='{"x"'),
        delta(4, type="arguments_delta", arguments=":1}"),
        {"event_type": "interaction.completed", "interaction": completed},
        "[DONE]",
    ]


def test_an_interaction_is_a_call_with_everything_added_up():
    understood = told("google", PATH, interaction(), {"model": "gemini-3", "input": "Hi"})
    reply = understood.reply
    assert (understood.dialect, understood.kind) == ("gemini.interactions", "llm")
    assert understood.operation == "generate_content"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (65, 37)
    assert (reply.usage.cache_read_tokens, reply.usage.reasoning_tokens) == (20, 7)
    assert (reply.usage.detail["web_searches"], reply.usage.detail["map_searches"]) == (2, 3)
    assert reply.notes == ()
    assert (reply.finish_reasons, reply.finish_reason) == (("requires_action",), "tool_calls")
    assert reply.service_tier == "flex"


def test_a_total_that_is_not_the_sum_is_noted():
    reply = told("google", PATH, interaction(usage=USAGE | {"total_tokens": 90})).reply
    assert reply.notes == ("usage_mismatch",)


def test_steps_become_parts():
    reply = told("google", PATH, interaction()).reply
    assert reply.messages[0].parts == (
        ReasoningPart("hm"),
        ToolCallPart("g", "google_search", '{"queries":["q"]}', server=True),
        ToolResultPart("g", [{"title": "t"}], "google_search", server=True),
        TextPart("Hello"),
        ToolCallPart("f1", "add", '{"x":1}'),
    )
    assert [call.name for call in reply.tool_calls] == ["add"]


def test_a_stream_is_what_it_stands_for():
    streamed = told("google", PATH, sse(*events()), {"stream": True}).reply
    whole = told("google", PATH, interaction()).reply
    assert streamed.complete
    assert streamed.messages[0].parts == whole.messages[0].parts
    assert (streamed.usage, streamed.finish_reasons) == (whole.usage, whole.finish_reasons)


def test_a_stream_that_was_cut_keeps_what_came():
    reply = told("google", PATH, sse(*events()[:9]), complete=False).reply
    assert (reply.text, reply.complete, reply.usage.source) == ("Hel", False, "estimated")
    assert reply.finish_reason == "aborted"


def test_an_error_inside_a_stream_is_a_failure():
    error = {"event_type": "error", "error": {"code": "internal", "message": "broken"}}
    reply = told("google", PATH, sse(*events()[:9], error)).reply
    assert (reply.failure.code, reply.failure.message) == ("internal", "broken")


def test_older_answers_list_contents():
    contents = [{"type": "text", "text": "Hi"}, {"type": "function_call", "id": "f", "name": "n"}]
    body = interaction("completed", None) | {"outputs": contents}
    reply = told("google", PATH, body).reply
    assert reply.text == "Hi"
    assert [call.id for call in reply.tool_calls] == ["f"]


def test_the_request_brings_results_and_its_predecessor():
    result = {"type": "function_result", "call_id": "f1", "name": "add", "result": {"sum": 3}}
    request = {
        "model": "gemini-3",
        "system_instruction": "Be brief.",
        "previous_interaction_id": "v1_a",
        "input": [{"type": "user_input", "content": [result]}],
        "generation_config": {"temperature": 0, "thinking_level": "low"},
        "tools": [{"type": "function", "name": "add"}, {"type": "google_search"}],
    }
    ask = told("google", PATH, interaction(), request).ask
    assert [message.role for message in ask.messages] == ["system", "tool"]
    assert ask.messages[1].parts == (ToolResultPart("f1", {"sum": 3}, "add"),)
    assert ask.links.previous_response_id == "v1_a"
    assert ask.tool_names == ("add", "google_search")
    assert ask.params == {"temperature": 0, "thinking_level": "low"}


def test_fetching_one_is_administration_that_reads_the_answer():
    fetched = told("google", f"{PATH}/v1_a", interaction("completed"), method="GET")
    assert (fetched.kind, fetched.operation) == ("admin", "retrieve")
    assert fetched.reply.usage.output_tokens == 37
    assert told("google", f"{PATH}/v1_a/cancel", interaction("cancelled")).operation == "cancel"


def test_the_total_tells_whether_thoughts_are_in_the_output():
    usage = {"total_input_tokens": 60, "total_output_tokens": 30, "total_thought_tokens": 7}
    for total, generated in ((97, 37), (90, 30)):
        reply = told("google", PATH, interaction(usage=usage | {"total_tokens": total})).reply
        assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (generated, 7)
        assert "usage_mismatch" not in reply.notes
