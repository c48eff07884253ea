"""An answer is counted where it was first shown, and nowhere else."""

import json

import pytest
from msgspec.structs import replace

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


def batch_line(id_):
    body = response(id_=id_) | {"service_tier": "default"}
    written = {"custom_id": id_, "response": {"status_code": 200, "body": body}}
    return json.dumps(written).encode() + b"\n"


def download(recording, id_, *, file="file-1"):
    body = batch_line("resp_1") + batch_line("resp_2")
    recording.take(_exchange(f"/v1/files/{file}/content", body, id_, "GET"))


LINES = """
select id, kind, tokens_in, cost_nano_usd, duplicate_of, path, client_request_id
from llm_calls where latency_ms is null order by id
"""


def test_each_line_of_a_batch_is_a_call_at_half_the_price(recording):
    post(recording, "1", response(id_="resp_0"))
    download(recording, "2")
    lines = recording.rows(LINES)
    full = row(recording, "1")["cost_nano_usd"]
    assert [(one["kind"], one["tokens_in"]) for one in lines] == [("llm", 5), ("llm", 5)]
    assert [one["cost_nano_usd"] * 2 for one in lines] == [full, full]
    assert {one["path"] for one in lines} == {"/v1/files/file-1/content"}
    assert {one["client_request_id"] for one in lines} == {"resp_1", "resp_2"}
    assert row(recording, "2")["kind"] == "admin"
    assert row(recording, "2")["tokens_in"] is None


def test_a_batch_that_is_downloaded_twice_is_counted_once(recording):
    download(recording, "2")
    download(recording, "2")  # the same frames again
    assert len(recording.rows(LINES)) == 2
    download(recording, "3")
    counted = [one for one in recording.rows(LINES) if one["tokens_in"]]
    again = [one for one in recording.rows(LINES) if one["duplicate_of"]]
    assert len(counted) == 2
    assert {one["duplicate_of"] for one in again} == {one["id"] for one in counted}
    assert {one["kind"] for one in again} == {"admin"}


def test_another_file_with_the_same_ids_is_another_batch(recording):
    download(recording, "2")
    download(recording, "3", file="file-2")
    assert [one["duplicate_of"] for one in recording.rows(LINES)] == [None] * 4
