"""Content that goes by hand: by age, by size, never the figures, never the last day."""

import os
import sqlite3

import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from agenttrace_mitm.clock import new_id, now_us
from agenttrace_mitm.model import Payload
from agenttrace_mitm.store import log as log_module
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.merging import FEW, levels
from agenttrace_mitm.store.pruning import DAY_US, prune
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from tests.support.records import message, record

DAYS = 10
BODY = 100_000


@pytest.fixture
def database(home):
    path = home / "data.db"
    db = open_database(path).conn
    now = now_us()
    for day in range(DAYS):
        at_us = now - day * DAY_US - DAY_US // 2
        one = record(id=new_id(at_us), started_us=at_us, cost_nano_usd=5)
        update = {
            "messages": (message(f"words {day}"),),
            "payload": Payload(request_body=os.urandom(BODY)),
        }
        write_record(db, one.model_copy(update=update))
    db.close()
    return path


def left(path):
    with sqlite3.connect(path) as db:
        return db.execute(
            "select (select count(*) from payloads), (select count(*) from messages"
            " where content is not null), (select sum(cost_nano_usd) from rollup_day),"
            " (select count(*) from llm_calls)"
        ).fetchone()


def test_by_age(database):
    said = prune(database, now_us(), days=4, max_bytes=None, dry_run=True)
    assert (said.payloads, said.messages) == (6, 6)
    assert left(database) == (10, 10, 50, 10)
    done = prune(database, now_us(), days=4, max_bytes=None, dry_run=False)
    assert (done.payloads, done.messages) == (6, 6)
    assert left(database) == (4, 4, 50, 10)
    assert done.size_before - done.size_after >= 5 * BODY
    assert problems(database) == []


def test_the_search_index_is_in_few_pieces_after(database):
    """Also where nothing goes: nobody records meanwhile."""
    db = open_database(database).conn
    for number in range(FEW):
        write_record(db, record(f"fox {number}"))
    assert max(len(level.pages) for level in levels(db)) > FEW
    prune(database, now_us(), days=5, max_bytes=None, dry_run=False)
    assert max(len(level.pages) for level in levels(db)) < FEW
    found = "select count(*) from messages_fts where messages_fts match 'fox'"
    assert db.execute(found).fetchone() == (FEW,)
    db.close()
    assert problems(database) == []


def test_by_size_the_oldest_goes_first(database):
    size = prune(database, now_us(), days=None, max_bytes=None, dry_run=True).size_before
    wanted = size - 3 * BODY
    done = prune(database, now_us(), days=None, max_bytes=wanted, dry_run=False)
    assert done.size_after <= wanted
    assert database.stat().st_size <= wanted
    payloads, messages, spent, calls = left(database)
    assert 5 <= payloads <= 7
    assert payloads == messages
    assert (spent, calls) == (50, 10)
    with sqlite3.connect(database) as db:
        oldest = db.execute("select min(text) from messages where text is not null").fetchone()
    assert oldest == ("words 0",)


def test_the_last_day_stays_whatever_its_size(database):
    prune(database, now_us(), days=None, max_bytes=1, dry_run=False)
    assert left(database)[0] >= 1


def test_the_command(database):
    said = CliRunner().invoke(cli, ["db", "prune", "--days", "4", "--dry-run"])
    assert "6 payloads and 6 messages would go" in said.output
    assert "6 payloads" in CliRunner().invoke(cli, ["db", "prune", "--days", "4"]).output
    assert "0 payloads" in CliRunner().invoke(cli, ["db", "prune"]).output
    assert CliRunner().invoke(cli, ["db", "prune", "--max-size", "big"]).exit_code == 2
    assert CliRunner().invoke(cli, ["db", "prune", "--max-size", "5MB"]).exit_code == 0
    done = CliRunner().invoke(cli, ["db", "prune", "--max-size", "1KB"])
    assert (done.exit_code, "bytes more than 1,000" in done.stderr) == (1, True)
    assert left(database)[0] <= 4


def test_what_would_go_is_counted_by_agent(database, monkeypatch):
    """As what then goes is; sessions on hold stay in both."""
    with sqlite3.connect(database) as db:
        ids = [id_ for (id_,) in db.execute("select id from llm_calls order by id")]
        db.executemany(
            "update llm_calls set agent_id = ?, session_id = ? where id = ?",
            [(("short", "long")[n % 2], f"s{n}", id_) for n, id_ in enumerate(ids)],
        )
        db.execute("insert into holds values ('s0', 1, null)")
    monkeypatch.setenv("AGENTTRACE_RETENTION_AGENTS", '{"short": 2, "long": 7}')
    monkeypatch.setenv("AGENTTRACE_METADATA_AGENTS", '{"long": 7}')
    would = CliRunner().invoke(cli, ["db", "prune", "--dry-run"]).output
    assert left(database) == (10, 10, 50, 10)
    assert "4 payloads and 4 messages would go.\n1 calls would go." in would
    assert "like the others" not in would
    went = CliRunner().invoke(cli, ["db", "prune"]).output
    assert "4 payloads and 4 messages went.\n1 calls went." in went
    assert left(database) == (6, 6, 50, 9)


def test_the_log_stays_short(database, monkeypatch):
    """All that moves stands in it first: the index is merged, pages are given back, in bites."""
    db = open_database(database).conn
    db.execute("create table large as select zeroblob(8000000) as x")
    db.execute("drop table large")
    db.close()
    sizes, log = [], database.with_name("data.db-wal")
    monkeypatch.setattr("agenttrace_mitm.store.pruning.BITE", 100)
    home = log_module.bring_home

    def brought_home(db):
        sizes.append(log.stat().st_size)
        home(db)

    monkeypatch.setattr("agenttrace_mitm.store.pace.bring_home", brought_home)
    done = prune(database, now_us(), days=None, max_bytes=None, dry_run=False)
    assert len(sizes) >= 9
    assert max(sizes) < 2_000_000
    assert database.stat().st_size == done.size_after
