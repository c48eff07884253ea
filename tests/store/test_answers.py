"""An answer is counted where it was first shown, and nowhere else."""

import json

import pytest
from msgspec.structs import replace

from agenttrace_mitm.store import Answers
from agenttrace_mitm.store.rows import call_of
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


def _exchange(target, body, id_, method, provider="openai"):
    """An exchange that began *id_* seconds after the first."""
    made = exchange(provider, target, body, {"model": "gpt-4o"}, method=method)
    began = 1_780_000_000_000_000 + int(id_) * 1_000_000
    return replace(made, id=id_, host=f"api.{provider}.com", started_us=began, ended_us=began)


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


def batch_line(id_, custom_id=""):
    body = response(id_=id_) | {"service_tier": "default"}
    written = {"custom_id": custom_id or id_, "response": {"status_code": 200, "body": body}}
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


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_lines_of_one_file_are_never_one_answer(recording, restarted):
    """Some servers give all their answers one id: the lines are calls all the same."""
    whole = b"".join(batch_line("resp_1", custom_id=f"c{n}") for n in range(3))
    recording.take(_exchange("/v1/files/file-1/content", whole, "2", "GET"))
    assert [one["duplicate_of"] for one in recording.rows(LINES)] == [None] * 3
    recording = recording.restarted() if restarted else recording
    more = whole + batch_line("resp_1", custom_id="c3")
    recording.take(_exchange("/v1/files/file-1/content", more, "3", "GET"))
    found = recording.rows(LINES)
    first = {one["client_request_id"]: one["id"] for one in found if not one["duplicate_of"]}
    assert first.keys() == {"c0", "c1", "c2", "c3"}
    again = {one["client_request_id"]: one["duplicate_of"] for one in found if one["duplicate_of"]}
    assert again == {name: id_ for name, id_ in first.items() if name != "c3"}


def test_a_line_that_is_retrieved_as_well_is_counted_once(recording):
    download(recording, "2")
    get(recording, "3", response())
    [line] = [one for one in recording.rows(LINES) if one["client_request_id"] == "resp_1"]
    assert row(recording, "3")["duplicate_of"] == line["id"]


def test_an_answer_with_another_id_in_the_same_line_is_another_one(recording):
    for id_, name in (("2", "resp_1"), ("3", "resp_2")):
        line = batch_line(name, custom_id="c")
        recording.take(_exchange("/v1/files/file-1/content", line, id_, "GET"))
    assert [one["duplicate_of"] for one in recording.rows(LINES)] == [None, None]


def test_another_file_with_the_same_ids_is_another_batch(recording):
    download(recording, "2")
    download(recording, "3", file="file-2")
    assert [one["duplicate_of"] for one in recording.rows(LINES)] == [None] * 4


def embedded(number, tokens=5):
    spent = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": spent}
    written = {"custom_id": f"c{number}", "response": {"status_code": 200, "body": body}}
    return json.dumps(written).encode() + b"\n"


def generated(key=None, **more):
    spent = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
    answer = {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": spent}
    said = {"response": answer | {"modelVersion": "gemini-2.5-flash"} | more}
    return said | ({"metadata": {"key": key}} if key else {})


def inlined(*answers):
    about = {"model": "models/gemini-2.5-flash", "state": "BATCH_STATE_SUCCEEDED"}
    return {"metadata": about, "response": {"inlinedResponses": {"inlinedResponses": [*answers]}}}


FAILED = {"custom_id": "a", "result": {"type": "errored", "error": {"type": "x", "message": "no"}}}
NAMELESS = [
    pytest.param(
        "openai", "/v1/files/file-1/content", embedded(1) + embedded(2), 2, id="embeddings"
    ),
    pytest.param("google", "/v1beta/batches/1", inlined(generated("k")), 1, id="inlined"),
    pytest.param(
        "google", "/v1beta/batches/1", inlined(generated(), generated()), 2, id="without keys"
    ),
    pytest.param(
        "google", "/v1beta/batches/1", inlined(generated("k"), generated("k")), 2, id="one key"
    ),
    pytest.param(
        "google",
        "/v1beta/batches/1",
        inlined({"error": {"code": 3, "message": "bad"}}),
        1,
        id="an error",
    ),
    pytest.param(
        "anthropic",
        "/v1/messages/batches/b/results",
        json.dumps(FAILED).encode(),
        1,
        id="an errored result",
    ),
]


@pytest.mark.parametrize(("provider", "target", "body", "lines"), NAMELESS)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_what_is_read_twice_without_an_id_is_counted_once(
    recording, provider, target, body, lines, restarted
):
    """Which line it is tells, also to a recorder that began in between."""
    for id_ in ("2", "3", "4"):
        recording.take(_exchange(target, body, id_, "GET", provider))
        recording = recording.restarted() if restarted else recording
    found = recording.rows(LINES)
    counted = [one for one in found if not one["duplicate_of"]]
    again = [one for one in found if one["duplicate_of"]]
    assert (len(counted), len(again)) == (lines, 2 * lines)
    assert {one["kind"] for one in counted} == {"llm"}
    assert {(one["kind"], one["tokens_in"], one["cost_nano_usd"]) for one in again} == {
        ("admin", None, None)
    }
    assert {one["duplicate_of"] for one in again} == {one["id"] for one in counted}


def test_a_line_with_other_counts_is_another_answer(recording):
    for id_, tokens in (("2", 5), ("3", 6)):
        recording.take(_exchange("/v1/files/file-1/content", embedded(1, tokens), id_, "GET"))
    assert [one["tokens_in"] for one in recording.rows(LINES)] == [5, 6]


def test_the_same_line_of_another_file_or_host_is_another_answer(recording):
    for id_, provider, file in (("2", "openai", 1), ("3", "openai", 2), ("4", "azure", 1)):
        target = f"/v1/files/file-{file}/content"
        recording.take(_exchange(target, embedded(1), id_, "GET", provider))
    assert [one["tokens_in"] for one in recording.rows(LINES)] == [5, 5, 5]


def test_a_file_is_the_same_at_each_of_its_addresses(recording):
    line = json.dumps({"key": "k"} | generated()).encode()
    recording.take(_exchange("/v1beta/files/f:download?alt=media", line, "2", "GET", "google"))
    other = "/download/v1beta/files/f%3Adownload?alt=media"
    recording.take(_exchange(other, line, "3", "GET", "google"))
    [first, again] = recording.rows(LINES)
    assert (first["tokens_in"], first["client_request_id"]) == (5, "k")
    assert again["duplicate_of"] == first["id"]


def test_lines_that_are_no_more_are_counted_again(recording):
    answers = Answers()
    recording.take(_exchange("/v1/files/file-1/content", embedded(1), "2", "GET"))
    stored = call_of(
        dict(recording.db.execute("select * from llm_calls where id <> '2'").fetchone())
    )
    again = stored.model_copy(update={"id": "1" + stored.id[1:]})
    assert answers.once(stored, carried=True) == stored
    assert answers.once(again, carried=True).duplicate_of == stored.id
    answers.lose([stored.id])
    assert answers.once(again, carried=True) == again
