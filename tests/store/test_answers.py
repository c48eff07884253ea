"""An answer is counted where it was first shown, and nowhere else."""

from dataclasses import replace

import pytest

from agenttrace_mitm.store import Answers
from tests.providers.exchanges import exchange
from tests.support.recording import Recording

USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


@pytest.fixture
def recording():
    return Recording()


def response(status="completed", usage=USAGE, id_="resp_1"):
    return {
        "id": id_,
        "object": "response",
        "model": "gpt-4o",
        "status": status,
        "output": [],
        "usage": usage,
    }


def row(recording, id_):
    found = recording.row(id_)
    return {
        name: found[name]
        for name in ("kind", "tokens_in", "tokens_out", "duplicate_of", "cost_nano_usd")
    }


def post(recording, id_, body):
    recording.take(_exchange("/v1/responses", body, id_, "POST"))


def get(recording, id_, body, path="/v1/responses/resp_1"):
    recording.take(_exchange(path, body, id_, "GET"))


def _exchange(target, body, id_, method):
    made = exchange("openai", target, body, {"model": "gpt-4o"}, method=method)
    return replace(made, id=id_, host="api.openai.com", started_us=1_780_000_000_000_000)


def test_fetching_a_counted_answer_counts_nothing(recording):
    post(recording, "1", response())
    get(recording, "2", response())
    assert row(recording, "1")["tokens_in"] == 5
    assert row(recording, "2") == {
        "kind": "admin",
        "tokens_in": None,
        "tokens_out": None,
        "duplicate_of": "1",
        "cost_nano_usd": None,
    }
    assert recording.row("2")["usage_raw"]


def test_a_background_answer_is_counted_when_it_is_first_seen_complete(recording):
    post(recording, "1", response("queued", None))
    get(recording, "2", response("in_progress", None))
    get(recording, "3", response())
    get(recording, "4", response())
    assert row(recording, "2")["kind"] == "admin"
    third = row(recording, "3")
    assert (third["kind"], third["tokens_in"], third["duplicate_of"]) == ("auxiliary", 5, None)
    assert third["cost_nano_usd"] is not None
    assert row(recording, "4")["duplicate_of"] == "3"


def test_a_new_answer_with_an_old_id_is_counted(recording):
    post(recording, "1", response())
    post(recording, "2", response())
    assert row(recording, "2")["duplicate_of"] is None
    assert row(recording, "2")["tokens_in"] == 5


def test_the_same_id_of_an_answer_with_other_counts_is_another_answer(recording):
    post(recording, "1", response())
    get(recording, "2", response(usage={"input_tokens": 6, "output_tokens": 2}))
    assert row(recording, "2")["duplicate_of"] is None


def test_what_memory_has_lost_the_database_knows(recording):
    post(recording, "1", response())
    fetched = recording.take(_exchange("/v1/responses/resp_1", response(), "2", "GET")).call
    counted = fetched.model_copy(update={"tokens_in": 5, "tokens_out": 2, "duplicate_of": None})
    assert Answers(recording.db).once(counted).duplicate_of == "1"
    assert Answers().once(counted).duplicate_of is None


def test_a_repeated_frame_does_not_duplicate_itself(recording):
    get(recording, "2", response())
    get(recording, "2", response())
    assert row(recording, "2")["duplicate_of"] is None
    assert row(recording, "2")["tokens_in"] == 5
