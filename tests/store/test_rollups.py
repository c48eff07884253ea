"""Rollups: every call counts once, however it came to be what it is."""

import sqlite3

import pytest

from agenttrace_mitm.model import LlmCall, Record
from agenttrace_mitm.store import histograms, open_database, rollups, spent
from agenttrace_mitm.store.rows import write_record
from tests.support import sample_db

HOUR = 498_672  # 2026-11-20 00:00 UTC
AT = HOUR * rollups.HOUR_US + 5


def call(number: int = 1, **said) -> LlmCall:
    given = {
        "id": f"call-{number}", "started_us": AT + number, "kind": "llm", "provider": "openai",
        "host": "api.openai.com", "method": "POST", "path": "/v1/responses", "model": "m1",
        "outcome": "ok", "billing": "metered", "latency_ms": 100.0, "cost_nano_usd": 7,
        "tokens_in": 10,
    }  # fmt: skip
    return LlmCall(**(given | said))


RUNNING = {"outcome": "in_flight", "latency_ms": None, "cost_nano_usd": None, "tokens_in": None}


@pytest.fixture
def db(tmp_path):
    opened = open_database(tmp_path / "data.db").conn
    yield opened
    opened.close()


def write(db: sqlite3.Connection, *calls: LlmCall) -> None:
    for one in calls:
        write_record(db, Record(call=one))


def tables(db: sqlite3.Connection) -> dict[str, list]:
    """All rollups, to compare."""
    return {
        name: sorted(db.execute(f"select * from {name}").fetchall(), key=repr)
        for name in ("rollup_hour", "rollup_day", "rollup_session", "rollup_model", "rollup_spend")
    }


def rebuilt(db: sqlite3.Connection) -> dict[str, list]:
    rollups.rebuild(db)
    return tables(db)


def test_kept_by_the_writer_they_are_what_counting_again_gives(tmp_path) -> None:
    """Each row and each column, on a month of calls."""
    path = tmp_path / "month.db"
    sample_db.build(path, calls_a_day=30)
    db = sqlite3.connect(path, isolation_level=None)
    kept = tables(db)
    assert len(kept["rollup_hour"]) > 300
    assert kept == rebuilt(db)
    total = db.execute("select count(*), sum(cost_nano_usd), sum(tokens_in) from llm_calls")
    added = db.execute("select sum(calls), sum(cost_nano_usd), sum(tokens_in) from rollup_day")
    assert total.fetchone() == added.fetchone()
    db.close()


@pytest.mark.parametrize(
    "story",
    [
        (call(),),
        (call(), call()),
        (call(**RUNNING), call()),
        (call(**RUNNING), call(**RUNNING), call(), call()),
        (call(outcome="interrupted", tokens_in=3, model="m0"), call()),
        (call(**RUNNING), call(outcome="interrupted"), call(outcome="interrupted"), call(), call()),
        (call(), call(**RUNNING), call(outcome="interrupted")),
    ],
)
def test_one_call_counts_once(db, story) -> None:
    """Written again, first running, first cut short: it is one call with its last figures."""
    write(db, *story)
    assert db.execute("select calls, model, tokens_in, failed from rollup_hour").fetchall() == [
        (1, "m1", 10, 0)
    ]
    stored = db.execute("select latencies from rollup_day").fetchone()[0]
    assert histograms.unpack(stored) == histograms.of(100)
    assert tables(db) == rebuilt(db)


def test_a_running_call_is_in_no_rollup(db) -> None:
    """Running calls are few and change; pages add them from the calls themselves."""
    write(db, call(**RUNNING))
    assert not any(tables(db).values())


def test_what_nobody_reported_stays_unknown(db) -> None:
    """NULL plus NULL is NULL, NULL plus 3 is 3: missing is not zero."""
    write(db, call(1, cost_nano_usd=None, tokens_in=None))
    row = "select cost_nano_usd, tokens_in, unpriced from rollup_day"
    assert db.execute(row).fetchone() == (None, None, 1)
    write(db, call(2, cost_nano_usd=3, tokens_in=None), call(3, cost_nano_usd=None, tokens_in=0))
    assert db.execute(row).fetchone() == (3, 0, 2)


