"""Anthropic: cumulative usage, blocks, refusals, and what Claude Code packs into a request."""

import json

import pytest

from agenttrace_mitm.model import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1/messages"
USAGE = {
    "input_tokens": 9,
    "cache_read_input_tokens": 4000,
    "cache_creation_input_tokens": 120,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 1,
}


MONITOR = "You are a security monitor for autonomous AI coding agents."


TITLED = {"output_config": {"format": {"type": "json_schema", "schema": {}}}}


def monitor():
    billing = "x-anthropic-billing-header: cc_version=2.1.329.abd; cc_entrypoint=sdk-cli"
    return [{"type": "text", "text": words} for words in (billing, f"{MONITOR}\n\n## Context")]


def start():
    return {
        "type": "message_start",
        "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": USAGE},
    }


def block(index, kind, *deltas, **more):
    opened = {"type": "content_block_start", "index": index}
    yield opened | {"content_block": {"type": kind, **more}}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def text(value):
    return {"type": "text_delta", "text": value}


def end(output_tokens, reason="end_turn"):
    delta = {"stop_reason": reason, "stop_sequence": None}
    usage = {"output_tokens": output_tokens, "input_tokens": None}
    return {"type": "message_delta", "delta": delta, "usage": usage}


STOP = {"type": "message_stop"}


def test_usage_is_cumulative_and_the_last_wins():
    stream = sse(
        start(),
        {"type": "ping"},
        *block(0, "text", text("Hel"), text("lo"), text=""),
        end(30, None),
        end(64),
        STOP,
        named=True,
    )
    reply = told("anthropic", PATH, stream).reply
    usage = reply.usage
    assert (reply.text, reply.complete, reply.finish_reason) == ("Hello", True, "stop")
    assert (usage.input_tokens, usage.output_tokens) == (4129, 64)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (4000, 120)
    assert usage.detail == {"cache_write_5m": 100, "cache_write_1h": 20}
    assert (usage.source, usage.total_tokens) == ("reported", None)


def test_a_cut_stream_keeps_the_input_it_was_told():
    reply = told("anthropic", PATH, sse(start(), *block(0, "text", text("He")), named=True)).reply
    assert (reply.usage.source, reply.usage.input_tokens) == ("partial", 4129)
    assert (reply.text, reply.complete, reply.finish_reason) == ("He", False, "aborted")


def test_tool_input_is_joined_and_empty_input_is_an_object():
    def piece(value):
        return {"type": "input_json_delta", "partial_json": value}

    stream = sse(
        start(),
        *block(0, "tool_use", piece('{"pa'), piece('th": "a"}'), id="t0", name="Read", input={}),
        *block(1, "tool_use", piece(""), id="t1", name="Now", input={}),
        end(5, "tool_use"),
        STOP,
        named=True,
    )
    reply = told("anthropic", PATH, stream).reply
    assert reply.tool_calls == (
        ToolCallPart("t0", "Read", '{"path":"a"}'),
        ToolCallPart("t1", "Now", "{}"),
    )
    assert reply.finish_reason == "tool_calls"


def test_an_error_in_the_middle_leaves_what_came_before():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    stream = sse(start(), *block(0, "text", text("He")), error, named=True)
    reply = told("anthropic", PATH, stream).reply
    assert (reply.failure.type, reply.failure.message) == ("overloaded_error", "Overloaded")
    assert (reply.text, reply.finish_reason, reply.complete) == ("He", "error", False)
    assert reply.usage.source == "partial"


