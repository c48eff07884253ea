"""History made anew: prices, sums, and a file that says when it is not sound."""

import json

import pytest

from agenttrace_mitm.errors import SettingsError
from agenttrace_mitm.pricing import use
from agenttrace_mitm.pricing.calls import priced
from agenttrace_mitm.pricing.overrides import NO_OVERRIDES
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.revise import problems, rebuild_rollups, reprice
from agenttrace_mitm.store.rows import call_of, write_record

from ..support.records import NOON_US, call, record


@pytest.fixture(autouse=True)
def built_in_prices():
    yield
    use(NO_OVERRIDES)


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.db"
    open_database(path).close()
    return path


def keep(path, *calls):
    db = open_database(path)
    for one in calls:
        write_record(db.conn, record().model_copy(update={"call": one}))
    db.close()


def read(path, id_):
    db = open_database(path)
    [row] = db.query("select * from llm_calls where id = ?", [id_])
    db.close()
    return call_of(row)


def spent(**values):
    """A priced call that read a million tokens."""
    return priced(call(tokens_in=1_000_000, tokens_out=0, usage_source="reported", **values))


def prices(path, **entry):
    said = {"provider": "openai", "models": ["gpt-5.5"], "prices": {"input_mtok": "1"}}
    file = path.with_name("prices.json")
    file.write_text(json.dumps({"models": [said | entry]}))
    return file


def test_nothing_changes_when_prices_did_not(database):
    one = spent()
    keep(database, one)
    assert reprice(database, database.with_name("prices.json")) == []


def test_a_users_price_rewrites_history_and_the_sums(database):
    one = spent()
    keep(database, one)
    [found] = reprice(database, prices(database))
    assert (found.model, found.calls) == ("gpt-5.5", 1)
    assert (found.before_nano_usd, found.after_nano_usd) == (one.cost_nano_usd, 10**9)
    again = read(database, one.id)
    assert again.cost_nano_usd == 10**9
    assert again.notes == ["user_prices"]
    assert problems(database) == []
    db = open_database(database)
    assert db.execute("select sum(cost_nano_usd) from rollup_day").fetchone()[0] == 10**9


def test_a_dry_run_tells_and_writes_nothing(database):
    one = spent()
    keep(database, one)
    [found] = reprice(database, prices(database), dry_run=True)
    assert found.after_nano_usd == 10**9
    assert read(database, one.id) == read(database, one.id)
    assert read(database, one.id).cost_nano_usd == one.cost_nano_usd


def test_only_calls_since_then_are_repriced(database):
    old, new = spent(), spent(started_us=NOON_US + 10)
    keep(database, old, new)
    [found] = reprice(database, prices(database), since_us=NOON_US + 5)
    assert found.calls == 1
    assert read(database, old.id).cost_nano_usd == old.cost_nano_usd


def test_an_unlisted_model_gets_the_users_price(database):
    one = spent(model="house-blend")
    assert one.unpriced_reason == "unknown_model"
    keep(database, one)
    [found] = reprice(database, prices(database, models=["house-*"]))
    assert found.newly_priced == 1
    assert read(database, one.id).unpriced_reason is None


def test_an_unlisted_provider_gets_the_users_price(database):
    one = spent(provider="basement", model="llama")
    keep(database, one)
    reprice(database, prices(database, provider="basement", models=["*"]))
    assert read(database, one.id).cost_nano_usd == 10**9


def test_a_users_price_is_dated(database):
    one = spent()
    keep(database, one)
    assert reprice(database, prices(database, **{"from": "2030-01-01"})) == []


def test_what_the_provider_said_it_cost_stays(database):
    one = priced(call(tokens_in=1_000_000, tokens_out=0), reported_nano_usd=7)
    keep(database, one)
    reprice(database, prices(database))
    again = read(database, one.id)
    assert again.cost_nano_usd == 7
    assert again.cost_detail == {"reported": 7, "listed": 10**9}


def test_a_running_call_is_left_alone(database):
    one = call(outcome="in_flight", tokens_in=5)
    keep(database, one)
    assert reprice(database, prices(database)) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ('{"models": [{"provider": "openai"}]}', "models.0.models"),
        ('{"modles": []}', "modles"),
        (
            '{"models": [{"provider": "o", "models": ["m"], "prices": {"input": 1}}]}',
            "'input' is no unit",
        ),
        (
            '{"models": [{"provider": "o", "models": ["m"], "prices": {"input_mtok": -1}}]}',
            "prices.input_mtok",
        ),
        ("[1]", "models.0"),
    ],
)
def test_a_wrong_price_file_is_told_in_a_sentence(database, text, says):
    file = database.with_name("prices.json")
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        reprice(database, file)
    assert says in error.value.problem
    assert "\n" not in error.value.problem


def test_verify_finds_what_does_not_agree(database):
    keep(database, spent())
    db = open_database(database)
    db.execute("update llm_calls set continues_call_id = 'nobody', cache_read_tokens = 10000000")
    db.execute("delete from rollup_hour")
    db.close()
    found = problems(database)
    assert len(found) == 2
    rebuild_rollups(database)
    db = open_database(database)
    assert db.execute("select sum(calls) from rollup_hour").fetchone()[0] == 1


def test_verify_finds_spend_that_does_not_agree(database):
    keep(database, spent())
    db = open_database(database)
    db.execute("update rollup_spend set calls = calls + 1")
    db.close()
    [found] = problems(database)
    assert "sessions spent" in found
    rebuild_rollups(database)
    assert problems(database) == []
