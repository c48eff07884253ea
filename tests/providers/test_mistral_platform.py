"""Mistral beside chat: conversations whole and streamed, OCR, agents."""

from agenttrace_mitm.model import TextPart, ToolCallPart, ToolResultPart

from .exchanges import sse, told

PATH = "/v1/conversations"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "connector_tokens": 30,
    "total_tokens": 150,
    "connectors": {"web_search": 1, "web_search_premium": 1, "code_interpreter": 1},
}
OUTPUTS = [
    {"type": "tool.execution", "id": "t1", "name": "web_search", "arguments": '{"q":"x"}'},
    {"type": "message.output", "model": "mistral-large", "content": "Hello"},
    {"type": "function.call", "id": "e1", "tool_call_id": "c1", "name": "f", "arguments": "{}"},
]


def events():
    return [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        {"type": "tool.execution.started", "output_index": 0, **_of(OUTPUTS[0])},
        {"type": "tool.execution.done", "output_index": 0, "id": "t1", "name": "web_search"},
        {"type": "message.output.delta", "output_index": 1, "content": "Hel", "model": "mistral-l"},
        {
            "type": "message.output.delta",
            "output_index": 1,
            "content": {"type": "text", "text": "lo"},
        },
        {"type": "function.call.delta", "output_index": 2, **_of(OUTPUTS[2], arguments="{")},
        {"type": "function.call.delta", "output_index": 2, **_of(OUTPUTS[2], arguments="}")},
        {"type": "conversation.response.done", "usage": USAGE},
    ]


def _of(entry, **more):
    return {key: value for key, value in entry.items() if key != "type"} | more


def test_a_conversation_answers_with_entries():
    body = {"conversation_id": "conv_1", "outputs": OUTPUTS, "usage": USAGE}
    request = {"model": "mistral-large", "inputs": "Hi", "instructions": "Be brief."}
    understood = told("mistral", PATH, body, request)
    reply = understood.reply
    assert (understood.dialect, understood.kind) == ("mistral.conversations", "llm")
    assert [message.role for message in understood.ask.messages] == ["system", "user"]
    assert reply.messages[0].parts == (
        ToolCallPart("t1", "web_search", '{"q":"x"}', "t1", server=True),
        TextPart("Hello"),
        ToolCallPart("c1", "f", "{}", "e1"),
    )
    assert (reply.model, reply.finish_reason) == ("mistral-large", "tool_calls")


def test_connectors_are_read_and_counted():
    reply = told("mistral", PATH, {"outputs": OUTPUTS, "usage": USAGE}).reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (130, 20)
    assert reply.usage.detail["web_searches"] == 2
    assert reply.usage.detail["code_executions"] == 1
    assert reply.notes == ()
    inside = USAGE | {"total_tokens": 120}
    assert told("mistral", PATH, {"usage": inside}).reply.usage.input_tokens == 100


def test_a_streamed_conversation_is_what_it_stands_for():
    reply = told("mistral", f"{PATH}/conv_1", sse(*events(), named=True), {"stream": True}).reply
    assert reply.complete
    assert reply.text == "Hello"
    assert [call.arguments for call in reply.tool_calls] == ["{}"]
    assert (reply.usage.total_tokens, reply.finish_reason) == (150, "tool_calls")
    assert reply.notes == ()


def test_a_streamed_conversation_that_was_cut_is_aborted():
    for cut in (4, 7):
        stream = sse(*events()[:cut], named=True)
        reply = told("mistral", PATH, stream, {"stream": True}, complete=False).reply
        assert (reply.finish_reason, reply.complete, reply.notes) == ("aborted", False, ())


def test_a_conversation_may_break_off():
    broken = {"type": "conversation.response.error", "code": 503, "message": "busy"}
    reply = told("mistral", PATH, sse(*events()[:4], broken, named=True)).reply
    assert (reply.text, reply.failure.code, reply.failure.message) == ("Hel", "503", "busy")


def test_results_go_back_as_entries():
    given = {"inputs": [{"type": "function.result", "tool_call_id": "c1", "result": "42"}]}
    ask = told("mistral", f"{PATH}/conv_1", {}, given).ask
    assert ask.messages[0].parts == (ToolResultPart("c1", "42"),)
    assert ask.links.conversation_id == "conv_1"


def test_ocr_is_counted_in_pages():
    answer = {"model": "ocr", "pages": [{"index": 0, "markdown": "# Title"}]}
    answer["usage_info"] = {"pages_processed": 3, "doc_size_bytes": 18}
    request = {"model": "ocr", "document": {"type": "document_url", "document_url": "https://x/p"}}
    understood = told("mistral", "/v1/ocr", answer, request)
    assert (understood.dialect, understood.kind) == ("mistral.ocr", "llm")
    assert understood.reply.usage.detail == {"pages": 3}
    assert understood.reply.usage.raw == answer["usage_info"]
    assert understood.ask.messages[0].parts[0].uri == "https://x/p"
    annotated = request | {"document_annotation_format": {"type": "json_schema"}}
    detail = told("mistral", "/v1/ocr", answer, annotated).reply.usage.detail
    assert detail == {"pages": 3, "annotated_pages": 3}


def test_agents_and_their_conversations_lists_are_administration():
    agent = {"id": "ag_1", "model": "mistral-small"}
    made = told("mistral", "/v1/agents", agent, {"model": "mistral-small"})
    assert (made.dialect, made.kind, made.reply.model) == ("mistral.platform", "admin", "")
    listed = told("mistral", f"{PATH}/conv_1/history", {}, method="GET")
    assert (listed.dialect, listed.kind) == ("mistral.conversations", "admin")
