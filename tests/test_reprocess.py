"""A parser fix heals history: stored bytes are read again, and only what they tell changes."""

import json

import pytest

from agenttrace_mitm.model import Payload
from agenttrace_mitm.pricing.calls import priced
from agenttrace_mitm.reprocess import reprocess
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import call_of, write_record

from .support.records import call, record

ASKED = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-5.5-2026",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}
KEY = b"k" * 32
JSON = [["content-type", "application/json"], ["content-encoding", "gzip"]]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.db"
    open_database(path).close()
    return path


def keep(path, one, answer=ANSWER, asked=ASKED):
    """*one* with the bytes of an exchange, as the recorder stores them: decoded."""
    payload = Payload(
        request_headers=[["content-type", "application/json"]],
        response_headers=JSON,
        request_body=json.dumps(asked).encode() if asked else None,
        response_body=json.dumps(answer).encode() if answer else None,
    )
    db = open_database(path)
    write_record(db.conn, record().model_copy(update={"call": one, "payload": payload}))
    db.close()
    return one


def read(path, id_):
    db = open_database(path)
    [row] = db.query("select * from llm_calls where id = ?", [id_])
    db.close()
    return call_of(row)


def again(path, **said):
    return reprocess(path, path.with_name("prices.json"), KEY, **said)


def unread(**values):
    """A call of which nothing had been understood."""
    said = {"dialect": "other", "kind": "admin", "model": None, "notes": ["usage: not an object"]}
    return call(**(said | values))


def test_what_was_not_understood_is_read_again(database):
    one = keep(database, unread(session_id="s", trace_id="t", attempt=2))
    told = again(database)
    assert (told.read, told.changed) == (1, 1)
    healed = read(database, one.id)
    assert (healed.dialect, healed.kind, healed.model) == ("openai.chat", "llm", "gpt-5.5")
    assert (healed.tokens_in, healed.tokens_out) == (9, 2)
    assert healed.usage_source == "reported"
    assert healed.cost_nano_usd
    assert healed.notes is None
    assert (healed.id, healed.started_us) == (one.id, one.started_us)
    assert (healed.session_id, healed.trace_id, healed.attempt) == ("s", "t", 2)
    assert problems(database) == []


def test_the_second_time_changes_nothing(database):
    keep(database, unread())
    again(database)
    assert again(database).changed == 0


def test_a_dry_run_writes_nothing(database):
    one = read(database, keep(database, unread()).id)
    told = again(database, dry_run=True)
    assert (told.changed, told.columns["tokens_in"]) == (1, 1)
    assert read(database, one.id) == one


def test_a_withheld_answer_leaves_its_figures_alone(database):
    """The bytes were dropped for a secret in them; what had been read of them stays."""
    one = keep(database, priced(call(tokens_in=5, tokens_out=6)), answer=None)
    again(database)
    healed = read(database, one.id)
    assert (healed.tokens_in, healed.tokens_out) == (5, 6)
    assert healed.params == {"temperature": 0.5}


def test_a_withheld_request_leaves_the_model_alone(database):
    one = keep(database, call(model="as-asked", params={"top_p": 1}), asked=None)
    again(database)
    healed = read(database, one.id)
    assert (healed.model, healed.params) == ("as-asked", {"top_p": 1})
    assert healed.tokens_in == 9


def test_a_price_that_is_told_again_wins_over_the_one_that_was_read_before(database):
    """The fee alone was taken for the price, once."""
    usage = ANSWER["usage"] | {"cost": 0.000006, "is_byok": True}
    usage["cost_details"] = {"upstream_inference_cost": 0.000123}
    one = keep(database, priced(call(), reported_nano_usd=6_000), ANSWER | {"usage": usage})
    again(database)
    assert read(database, one.id).cost_nano_usd == 129_000


@pytest.mark.parametrize("details", [{}, {"cost_details": {"upstream_inference_cost": None}}])
def test_a_fee_that_was_taken_for_the_price_gives_way_to_the_lists(database, details):
    """With a key of one's own and no upstream cost, the answer tells no price at all."""
    usage = ANSWER["usage"] | {"cost": 0, "is_byok": True} | details
    one = keep(database, priced(call(), reported_nano_usd=0), ANSWER | {"usage": usage})
    again(database)
    healed = read(database, one.id)
    assert healed.cost_nano_usd
    assert healed.cost_nano_usd == priced(healed).cost_nano_usd
    assert healed.price_source != "provider"
    assert "reported" not in healed.cost_detail


