"""Agents of a team that need not wait for each other, as Codex's do: who started whom."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Exchange, Headers

from .talks import Recording, user

ROOT, CHILD = "01a22282-8b76-7771-b80e-1f8b76bc67e6", "01a22282-c11b-7f11-b124-1bc7b3641fd7"
TASK = "Find out whether anything else splits at blanks."

type Item = dict[str, Any]


def _call(name: str, **arguments: str) -> Item:
    call = {"type": "function_call", "call_id": f"call_{name}", "name": name}
    return call | {"arguments": json.dumps(arguments)}


def _result(name: str, text: str) -> Item:
    return {"type": "function_call_output", "call_id": f"call_{name}", "output": text}


def _told(kind: str, to: str, *content: Item) -> Item:
    head = {"type": "input_text", "text": f"Message Type: {kind}\nTask name: {to}\nPayload:\n"}
    return {"type": "agent_message", "recipient": to, "content": [head, *content]}


START = _call("spawn_agent", task_name="look", message=TASK)
# Codex names agents by a path of its own that begins with /root; no folder is meant.
STARTED = _result("spawn_agent", '{"task_name":"/root/look"}')
GIVEN = _told("NEW_TASK", "/root/look", {"type": "encrypted_content", "encrypted_content": TASK})
ANSWER = _told("FINAL_ANSWER", "/root", {"type": "input_text", "text": "Nothing else does."})


def _asks(talk: Recording, items: list[Item], reply: Item, thread: str) -> str:
    """Record a request of *thread* with *items*, answered by *reply*; the call's id."""
    talk_ids = {"id": f"resp_{len(items)}_{thread[9:13]}", "status": "completed"}
    answer = {"object": "response", "model": "gpt-5.5", "output": [reply]} | talk_ids
    headers = {"session-id": ROOT, "thread-id": thread, "content-type": "application/json"}
    if thread != ROOT:
        headers["x-codex-parent-thread-id"] = ROOT
    base: Exchange = talk.exchange([], {})
    exchange = replace(
        base,
        provider="openai",
        host="api.openai.com",
        target="/v1/responses",
        request_headers=Headers(tuple(headers.items())),
        request=Body.of(json.dumps({"model": "gpt-5.5", "input": items}).encode()),
        response=Body.of(json.dumps(answer).encode()),
        caller=replace(base.caller, agent="codex"),
    )
    talk.add(exchange)
    return exchange.id


def _says(text: str) -> Item:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text"}]} | {
        "content": [{"type": "output_text", "text": text}]
    }


@pytest.mark.parametrize("has_history", [False, True], ids=["alone", "with-history"])
@pytest.mark.parametrize("tier", [1, 2, 3])
def test_who_starts_an_agent_need_not_wait_for_it(tier: int, *, has_history: bool) -> None:
    """It hangs below the call that started it, whose result came before its first request.

    What it is given of the history tells results again: they are not its own.
    """
    talk = Recording(tier=tier)
    asked: list[Item] = [user("Split at commas, not at blanks.")]
    root = _asks(talk, asked, START, ROOT)
    asked += [START, STARTED]
    waiting = _asks(talk, asked, _call("wait_agent"), ROOT)
    given = [*asked, GIVEN] if has_history else [GIVEN]
    child = _asks(talk, given, _call("ls", path="."), CHILD)
    later = _asks(talk, [*given, _call("ls", path="."), _result("ls", "x")], _says("No."), CHILD)
    asked += [_call("wait_agent"), _result("wait_agent", "Wait completed."), ANSWER]
    last = _asks(talk, asked, _says("That is done."), ROOT)

    assert {talk.of(id_, "thread_id") for id_ in (root, waiting, last)} == {root}
    assert {talk.of(id_, "thread_id") for id_ in (child, later)} == {child}
    above = "select s.call_id, s.name from threads t join spans s on s.span_id = t.parent_span_id"
    assert talk.row(above) == (root, "spawn_agent")
    calls = (root, waiting, child, later, last)
    assert len({talk.of(id_, "trace_id") for id_ in calls}) == 1, "an answer asks for nothing"
    assert {talk.of(id_, "agent_id") for id_ in (child, later)} == {"codex/spawn_agent"}
    done = "select answered_by_call_id from tool_calls where name = 'spawn_agent'"
    assert talk.row(done) == (waiting,)
    kept = "\n".join(talk.db.iterdump())
    assert ("Nothing else does." in kept) == (tier == 3), "it is a reply, whoever repeats it"
    assert (TASK in kept) == (tier >= 2)


def test_a_result_in_a_given_history_is_not_brought_by_who_was_given_it() -> None:
    """The sub-agent is quicker than who started it."""
    talk = Recording()
    asked: list[Item] = [user("Split at commas, not at blanks.")]
    root = _asks(talk, asked, START, ROOT)
    child = _asks(talk, [*asked, START, STARTED, GIVEN], _says("Nothing else does."), CHILD)
    later = _asks(talk, [*asked, START, STARTED], _says("That is done."), ROOT)
    assert talk.of(child, "thread_id") == child
    assert talk.of(later, "continues_call_id") == root
    assert talk.of(later, "history") == "grown"
    assert talk.row("select answered_by_call_id from tool_calls") == (later,)