def test_searches_compaction_and_refusal():
    usage = USAGE | {
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
        "iterations": [
            {"type": "compaction", "input_tokens": 500, "output_tokens": 70},
            {"type": "message", "input_tokens": 9, "output_tokens": 1},
        ],
        "service_tier": "priority",
    }
    body = {
        "id": "msg_1",
        "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "srv", "content": [{"url": "u"}]},
            {"type": "text", "text": "No."},
        ],
        "stop_reason": "refusal",
        "stop_details": {"category": "cyber"},
        "usage": usage,
    }
    reply = told("anthropic", PATH, body).reply
    thought, call, result, words = reply.messages[0].parts
    assert thought == ReasoningPart("hm")
    assert call == ToolCallPart("srv", "web_search", '{"query":"x"}', server=True)
    assert result == ToolResultPart("srv", [{"url": "u"}], server=True)
    assert words == TextPart("No.")
    assert (reply.finish_reason, reply.finish_detail) == ("content_filter", "cyber")
    assert reply.tool_calls == ()
    assert reply.service_tier == "priority"
    assert reply.usage.input_tokens == 4129
    assert reply.usage.detail == {
        "cache_write_5m": 100,
        "cache_write_1h": 20,
        "web_searches": 3,
        "compaction_input_tokens": 500,
        "compaction_output_tokens": 70,
    }


@pytest.mark.parametrize(
    ("more", "ran"),
    [
        ({"container": {"id": "container_1", "expires_at": "2026-11-20T10:00:00Z"}}, True),
        ({"usage": USAGE | {"server_tool_use": {"code_execution_requests": 2}}}, True),
        ({"usage": USAGE | {"server_tool_use": {"code_execution_requests": 0}}}, False),
        ({"container": None}, False),
    ],
)
def test_a_container_that_code_ran_in_is_counted(more, ran):
    """It is charged by the hour: once, whatever ran in it."""
    body = {"id": "msg_1", "model": "claude-x", "content": [], "usage": USAGE} | more
    reply = told("anthropic", PATH, body).reply
    assert (reply.usage.detail.get("containers"), reply.notes) == (1 if ran else None, ())


@pytest.mark.parametrize(
    ("provider", "path", "dialect"),
    [
        ("anthropic", "/v1/messages?beta=true", "anthropic.messages"),
        ("gateway", "/anthropic/v1/messages", "anthropic.messages"),
        ("openai", "/v1/threads/thread_1/messages", "openai.assistants"),
        ("anthropic", "/v1/messages/batches", "anthropic.batches"),
    ],
)
def test_the_path_decides_who_speaks_it(provider, path, dialect):
    assert told(provider, path, {}).dialect == dialect


def test_counting_tokens_consumes_none():
    understood = told("anthropic", "/v1/messages/count_tokens?beta=true", {"input_tokens": 16})
    assert (understood.kind, understood.operation) == ("count", "count_tokens")
    assert understood.reply.usage.detail == {"counted_tokens": 16}
    assert understood.reply.usage.input_tokens is None


@pytest.mark.parametrize(
    ("user_id", "session", "end_user"),
    [
        ('{"device_id": "d", "account_uuid": "acc", "session_id": "ses"}', "ses", "acc"),
        ("user_7f_account_acc-1_session_ses-1", "ses-1", "acc-1"),
        ("somebody", "", "somebody"),
        ("{not json", "", "{not json"),
    ],
)
def test_the_user_id_may_hold_a_session(user_id, session, end_user):
    links = told("anthropic", PATH, {}, {"metadata": {"user_id": user_id}}).ask.links
    assert (links.session_id, links.end_user) == (session, end_user)


def test_claude_code_s_headers_win_and_its_billing_line_is_no_prompt():
    def ask(cch):
        billing = f"x-anthropic-billing-header: cc_version=2.1; cch={cch}; cc_prompt_id=p1"
        system = [{"type": "text", "text": billing}, {"type": "text", "text": "You are Claude."}]
        headers = {
            "x-claude-code-session-id": "ses",
            "X-Claude-Code-Agent-Id": "a1",
            "x-claude-code-parent-agent-id": "a0",
        }
        return told("anthropic", PATH, {}, {"system": system}, request_headers=headers).ask

    one, other = ask("11"), ask("22")
    assert one.messages[0].parts == other.messages[0].parts == (TextPart("You are Claude."),)
    assert one.metadata["claude_code"]["cch"] == "11"
    assert (one.links.session_id, one.links.agent_id) == ("ses", "a1")
    assert (one.links.parent_agent_id, one.links.prompt_id) == ("a0", "p1")


