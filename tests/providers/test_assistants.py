"""Runs of assistants: streamed, polled, waiting for tools, cut."""

import json

from agenttrace_mitm.model import ToolCallPart, ToolResultPart

from .exchanges import told

PATH = "/v1/threads/thread_1/runs"
USAGE = {
    "prompt_tokens": 381,
    "completion_tokens": 89,
    "total_tokens": 470,
    "prompt_token_details": {"cached_tokens": 128},
    "completion_tokens_details": {"reasoning_tokens": 9},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def run(status="completed", usage=USAGE, **more):
    base = {"id": "run_1", "object": "thread.run", "model": "gpt-4o", "status": status}
    return base | {"usage": usage} | more


def stream(*events):
    lines = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events]
    return "".join([*lines, "event: done\ndata: [DONE]\n\n"]).encode()


def said(text):
    delta = {"content": [{"index": 0, "type": "text", "text": {"value": text}}]}
    return "thread.message.delta", {"id": "msg_1", "delta": delta}


def whole_message(text):
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return "thread.message.completed", {"id": "msg_1", "content": content}


def test_a_streamed_run_has_its_words_and_its_usage():
    events = [
        ("thread.run.created", run("queued", None)),
        said("Hel"),
        said("lo"),
        whole_message("Hello"),
        ("thread.run.step.completed", {"id": "step_1", "usage": USAGE}),
        ("thread.run.completed", run()),
    ]
    understood = told("openai", PATH, stream(*events), {"assistant_id": "asst_1", "stream": True})
    reply = understood.reply
    assert (understood.dialect, understood.operation) == ("openai.assistants", "invoke_agent")
    assert understood.kind == "llm"
    assert (reply.text, reply.response_id, reply.complete) == ("Hello", "run_1", True)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (381, 89)
    assert (reply.usage.cache_read_tokens, reply.usage.reasoning_tokens) == (128, 9)
    assert (reply.finish_reasons, reply.finish_reason) == (("completed",), "stop")


def test_a_run_that_was_cut_keeps_its_words():
    events = [("thread.run.created", run("in_progress", None)), said("Hel")]
    body = stream(*events).removesuffix(b"event: done\ndata: [DONE]\n\n")
    reply = told("openai", PATH, body, complete=False).reply
    assert (reply.text, reply.complete, reply.response_id) == ("Hel", False, "run_1")
    assert reply.usage.input_tokens is None
    assert reply.finish_reason == "aborted"


def test_a_run_waits_for_its_tools_and_is_given_their_results():
    waiting = run("requires_action", None)
    waiting["required_action"] = {"submit_tool_outputs": {"tool_calls": [CALL]}}
    reply = told("openai", f"{PATH}/run_1", waiting, method="GET").reply
    assert reply.tool_calls == (ToolCallPart("call_1", "f", "{}"),)
    assert reply.finish_reason == "tool_calls"
    given = {"tool_outputs": [{"tool_call_id": "call_1", "output": "42"}]}
    understood = told("openai", f"{PATH}/run_1/submit_tool_outputs", run("queued", None), given)
    assert understood.kind == "llm"
    assert understood.ask.messages[0].parts == (ToolResultPart("call_1", "42"),)
    assert understood.ask.links.conversation_id == "thread_1"


def test_polling_and_cancelling_are_administration():
    assert told("openai", f"{PATH}/run_1", run(), method="GET").kind == "admin"
    cancelled = told("openai", f"{PATH}/run_1/cancel", run("cancelling", None))
    assert (cancelled.kind, cancelled.operation) == ("admin", "cancel")
    assert cancelled.reply.finish_reasons == ("cancelling",)


def test_threads_and_assistants_answer_nothing():
    made = {"id": "asst_1", "object": "assistant", "model": "gpt-4o"}
    understood = told("openai", "/v1/assistants", made, {"model": "gpt-4o"})
    assert (understood.dialect, understood.kind) == ("openai.assistants", "admin")
    assert (understood.ask.model, understood.reply.model) == ("gpt-4o", "")
    assert told("openai", "/v1/threads/thread_1/messages", {}).kind == "admin"


def test_a_run_that_failed_says_why():
    failed = run("failed", last_error={"code": "rate_limit_exceeded", "message": "slow down"})
    reply = told("openai", PATH, stream(("thread.run.failed", failed))).reply
    assert (reply.failure.code, reply.finish_reason) == ("rate_limit_exceeded", "error")
    assert reply.usage.input_tokens == 381
