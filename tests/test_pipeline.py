"""From an exchange to a record: outcomes, conversations, what is withheld."""

import json
import sys
from typing import Any, Literal

import pytest
from msgspec.structs import replace
from sqlite_utils import Database

from agenttrace_mitm import pipeline as pipeline_module
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Arrival, Body, Caller, Exchange, Headers
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.store import KnownContent
from agenttrace_mitm.store.schema import migrations
from agenttrace_mitm.traces import Fingerprinter
from tests.e2e import wire
from tests.support.recording import Recording
from tests.support.records import NOON_US

SECRET = "sk-proj-A1b2C3d4E5f6G7h8I9j0K1l2M3n4"


def _known() -> KnownContent:
    """What an empty store knows."""
    db = Database(memory=True)
    migrations.apply(db)
    return KnownContent(db.conn)


def _pipeline(known: KnownContent | None = None, tier: Literal[1, 2, 3] = 3) -> Pipeline:
    return Pipeline(tier, Fingerprinter(b"k" * 32), known or _known())


def _exchange(reply: list[bytes], *said: dict[str, Any], **values: Any) -> Exchange:
    """An OpenAI chat call that *said* something and was answered *reply*, a millisecond a piece."""
    messages = said or ({"role": "user", "content": "Hello"},)
    ends = [sum(map(len, reply[: n + 1])) for n in range(len(reply))]
    arrivals = tuple(Arrival(NOON_US + 2_000 + 1_000 * n, end) for n, end in enumerate(ends))
    body = b"".join(reply)
    exchange = Exchange(
        id=new_id(NOON_US),
        provider="openai",
        host="api.openai.com",
        method="POST",
        target="/v1/chat/completions",
        started_us=NOON_US,
        ended_us=NOON_US + 50_000,
        request=Body.of(json.dumps({"model": "gpt-5.5", "messages": messages}).encode()),
        status=200,
        response_headers=Headers((("content-type", "text/event-stream"),)),
        response=Body(body, len(body), arrivals),
        first_byte_us=NOON_US + 1_000,
    )
    return replace(exchange, **values)


def test_a_call_that_nobody_answered_says_why() -> None:
    """The reason is the proxy's; where an answer had begun there is none to add."""
    left: Any = {"ending": "upstream_left", "ending_note": "[Errno 111] Connect call failed"}
    unanswered = _exchange([], status=None, first_byte_us=None, response=Body(complete=False))
    call = _pipeline().record(replace(unanswered, **left)).call
    assert (call.outcome, call.status_code, call.error_type) == (
        "interrupted", None, "connection_error",
    )  # fmt: skip
    assert call.error_message == "[Errno 111] Connect call failed"
    assert _pipeline(tier=1).record(replace(unanswered, **left)).call.error_message is None
    begun = _pipeline().record(replace(_exchange([b"data: {}\n\n"]), **left)).call
    assert (begun.outcome, begun.error_type) == ("interrupted", None)
    gone = replace(unanswered, ending="client_left", ending_note="Client disconnected.")
    assert _pipeline().record(gone).call.error_type is None


def test_times_are_told_apart() -> None:
    """First byte, first generated content, the end."""
    call = _pipeline().record(_exchange(wire.openai_chat_stream())).call
    assert (call.ttfb_ms, call.ttft_ms, call.latency_ms) == (1.0, 3.0, 50.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "ok"),
        ({"ending": "client_left"}, "ok"),
        ({"status": 500}, "error"),
        ({"status": None, "response": Body(), "ending": "upstream_left"}, "interrupted"),
        ({"status": None, "response": Body(), "ending": "client_left"}, "cancelled"),
    ],
    ids=["whole", "left after the end", "refused", "no answer", "left before the answer"],
)
def test_outcomes(values: dict[str, Any], expected: str) -> None:
    """How a call ended, as the client would tell it."""
    call = _pipeline().record(_exchange(wire.openai_chat_stream(), **values)).call
    assert call.outcome == expected