@pytest.mark.parametrize(
    ("headers", "request_body"),
    [
        ({"x-claude-code-request-class": "auxiliary"}, {}),
        ({"anthropic-beta": "a,claude-code-side-query-2026-09-29"}, {}),
        ({}, {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}),
        ({}, {"max_tokens": 64, "stop_sequences": ["</block>"], "system": monitor()}),
        ({}, {"max_tokens": 8192, "system": monitor()}),
        ({"X-Claude-Code-Session-Id": "ses"}, TITLED),
    ],
)
def test_side_calls_are_auxiliary(headers, request_body):
    assert told("anthropic", PATH, {}, request_body, request_headers=headers).kind == "auxiliary"


@pytest.mark.parametrize(
    "request_body",
    [
        {"system": [*monitor(), {"type": "text", "text": "More."}], "tools": [{"name": "Bash"}]},
        {"system": [{"type": "text", "text": f"Quote this: {MONITOR}"}]},
        {"messages": [{"role": "user", "content": MONITOR}]},
        TITLED,
    ],
)
def test_what_resembles_a_side_call_is_none(request_body):
    assert told("anthropic", PATH, {}, request_body).kind == "llm"


def test_a_message_of_tool_results_alone_speaks_for_the_tool():
    result = {
        "type": "tool_result",
        "tool_use_id": "t0",
        "is_error": True,
        "content": [{"type": "text", "text": "no such file"}],
    }
    messages = [
        {"role": "user", "content": [result]},
        {"role": "user", "content": [result, {"type": "text", "text": "and now?"}]},
    ]
    ask = told("anthropic", PATH, {}, {"messages": messages}).ask
    assert [m.role for m in ask.messages] == ["tool", "user"]
    assert ask.messages[0].parts == (ToolResultPart("t0", "no such file", is_error=True),)


def test_images_in_tool_results_are_described():
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "text", "text": "a"}, {"type": "image", "source": source}]
    message = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}],
    }
    ask = told("anthropic", PATH, {}, {"messages": [message]}).ask
    assert "iVBOR" not in json.dumps(ask.messages[0].parts[0].content)


def test_legacy_completions():
    stream = sse(
        {"type": "completion", "id": "c", "model": "claude-2", "completion": " Light"},
        {"type": "completion", "completion": " waves", "stop_reason": None},
        {"type": "completion", "completion": "", "stop_reason": "stop_sequence", "stop": "H:"},
        named=True,
    )
    understood = told("anthropic", "/v1/complete", stream, {"prompt": "why"})
    assert understood.dialect == "anthropic.complete"
    assert (understood.reply.text, understood.reply.complete) == (" Light waves", True)


def test_what_asks_no_model_at_the_path_of_messages_is_none():
    failed = {"type": "error", "error": {"type": "invalid_request_error", "message": "model"}}
    for answer, more in (({}, {}), (failed, {"status": 400})):
        assert told("anthropic", PATH, answer, {"events": [1]}, **more).kind == "admin"
    answer = {"model": "claude-x", "content": [], "usage": USAGE}
    assert told("anthropic", PATH, answer, {"events": [1]}).kind == "llm"
    for body in ({}, {"model": "claude-x"}, {"messages": []}, b"", b'{"model'):
        assert told("anthropic", PATH, failed, body, status=400).kind == "llm"


def test_a_request_that_is_written_as_json_twice_is_read():
    body = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}
    found = told("anthropic", PATH, {}, json.dumps(json.dumps(body)).encode())
    assert found.ask.model == "claude-x"
    assert found.ask.messages[0].parts == (TextPart("hi"),)
    assert "request body: JSON in a JSON string" in found.notes
    for words in ("hi", "{ no JSON", '"{}"'):
        once = told("anthropic", PATH, {}, json.dumps(words).encode())
        assert (once.ask.model, once.kind) == ("", "llm")