@pytest.mark.parametrize("answer", [None, {name: ANSWER[name] for name in ("id", "choices")}])
def test_a_price_of_which_no_bytes_tell_stays(database, answer):
    one = keep(database, priced(call(), reported_nano_usd=6_000), answer)
    again(database)
    assert read(database, one.id).cost_nano_usd == 6_000


def test_what_was_counted_elsewhere_stays_uncounted(database):
    one = keep(database, call(duplicate_of="x"))
    again(database)
    healed = read(database, one.id)
    assert (healed.tokens_in, healed.cost_nano_usd) == (None, None)
    assert healed.usage_raw == ANSWER["usage"]


def test_a_secret_in_an_error_is_redacted_again(database):
    secret = "sk-ant-api03-" + "Ab3" * 30
    failed = {"error": {"message": f"bad key {secret}", "type": "authentication_error"}}
    one = keep(database, call(status_code=401, outcome="error"), answer=failed)
    again(database)
    assert read(database, one.id).error_type == "authentication_error"
    assert secret.encode() not in read(database, one.id).error_message.encode()


@pytest.mark.parametrize("answer", [None, b""])
def test_why_nobody_answered_stays(database, answer):
    """No byte tells it: what the proxy said is in the columns alone."""
    one = call(
        outcome="interrupted", status_code=None, error_type="connection_error",
        error_message="no such name",
    )  # fmt: skip
    payload = Payload(
        request_headers=[], request_body=json.dumps(ASKED).encode(), response_body=answer
    )
    stored = record().model_copy(update={"call": one, "payload": payload})
    write_record(open_database(database).conn, stored)
    assert again(database).read == 1
    after = read(database, one.id)
    assert (after.error_type, after.error_message) == ("connection_error", "no such name")


def test_calls_without_bytes_are_left_alone(database):
    db = open_database(database)
    write_record(db.conn, record())
    db.close()
    assert again(database).read == 0


@pytest.mark.parametrize(
    ("system", "kind"),
    [
        ("You are a title generator. You output ONLY a thread title.", "auxiliary"),
        ("You are an agent.", "llm"),
    ],
)
def test_a_side_call_is_known_by_its_bytes_later_as_well(database, system, kind):
    """But not a turn by them alone: the header that told may not be stored."""
    asked = {**ASKED, "messages": [{"role": "system", "content": system}, *ASKED["messages"]]}
    taken = keep(database, call(kind="llm"), asked=asked)
    aside = keep(database, call(kind="auxiliary"), asked=asked)
    again(database)
    assert read(database, taken.id).kind == kind
    assert read(database, aside.id).kind == "auxiliary"


def test_a_retrieve_that_was_counted_stays_counted(database):
    """It is administration by its path, and in the bill because nobody showed the counts before."""
    answer = {"id": "resp_1", "object": "response", "model": "gpt-5.5", "status": "completed"}
    answer["usage"] = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    fetched = call(
        dialect="other", kind="auxiliary", method="GET", path="/v1/responses/resp_1", tokens_in=9
    )
    one = keep(database, fetched, answer, asked=None)
    again(database)
    healed = read(database, one.id)
    assert (healed.dialect, healed.kind) == ("openai.responses", "auxiliary")
    assert healed.tokens_out == 2
    assert healed.cost_nano_usd


def test_a_call_whose_end_was_not_kept_stays_one_that_had_its_end(database):
    """The stream was longer than what is kept: reading its beginning again cuts nothing off."""
    event = {"id": "c", "model": "gpt-5.5-2026", "choices": [{"index": 0, "delta": {}}]}
    one = call(outcome="ok", streamed=True, notes=["5 body bytes were not kept"])
    payload = Payload(
        request_headers=[["content-type", "application/json"]],
        response_headers=[["content-type", "text/event-stream"]],
        request_body=json.dumps(ASKED | {"stream": True}).encode(),
        response_body=b"data: " + json.dumps(event).encode() + b"\n\n",
    )
    db = open_database(database)
    write_record(db.conn, record().model_copy(update={"call": one, "payload": payload}))
    db.close()
    again(database)
    read_again = read(database, one.id)
    assert (read_again.outcome, read_again.response_model) == ("ok", "gpt-5.5-2026")
    assert read_again.notes == ["5 body bytes were not kept"]
