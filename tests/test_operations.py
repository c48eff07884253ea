"""Attempts of one operation, from the wire to the row; a call under way is nobody's attempt."""

from msgspec.structs import replace

from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.store.answers import Answers
from agenttrace_mitm.store.known import KnownContent
from agenttrace_mitm.traces import Fingerprinter

from .providers.exchanges import exchange
from .support.recording import Recording

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
}
LIMIT = {"error": {"message": "slow down", "type": "rate_limit_error"}}
SECOND_US = 1_000_000


def attempt(number, at_s, answer=ANSWER, status=200):
    """The SDK's attempt *number*, counted from 0 as SDKs do."""
    told = exchange(
        "openai",
        "/v1/chat/completions",
        answer,
        ASKED,
        status=status,
        request_headers={"x-stainless-retry-count": str(number)},
    )
    begun = at_s * SECOND_US
    return replace(told, id=f"call-{number}", started_us=begun, ended_us=begun + SECOND_US)


def test_a_retried_call_is_one_operation_and_its_failure_costs_nothing():
    recording = Recording()
    for one in (attempt(0, 0, LIMIT, 429), attempt(1, 3)):
        recording.take(one)
    rows = recording.rows(
        "select operation_id, attempt, cost_nano_usd, unpriced_reason from llm_calls order by id"
    )
    assert [(row["operation_id"], row["attempt"]) for row in rows] == [
        ("call-0", 1),
        ("call-0", 2),
    ]
    assert (rows[0]["cost_nano_usd"], rows[0]["unpriced_reason"]) == (None, "error")
    assert rows[1]["cost_nano_usd"] > 0
    [seen] = recording.rows("select * from retries")
    assert (seen["attempts"], seen["failed_attempts"], seen["retry_cost_usd"]) == (2, 1, None)


def test_a_call_that_is_still_running_takes_nobodys_place():
    """It is shown while it runs, and finds its operation once it has ended."""
    recording = Recording()
    known, answers = KnownContent(recording.db), Answers(recording.db)
    pipeline = Pipeline(3, Fingerprinter(b"k" * 32), known, answers)
    pipeline.record(attempt(0, 0, LIMIT, 429))
    running = attempt(1, 3)
    assert pipeline.in_flight(running).call.outcome == "in_flight"
    assert pipeline.record(running).call.operation_id == "call-0"
