"""Retries are told from new requests: by number, by key, by what was asked and when."""

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Caller, Exchange, Headers
from agenttrace_mitm.traces.attempts import SOON_US, Attempts

SECOND_US = 1_000_000


def asked(id_, at_s, status=200, body=b"{}", headers=(), **more):
    """A request that began at *at_s* and took a second."""
    return Exchange(
        id=id_,
        provider="openai",
        host="api.openai.com",
        method="POST",
        target="/v1/chat/completions",
        started_us=at_s * SECOND_US,
        ended_us=(at_s + 1) * SECOND_US,
        request_headers=Headers(tuple(headers)),
        request=Body.of(body),
        status=status,
        caller=Caller(address="127.0.0.1:5000"),
        **more,
    )


def place(attempts, exchange, outcome=None, told=1):
    ended = outcome or ("ok" if exchange.status == 200 else "error")
    found = attempts.place(exchange, ended, told)
    return found.operation_id, found.number


def test_retries_share_the_operation_of_the_first_attempt():
    """429, 503, then an answer: one operation, attempts 1, 2 and 3."""
    attempts = Attempts()
    assert place(attempts, asked("a", 0, 429)) == ("a", 1)
    assert place(attempts, asked("b", 2, 503), told=2) == ("a", 2)
    assert place(attempts, asked("c", 5), told=3) == ("a", 3)
    assert place(attempts, asked("d", 7)) == ("d", 1)


def test_a_client_that_does_not_count_is_recognised_by_asking_the_same():
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    assert place(attempts, asked("b", 3)) == ("a", 2)


@pytest.mark.parametrize(
    "change",
    [
        {"request": Body.of(b'{"other": 1}')},
        {"host": "eu.api.openai.com"},
        {"caller": Caller(address="10.0.0.9:5000")},
        {"request_headers": Headers((("user-agent", "another"),))},
    ],
    ids=str,
)
def test_another_request_or_caller_is_no_retry(change):
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    assert place(attempts, replace(asked("b", 3), **change)) == ("b", 1)


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_after_an_answer_or_a_refusal_the_same_request_is_a_new_one(status):
    attempts = Attempts()
    place(attempts, asked("a", 0, status))
    assert place(attempts, asked("b", 3)) == ("b", 1)


def test_long_after_the_failure_it_is_a_new_request():
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    assert place(attempts, asked("b", 2 + SOON_US // SECOND_US)) == ("b", 1)


def test_a_request_that_was_under_way_when_the_other_failed_is_no_retry():
    attempts = Attempts()
    place(attempts, asked("a", 10, 500))
    assert place(attempts, replace(asked("b", 3), ended_us=20 * SECOND_US)) == ("b", 1)


def test_a_failure_is_retried_once():
    """Two equal requests side by side fail once: only one of those that follow is the retry."""
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    assert place(attempts, asked("b", 3)) == ("a", 2)
    assert place(attempts, asked("c", 3)) == ("c", 1)


def test_equal_operations_side_by_side_stay_apart_by_number():
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    place(attempts, asked("b", 0, 500))
    assert place(attempts, asked("a2", 2, 500), told=2) == ("a", 2)
    assert place(attempts, asked("b2", 2, 500), told=2) == ("b", 2)
    assert place(attempts, asked("a3", 5), told=3) == ("a", 3)
    assert place(attempts, asked("b3", 5), told=3) == ("b", 3)


def test_a_cancelled_request_is_retried_only_where_the_sdk_says_so():
    """SDKs cancel at a timeout and count; a person who stops and asks again does not."""
    attempts = Attempts()
    place(attempts, asked("a", 0, None), outcome="cancelled")
    assert place(attempts, asked("b", 3)) == ("b", 1)
    assert place(attempts, asked("c", 4), told=2) == ("a", 2)


def test_an_idempotency_key_counts_more_than_the_body():
    attempts = Attempts()
    key = [("Idempotency-Key", "k1")]
    place(attempts, asked("a", 0, 500, b"--one", key))
    assert place(attempts, asked("b", 3, 200, b"--two", key)) == ("a", 2)


def test_a_counted_retry_of_a_multipart_body_is_recognised_by_its_length():
    attempts = Attempts()
    place(attempts, asked("a", 0, 500, b"--boundary1"))
    assert place(attempts, asked("b", 3, 200, b"--boundary2"), told=2) == ("a", 2)


def test_a_retry_whose_first_attempt_was_not_seen_keeps_its_number():
    assert place(Attempts(), asked("b", 3), told=3) == ("b", 3)


def test_an_attempt_that_comes_twice_has_one_place():
    """Capture sends again what was not acknowledged."""
    attempts = Attempts()
    failed, retried = asked("a", 0, 500), asked("b", 3)
    assert place(attempts, failed) == place(attempts, failed) == ("a", 1)
    assert place(attempts, retried) == place(attempts, retried) == ("a", 2)


def test_a_process_that_was_not_found_is_told_by_its_address():
    """Of a short call nobody learns in time whose it was."""
    attempts = Attempts()
    place(attempts, asked("a", 0, 500))
    found = Caller(address="127.0.0.1:5001", pid=7)
    assert place(attempts, replace(asked("b", 3, 500), caller=found)) == ("a", 2)
    assert place(attempts, asked("c", 6)) == ("a", 3)
    place(attempts, replace(asked("d", 9, 500), caller=found))
    another = Caller(address="127.0.0.1:5001", pid=8)
    assert place(attempts, replace(asked("e", 12), caller=another)) == ("e", 1)


def test_of_equal_requests_that_failed_the_one_on_this_connection_is_tried_again():
    attempts = Attempts()
    second = Caller(address="127.0.0.1:5002")
    place(attempts, asked("a", 0, 500))
    place(attempts, replace(asked("b", 0, 500), caller=second))
    assert place(attempts, replace(asked("b2", 3), caller=second)) == ("b", 2)
    assert place(attempts, replace(asked("a2", 3), caller=Caller(address="127.0.0.1:5003"))) == (
        "a",
        2,
    )