def test_a_response_read_again_is_not_unpriced(db) -> None:
    """`duplicate_of` keeps no figures, and lacks no price."""
    write(db, call(1), call(2, duplicate_of="call-1", cost_nano_usd=None, tokens_in=None))
    assert db.execute("select calls, unpriced, cost_nano_usd from rollup_day").fetchall() == [
        (2, 0, 7)
    ]


def test_a_refused_record_leaves_no_count(db) -> None:
    """Rollups live in the transaction of the call."""
    db.execute("begin immediate")
    write(db, call())
    db.rollback()
    assert not any(tables(db).values())


def test_models_are_told_apart_by_what_was_asked_too(db) -> None:
    """An alias and what answered are two names, agents are one row, times are added up."""
    write(
        db,
        call(1, model="alias", response_model="m1", agent_id="a"),
        call(2, model="alias", response_model="m1", agent_id="b", latency_ms=900.0),
        call(3, model="alias", response_model=None),
    )
    write(db, call(4))
    rows = db.execute("select asked_model, model, calls from rollup_model order by 1, 2")
    assert rows.fetchall() == [("alias", "alias", 1), ("alias", "m1", 2), ("m1", "m1", 1)]
    times = "select latencies from rollup_model where asked_model = 'alias' and model = 'm1'"
    stored = db.execute(times).fetchone()[0]
    assert histograms.unpack(stored) == histograms.of(100) + histograms.of(900)
    assert tables(db) == rebuilt(db)


def test_spend_is_that_of_calls_which_are_paid_by_use(db) -> None:
    """By day and session, of the kinds that pages call calls; unknown is not nothing."""
    first = (
        call(1, session_id="s", model="m0"),
        call(2, session_id="s", billing=None, cost_nano_usd=None),
        call(3, session_id="s", billing="subscription", cost_nano_usd=100),
        call(4, session_id="s", kind="auxiliary", billing=None, cost_nano_usd=2),
        call(5, session_id="s", kind="count", cost_nano_usd=1000),
        call(6, session_id="unknown", billing="free"),
        call(7, session_id="others", kind="admin"),
    )
    counts = rollups.Counts()
    for one in first:
        counts.add(one, None)
    counts.write(db)
    write(db, call(8, session_id="s", started_us=AT + rollups.DAY_US), call(9))
    for one in (call(10, session_id="unknown", cost_nano_usd=None), call(11, session_id="s")):
        write(db, one)
    day = HOUR // 24
    expected = [(day, "", 1, 7), (day, "s", 5, 16), (day, "unknown", 2, None), (day + 1, "s", 1, 7)]
    rows = "select day, session_id, calls, cost_nano_usd from rollup_spend order by 1, 2"
    assert db.execute(rows).fetchall() == expected
    db.execute("drop table rollup_spend")
    spent.create(db)
    assert db.execute(rows).fetchall() == expected, "told from the rollups of sessions"


def test_sums_by_model_outlive_calls_that_have_gone_by_age(db) -> None:
    """Counted again they stay; a database that had none gets them from the other days."""
    write(db, call(1, model="alias", response_model="m1"), call(2, started_us=AT + rollups.DAY_US))
    db.execute(
        "insert into horizon (since_us) values (?)", (HOUR * rollups.HOUR_US + rollups.DAY_US,)
    )
    db.execute("delete from llm_calls where id = 'call-1'")
    before = tables(db)
    assert before == rebuilt(db)
    db.execute("drop table rollup_model")
    rollups.create_of_models(db)
    sums = "select day, model, calls, cost_nano_usd, latencies from rollup_{} order by day"
    models, days = (db.execute(sums.format(name)).fetchall() for name in ("model", "day"))
    assert models == days
    assert len(models) == 2
