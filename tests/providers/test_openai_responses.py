"""Responses: the three ends of a stream, items before and after they are done, polling."""

import pytest

from agenttrace_mitm.model import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1/responses"
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {
        "cached_tokens": 60,
        "cache_write_tokens": 30,
        "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 20},
    },
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 8},
    "total_tokens": 120,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a":1}',
}


def response(status="completed", output=(MESSAGE,), **more):
    return {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-x",
        "status": status,
        "output": list(output),
        "usage": USAGE,
        "service_tier": "default",
        **more,
    }


def opening():
    base = response("in_progress", ()) | {"usage": None}
    return [
        {"type": "response.created", "response": base},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": MESSAGE | {"content": []},
        },
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "item_id": "msg_1",
            "content_index": 0,
            "delta": "Hel",
            "obfuscation": "abc",
        },
    ]


@pytest.mark.parametrize(
    ("event", "more", "finish"),
    [
        ("completed", {}, "stop"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ("failed", {"error": {"code": "server_error", "message": "sorry"}}, "error"),
    ],
)
def test_every_terminal_event_carries_the_whole_response(event, more, finish):
    last = {"type": f"response.{event}", "response": response(event, **more)}
    reply = told("openai", PATH, sse(*opening(), last, named=True)).reply
    assert (reply.text, reply.complete, reply.response_id) == ("Hello", True, "resp_1")
    assert (reply.finish_reasons, reply.finish_reason) == ((event,), finish)
    usage = reply.usage
    assert (usage.source, usage.input_tokens, usage.output_tokens) == ("reported", 100, 20)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (60, 30)
    assert usage.detail == {"cache_write_30m": 10, "cache_write_12h": 20}
    assert (reply.failure is not None) == (event == "failed")


def test_collected_items_stand_in_for_an_empty_output():
    done = {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE}
    last = {"type": "response.completed", "response": response(output=())}
    reply = told("openai", PATH, sse(*opening(), done, last, named=True)).reply
    assert reply.text == "Hello"


def test_a_cut_stream_tells_from_its_deltas():
    arguments = [
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": CALL | {"arguments": ""},
        },
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 1,
            "item_id": "fc_1",
            "delta": '{"a":',
        },
    ]
    reply = told("openai", PATH, sse(*opening(), *arguments, named=True)).reply
    assert (reply.text, reply.complete, reply.usage.source) == ("Hel", False, "estimated")
    assert reply.tool_calls == (ToolCallPart("call_1", "f", '{"a":', "fc_1"),)
    assert (reply.finish_reason, reply.finish_reasons) == ("aborted", ("in_progress",))


def test_what_works_in_the_background_is_paused_and_a_cut_stream_of_it_aborted():
    queued = response("queued", ()) | {"usage": None}
    assert told("openai", PATH, queued, {"background": True}).reply.finish_reason == "paused"
    stream = sse({"type": "response.queued", "response": queued}, named=True)
    assert told("openai", PATH, stream, complete=False).reply.finish_reason == "aborted"


def test_an_error_event_is_the_failure():
    event = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}
    reply = told("openai", PATH, sse(*opening(), event, named=True)).reply
    assert (reply.failure.code, reply.failure.message) == ("rate_limit_exceeded", "slow down")
    assert (reply.text, reply.finish_reason) == ("Hel", "error")


def test_pending_calls_make_a_completed_response_ask_for_tools():
    reply = told("openai", PATH, response(output=(CALL,))).reply
    assert (reply.finish_reasons, reply.finish_reason) == (("completed",), "tool_calls")
    assert reply.tool_calls == (ToolCallPart("call_1", "f", '{"a":1}', "fc_1"),)