@pytest.mark.parametrize(
    ("traffic", "billing", "note"),
    [
        ("ON_DEMAND", "metered", None),
        ("ON_DEMAND_FLEX", "metered", ["tier_by_rule:flex"]),
        (
            "PROVISIONED_THROUGHPUT",
            "subscription",
            ["tier_at_standard_price:provisioned_throughput"],
        ),
    ],
)
def test_what_capacity_paid_in_advance_served_is_not_spend(
    traffic: str, billing: str, note: list[str] | None
) -> None:
    """It has a list price, as a call on a subscription has."""
    usage = {"promptTokenCount": 1000, "totalTokenCount": 1000, "trafficType": traffic}
    said = json.dumps({"candidates": [], "usageMetadata": usage}).encode()
    served = _exchange(
        [said],
        provider="vertex",
        host="aiplatform.googleapis.com",
        target="/v1/projects/p/locations/global/publishers/google/models/"
        "gemini-2.5-flash:generateContent",
        request=Body.of(b'{"contents": []}', NOON_US),
        response_headers=Headers((("content-type", "application/json"),)),
    )
    call = _pipeline().record(served).call
    assert (call.service_tier, call.billing, call.notes) == (traffic, billing, note)
    assert call.cost_nano_usd == (150_000 if "FLEX" in traffic else 300_000)


@pytest.mark.parametrize(
    ("ending", "expected"), [("client_left", "cancelled"), ("upstream_left", "interrupted")]
)
def test_a_stream_cut_short_says_who_left(ending: str, expected: str) -> None:
    """What had been said is kept, the finish reason says that there was none."""
    cut = wire.openai_chat_stream()[:3]
    record = _pipeline().record(_exchange(cut, ending=ending))
    assert (record.call.outcome, record.call.finish_reason) == (expected, "aborted")
    assert record.messages[-1].text == "Let me look. "


def test_an_error_inside_a_stream_is_an_error() -> None:
    """Status 200 or not."""
    failed = wire.sse(("", {"error": {"message": "overloaded", "type": "server_error"}}))
    call = _pipeline().record(_exchange(failed)).call
    assert (call.outcome, call.error_type, call.error_message) == (
        "error",
        "server_error",
        "overloaded",
    )


