"""The `db` commands as a user has them."""

import contextlib
import json
import sqlite3

import pytest

from agenttrace_mitm.access import fingerprint_key
from agenttrace_mitm.clock import now_us
from agenttrace_mitm.pricing.calls import priced
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record

from ..support.records import call, record


@pytest.fixture
def spender(user):
    """A user whose database has one call of a million tokens and an estimated one."""
    guess = {"estimated_input_tokens": 7_000_000, "estimated_output_tokens": 0}
    db = open_database(user.home / "data.db")
    for values in (
        {"tokens_in": 1_000_000, "tokens_out": 0},
        {"usage_source": "estimated", "usage_detail": guess},
    ):
        one = priced(call(started_us=now_us(), **values))
        write_record(db.conn, record().model_copy(update={"call": one}))
    db.close()
    fingerprint_key(user.home / "fingerprint.key")
    return user


def test_reprice_prints_the_difference_and_writes_it(spender):
    entry = {"provider": "openai", "models": ["gpt-5.5"], "prices": {"input_mtok": "1"}}
    (spender.home / "prices.json").write_text(json.dumps({"models": [entry]}))
    dry = spender.types("db", "reprice", "--dry-run")
    assert dry.returncode == 0
    assert "gpt-5.5" in dry.stdout
    assert "$1.00" in dry.stdout
    assert "Nothing was written" in dry.stdout
    spender.types("db", "reprice")
    assert "what it would be today" in spender.types("db", "reprice").stdout


@pytest.mark.parametrize("words", [["reprice"], ["reprocess"]])
def test_a_wrong_price_file_is_one_sentence(spender, words):
    (spender.home / "prices.json").write_text('{"models": 7}')
    done = spender.types("db", *words)
    assert done.returncode == 1
    assert "prices.json is wrong at models" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("db", "reprocess"), ("traces", "rebuild")])
def test_without_the_key_nothing_is_inferred_again(spender, words):
    """Another key would give every message another id."""
    (spender.home / "fingerprint.key").unlink()
    before = (spender.home / "data.db").read_bytes()
    done = spender.types(*words)
    assert done.returncode == 1
    assert "recorded with a key that is not here" in done.stderr
    assert "Copy fingerprint.key from the home folder that recorded it" in done.stderr
    assert not (spender.home / "fingerprint.key").exists()
    assert (spender.home / "data.db").read_bytes() == before
    fingerprint_key(spender.home / "fingerprint.key")
    assert spender.types(*words).returncode == 0


def test_a_backup_says_what_it_is_without(spender):
    key = spender.home / "fingerprint.key"
    said = spender.types("backup", str(spender.home / "a.db")).stdout
    assert said.splitlines()[1] == f"To go on with it in another home, take {key} along."


@pytest.mark.parametrize(
    "words", ["db prune", "db forget --session x", "db reprocess", "traces rebuild", "backup a.db"]
)
def test_what_is_no_database_of_ours_is_said_first(user, tmp_path, words):
    """Before anything is asked, of a key that it cannot have, or made beside it."""
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("create table notes (text)")
        db.commit()
    nowhere = tmp_path / "nowhere.db"
    done = user.types(*words.split(), "--db", str(nowhere))
    assert done.returncode == 1
    assert f"There is no database at {nowhere}" in done.stderr
    assert [one.name for one in tmp_path.iterdir() if one != user.home] == ["other.db"]
    yes = ["--yes"] if "forget" in words else []
    done = user.types(*words.split(), *yes, "--db", str(other))
    assert done.returncode == 1
    assert "another program" in done.stderr
    assert not list(tmp_path.glob("a.db*"))


@pytest.mark.parametrize("limit", ["nan", "inf", "-1"])
def test_a_limit_that_is_no_amount(spender, limit):
    done = spender.types("gate", "--last", "--max-cost", limit)
    assert done.returncode == 2
    assert "an amount of dollars" in done.stderr


def test_a_wrong_day_is_told(spender):
    done = spender.types("db", "reprice", "--since", "yesterday")
    assert done.returncode == 2
    assert "2026-11-20" in done.stderr


def test_verify_and_rebuild_rollups(spender):
    assert "is sound" in spender.types("db", "verify").stdout
    db = open_database(spender.home / "data.db")
    db.execute("delete from rollup_hour")
    db.close()
    spender.types("db", "rebuild-rollups")
    assert spender.types("db", "verify").returncode == 0


def test_without_a_database_it_says_how_to_get_one(user):
    done = user.types("db", "reprice")
    assert done.returncode == 1
    assert "agenttrace-mitm start" in done.stderr


def test_estimates_are_in_the_totals_only_when_asked_for(spender):
    [plain] = json.loads(spender.types("stats", "--json").stdout)
    [asked] = json.loads(spender.types("stats", "--json", "--estimates").stdout)
    assert (plain["tokens_in"], plain["unpriced"]) == (1_000_000, 1)
    assert (asked["tokens_in"], asked["unpriced"]) == (8_000_000, 0)
    assert asked["cost_nano_usd"] > plain["cost_nano_usd"] > 0