def test_server_tools_are_told_apart():
    items = (
        {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "x"}},
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"id": "ci_1", "type": "code_interpreter_call", "code": "1+1", "outputs": [{"logs": "2"}]},
        {"id": "zz_1", "type": "teleport_call", "to": "Mars"},
        MESSAGE,
    )
    body = response(output=items, tool_usage={"web_search": {"num_requests": 2}})
    reply = told("openai", PATH, body).reply
    search, thought, code, logs, unknown, text = reply.messages[0].parts
    assert (search.name, search.server) == ("web_search", True)
    assert thought == ReasoningPart("hm")
    assert (code.arguments, code.server) == ("1+1", True)
    assert logs == ToolResultPart("ci_1", [{"logs": "2"}], "code_interpreter", server=True)
    assert unknown.raw["to"] == "Mars"
    assert text == TextPart("Hello")
    assert reply.tool_calls == ()
    assert reply.finish_reason == "stop"
    assert reply.usage.detail["web_searches"] == 2


@pytest.mark.parametrize(
    ("method", "path", "operation", "kind"),
    [
        ("POST", "/v1/responses", "chat", "llm"),
        ("GET", "/v1/responses/resp_1", "retrieve", "admin"),
        ("POST", "/v1/responses/resp_1/cancel", "cancel", "admin"),
        ("POST", "/v1/responses/compact", "compact", "auxiliary"),
        ("POST", "/v1/responses/input_tokens", "count_tokens", "count"),
    ],
)
def test_what_is_done_with_a_response(method, path, operation, kind):
    understood = told("openai", path, response(), method=method)
    assert (understood.dialect, understood.operation, understood.kind) == (
        "openai.responses",
        operation,
        kind,
    )
    if operation != "count_tokens":
        assert understood.reply.response_id == "resp_1"


def test_a_deleted_response_is_administration():
    understood = told("openai", "/v1/responses/resp_1", {"deleted": True}, method="DELETE")
    assert (understood.dialect, understood.kind) == ("openai.stored_responses", "admin")


def test_counted_tokens_are_no_consumption():
    usage = told("openai", "/v1/responses/input_tokens", {"input_tokens": 16}).reply.usage
    assert (usage.detail, usage.input_tokens) == ({"counted_tokens": 16}, None)


def test_a_request_is_read_item_by_item():
    request = {
        "model": "gpt-x",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
            CALL,
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                ],
            },
            {"type": "item_reference", "id": "msg_0"},
        ],
        "previous_response_id": "resp_0",
        "conversation": {"id": "conv_1"},
        "prompt": {"id": "pmpt_1"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "high"},
        "safety_identifier": "u-1",
    }
    ask = told("openai", PATH, response(), request).ask
    assert [m.role for m in ask.messages] == [
        "system",
        "user",
        "assistant",
        "assistant",
        "tool",
        "assistant",
    ]
    assert ask.messages[2].parts == (ReasoningPart(""),)
    result = ask.messages[4].parts[0]
    assert result.content[0] == {"type": "input_text", "text": "see"}
    assert result.content[1]["size"] == 8
    assert "image_url" not in result.content[1]
    links = ask.links
    assert (links.previous_response_id, links.conversation_id) == ("resp_0", "conv_1")
    assert (links.prompt_id, links.end_user) == ("pmpt_1", "u-1")
    assert ask.params == {
        "reasoning": {"effort": "high"},
        "response_format": "json_object",
        "verbosity": "low",
    }


TYPED = [
    {"type": "shell_call", "call_id": "s1", "action": {"commands": ["ls"]}},
    {"type": "apply_patch_call", "call_id": "p1", "operation": {"type": "delete_file"}},
    {"type": "computer_call", "call_id": "c1", "action": {"type": "click"}},
    {"type": "local_shell_call", "call_id": "l1", "action": {"command": ["ls"]}},
    {"type": "tool_search_call", "call_id": "t1", "execution": "client", "arguments": {"q": "x"}},
]


@pytest.mark.parametrize("item", TYPED, ids=lambda item: item["type"])
def test_tools_that_the_provider_defines_are_kept_beside_functions(item):
    """The client runs them, so the reply waits; they are no functions of its own."""
    reply = told("openai", PATH, response(output=(item, CALL))).reply
    assert [made.id for made in reply.tool_calls] == ["call_1"]
    [typed, _] = reply.messages[0].parts
    assert (typed.id, typed.server, typed.typed) == (item["call_id"], False, True)
    assert told("openai", PATH, response(output=(item,))).reply.finish_reason == "tool_calls"


