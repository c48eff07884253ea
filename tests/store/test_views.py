"""Views for people: retries, what was cut off, estimates, drift."""

import pytest

from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record

from ..support.records import NOON_US, record


@pytest.fixture
def rows(tmp_path):
    """Writes calls, then gives the rows of a view as dicts."""
    db = open_database(tmp_path / "data.db")

    def of(view, *calls):
        for values in calls:
            write_record(db.conn, record(**values))
        return list(db.query(f"select * from {view}"))

    return of


def test_retries_tell_what_the_failed_attempts_cost(rows):
    """A failed attempt without usage costs nothing; one that reported usage does."""
    [row] = rows(
        "retries",
        {"id": "a", "operation_id": "a", "attempt": 1, "outcome": "error", "latency_ms": 5.0},
        {
            "id": "b",
            "operation_id": "a",
            "attempt": 2,
            "outcome": "interrupted",
            "cost_nano_usd": 2_000_000_000,
            "latency_ms": 7.0,
            "started_us": NOON_US + 1,
        },
        {"id": "c", "operation_id": "a", "attempt": 3, "cost_nano_usd": 3_000_000_000},
        {"id": "d", "operation_id": "d"},
    )
    assert (row["attempts"], row["failed_attempts"], row["last_call_id"]) == (3, 2, "c")
    assert (row["retry_cost_usd"], row["cost_usd"], row["lost_ms"]) == (2.0, 5.0, 12.0)
    assert row["outcome"] == "ok"


def test_billed_but_cancelled_are_the_cut_calls_with_usage(rows):
    cut = {"outcome": "cancelled", "usage_source": "partial", "tokens_in": 9}
    found = rows(
        "billed_but_cancelled",
        cut | {"id": "a", "usage_detail": {"estimated_output_tokens": 7}},
        cut | {"id": "b", "outcome": "ok"},
        cut | {"id": "c", "usage_source": "none"},
        cut | {"id": "d", "usage_source": "estimated"},
        cut | {"id": "e", "outcome": "interrupted"},
    )
    assert {row["id"]: row["estimated_tokens_out"] for row in found} == {"a": 7, "e": None}


def test_estimates_stand_apart(rows):
    detail = {"estimated_input_tokens": 5, "estimated_output_tokens": 6}
    [row] = rows(
        "estimates",
        {"usage_source": "estimated", "usage_detail": detail, "cost_detail": {"estimated": 10**9}},
        {"tokens_in": 3, "usage_source": "reported"},
    )
    assert (row["estimated_tokens_in"], row["estimated_tokens_out"]) == (5, 6)
    assert row["estimated_cost_usd"] == 1.0


def test_drift_counts_what_was_new_by_dialect_and_nothing_else(rows):
    new = "unknown field: sparkle"
    found = rows(
        "drift",
        {"notes": [new, "upper_bound:web_searches"]},
        {"notes": [new, "usage: not an object"]},
        {"notes": [new], "dialect": "mistral.chat"},
        {"notes": ["capture ended before the exchange did"]},
    )
    assert {(row["dialect"], row["note"]): row["calls"] for row in found} == {
        ("openai.chat", new): 2,
        ("mistral.chat", new): 1,
        ("openai.chat", "usage: not an object"): 1,
    }