def test_history_is_kept_once_and_its_tool_call_is_answered() -> None:
    """The second call brings only what is new, and the result of what the first asked for."""
    known = _known()
    pipeline = _pipeline(known)
    question = {"role": "user", "content": "The weather?"}
    function = {"name": "get_weather", "arguments": wire.CALL}
    tool_call = {"id": "call_1", "type": "function", "function": function}
    asked = {"role": "assistant", "content": wire.TEXT, "tool_calls": [tool_call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "24 degrees"}

    first = pipeline.record(_exchange(wire.openai_chat_stream(), question))
    known.remember(first)
    second = pipeline.record(_exchange(wire.openai_chat_stream(), question, asked, result))

    assert second.call.continues_call_id == first.call.id
    assert second.call.n_messages == 3
    came_in = [m for m in second.messages if m.direction == "in"]
    assert [(m.position, m.role) for m in came_in] == [(1, "assistant"), (2, "tool")]
    # The assistant's turn came back as it had been answered: nothing of it is stored again.
    assert came_in[0].known
    assert came_in[0].fingerprint == first.messages[-1].fingerprint
    [answer] = second.tool_results
    assert (answer.tool_call_id, answer.result) == ("call_1", "24 degrees")


def test_equal_beginnings_of_two_conversations_are_told_apart_later() -> None:
    """A conversation goes on from the longest request that is its prefix, not from a look-alike."""
    known = _known()
    pipeline = _pipeline(known)
    hello = {"role": "user", "content": "Hello"}
    earlier = [
        pipeline.record(_exchange(wire.openai_chat(), hello, {"role": "user", "content": words}))
        for words in ("one", "two")
    ]
    for record in earlier:
        known.remember(record)
    last = {"role": "user", "content": "and now?"}
    third = pipeline.record(
        _exchange(wire.openai_chat(), hello, {"role": "user", "content": "two"}, last)
    )
    assert third.call.continues_call_id == earlier[1].call.id


def test_a_stream_that_spoke_a_secret_is_withheld() -> None:
    """Its pieces would give the secret away that the folded reply no longer has."""
    pieces = [SECRET[:9], SECRET[9:20], SECRET[20:]]
    deltas = [{"index": 0, "delta": {"content": piece}} for piece in pieces]
    stream = wire.sse(*(("", {"id": "c", "choices": [d]}) for d in deltas), ("", "[DONE]"))
    record = _pipeline().record(_exchange(stream))
    assert record.payload
    assert record.payload.response_body is None
    assert "redacted" in (record.messages[-1].text or "")


def test_so_is_one_in_a_dialect_that_nobody_reads() -> None:
    """What stands under one name is put together there, whatever that is."""
    events = [
        {"kind": "piece", "part": {"words": piece}}
        for piece in ("so: ", SECRET[:9], SECRET[9:20], SECRET[20:], " and on")
    ]
    streams = {
        words: wire.sse(*(("", event) for event in events if words in ("", event["part"]["words"])))
        for words in ("", "so: ")
    }
    target = "/v1/something/new"
    told = {w: _pipeline().record(_exchange(s, target=target)) for w, s in streams.items()}
    assert told[""].call.dialect == "other"
    assert told[""].payload
    assert told[""].payload.response_body is None
    assert told["so: "].payload
    assert told["so: "].payload.response_body


def test_a_secret_in_the_question_does_not_cost_the_answer() -> None:
    """Only the side that spoke it is withheld or redacted."""
    said = {"role": "user", "content": f"My key is {SECRET}"}
    record = _pipeline().record(_exchange(wire.openai_chat_stream(), said))
    assert record.payload
    assert record.payload.response_body == b"".join(wire.openai_chat_stream())
    assert SECRET.encode() not in (record.payload.request_body or b"")


def test_metadata_only_keeps_no_words() -> None:
    """Tier 1: figures, names and fingerprints."""
    record = _pipeline(tier=1).record(_exchange(wire.openai_chat_stream()))
    assert record.payload is None
    assert "Hello" not in record.model_dump_json()
    assert wire.PIECES[1] not in record.model_dump_json()
    assert (record.call.tokens_in, record.call.n_tool_calls) == (120, 1)


def test_a_running_call_is_shown_without_an_end() -> None:
    """Who calls what, as far as the request tells."""
    running = _exchange([], caller=Caller(agent="me"), ending="interrupted")
    call = _pipeline().in_flight(running).call
    assert (call.outcome, call.model, call.agent_id) == ("in_flight", "gpt-5.5", "me")
    assert call.ended_us is call.latency_ms is call.status_code is None


def test_a_bug_in_an_adapter_costs_the_parse_not_the_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In production; under pytest it is loud."""

    def broken(exchange: Exchange) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(pipeline_module.providers, "understand", broken)
    with pytest.raises(RuntimeError):
        _pipeline().record(_exchange(wire.openai_chat()))
    monkeypatch.delitem(sys.modules, "pytest")
    call = _pipeline().record(_exchange(wire.openai_chat())).call
    assert (call.dialect, call.status_code) == ("other", 200)
    assert call.notes == ["not understood: see the log"]


@pytest.mark.parametrize("depth", [900, 3_000, 100_000])
def test_arguments_nested_without_end_cost_nothing(depth: int) -> None:
    """A model may write what it likes where a tool's arguments stand."""
    arguments = "[" * depth + "]" * depth
    function = {"name": "draw", "arguments": arguments}
    tool_call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [tool_call]}}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
    ]
    stream = wire.sse(*(("", {"id": "c", "model": "gpt-5.5"} | one) for one in chunks))
    record = _pipeline().record(_exchange(stream))
    assert (record.call.tokens_in, record.call.tokens_out) == (7, 5)
    assert record.call.notes is None
    assert record.call.trace_id
    [made] = record.tool_calls
    assert made.arguments == arguments


def test_a_bug_in_placing_costs_the_place_not_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise capture would send the same exchange again and again."""

    def broken(*args: object) -> None:
        raise RuntimeError("a bug of ours")

    pipeline = _pipeline()
    monkeypatch.setattr(pipeline, "_place", broken)
    monkeypatch.delitem(sys.modules, "pytest")
    record = pipeline.record(_exchange(wire.openai_chat()))
    assert (record.call.status_code, record.call.outcome) == (200, "ok")
    assert record.call.notes == ["not recorded in full: see the log"]
    assert (record.messages, record.payload) == ((), None)


def test_the_process_tells_project_branch_and_session() -> None:
    """Labels of the caller win; the branch is no metadata; a pid alone is used again."""
    caller = Caller(pid=7, started="99", repository="shop", branch="fix", started_by="claude")
    full = Recording(3).take(_exchange([], caller=caller)).call
    assert (full.project, full.session_id) == ("shop", "pid-7-99")
    assert full.tags == {"branch": "fix", "started_by": "claude"}
    labelled = replace(caller, tags={"project": "mine", "branch": "main"})
    told = Recording(3).take(_exchange([], caller=labelled)).call
    assert (told.project, told.tags["branch"]) == ("mine", "main")
    assert "branch" not in Recording(1).take(_exchange([], caller=caller)).call.tags