def test_searches_are_billed_and_looking_at_pages_is_not():
    def action(kind):
        return {"type": "web_search_call", "id": kind, "action": {"type": kind}}

    output = [action("search"), action("open_page"), action("find_in_page"), action("search")]
    counted = told("openai", PATH, response(output=output)).reply
    assert counted.usage.detail["web_searches"] == 2
    assert "estimated:web_searches" in counted.notes
    says = response(output=output, tool_usage={"web_search": {"num_requests": 1}})
    told_so = told("openai", PATH, says).reply
    assert told_so.usage.detail["web_searches"] == 1
    assert told_so.notes == ()


def test_tools_that_are_billed_beside_the_tokens_are_counted():
    """By call, and containers once however many calls ran in one; what failed is not billed."""
    output = [
        {"type": "file_search_call", "id": "f1", "queries": ["a", "b"], "status": "completed"},
        {"type": "file_search_call", "id": "f2", "queries": ["c"], "status": "failed"},
        {"type": "code_interpreter_call", "id": "c1", "code": "1", "container_id": "cntr_1"},
        {"type": "code_interpreter_call", "id": "c2", "code": "2", "container_id": "cntr_1"},
        {"type": "shell_call", "call_id": "s1", "environment": {"container_id": "cntr_2"}},
        MESSAGE,
    ]
    detail = told("openai", PATH, response(output=output)).reply.usage.detail
    assert (detail["storage_searches"], detail["containers"]) == (1, 2)
    assert "images_generated" not in detail


IMAGE = {"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo="}
IMAGE_TOKENS = {
    "input_tokens": 260,
    "input_tokens_details": {"text_tokens": 60, "image_tokens": 200},
    "output_tokens": 1100,
    "output_tokens_details": {"image_tokens": 1056, "text_tokens": 44},
    "cached_tokens": 30,
    "cached_tokens_details": {"cached_text_tokens": 10, "cached_image_tokens": 20},
    "total_tokens": 1360,
}
NO_IMAGE_TOKENS = {"input_tokens": 0, "input_tokens_details": {}, "output_tokens": 0}


def made_images(tokens, *items, model=None):
    tool = {"type": "image_generation", "size": "auto"} | ({"model": model} if model else {})
    usage = {"image_gen": tokens, "web_search": {"num_requests": 0}}
    body = response(output=(*items, MESSAGE), tool_usage=usage, tools=[{"type": "x"}, tool])
    return told("openai", PATH, body).reply


def test_tokens_of_images_stand_beside_those_of_the_call():
    """They are another model's; its name is kept with the usage, where a price is made of it."""
    reply = made_images(IMAGE_TOKENS, IMAGE, model="gpt-image-1.5")
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens) == (100, 20)
    assert {k: v for k, v in usage.detail.items() if "image" in k} == {
        "images_generated": 1,
        "image_tool_input": 260,
        "image_tool_input_text": 60,
        "image_tool_input_image": 200,
        "image_tool_output": 1100,
        "image_tool_output_text": 44,
        "image_tool_output_image": 1056,
        "image_tool_cached": 30,
        "image_tool_cached_text": 10,
        "image_tool_cached_image": 20,
    }
    assert usage.raw == USAGE | {"image_model": "gpt-image-1.5"}
    assert reply.notes == ()


def test_an_image_whose_model_or_tokens_nobody_tells_is_counted_all_the_same():
    default = made_images(IMAGE_TOKENS, IMAGE).usage
    assert (default.raw, default.detail["images_generated"]) == (USAGE, 1)
    uncounted = made_images(NO_IMAGE_TOKENS, IMAGE, IMAGE, model="gpt-image-1.5").usage
    assert (uncounted.raw, uncounted.detail["images_generated"]) == (USAGE, 2)
    assert made_images(IMAGE_TOKENS).usage.detail["images_generated"] == 1
    assert "images_generated" not in made_images(NO_IMAGE_TOKENS).usage.detail
