"""Calls go by age; sums stay, sessions on hold stay, and what is kept stays sound."""

import itertools
import sqlite3

import pytest

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Payload, Record, StoredSession, StoredSpan, StoredTrace
from agenttrace_mitm.model.placement import Placement
from agenttrace_mitm.store import open_database, rollups
from agenttrace_mitm.store.aging import STEP, hold, let_calls_go, release
from agenttrace_mitm.store.pace import Pace
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call, message

DAY_US = 86_400_000_000
OLD_US = NOON_US - 40 * DAY_US
LIMIT_US = NOON_US - 30 * DAY_US


@pytest.fixture
def file(tmp_path):
    open_database(tmp_path / "data.db").close()
    return tmp_path / "data.db"


def write(file, at_us, session, *, before=None, shared=None, agent=None):
    id_ = new_id(at_us)
    times = {"started_us": at_us, "ended_us": at_us + 1}
    place = Placement(
        session=StoredSession(session_id=session, **times),
        trace=StoredTrace(trace_id=f"t-{session}", call_id=id_, root_span_id="r", **times),
        spans=(
            StoredSpan(span_id=f"r-{session}", trace_id=f"t-{session}", kind="agent", **times),
            StoredSpan(span_id=id_, trace_id=f"t-{session}", kind="llm", call_id=id_, **times),
        ),
    )
    said = [message(f"of {id_}", 2 if before else 1)] + ([message(shared, 0)] if shared else [])
    one = call(
        id=id_, session_id=session, trace_id=f"t-{session}", cost_nano_usd=7,
        continues_call_id=before, agent_id=agent, **times,
    )  # fmt: skip
    payload = Payload(request_body=b"x" * 300)
    db = sqlite3.connect(file)
    with db:
        write_record(db, Record(call=one, messages=tuple(said), payload=payload, placement=place))
    db.close()
    return id_


def all_gone(file, before_us=LIMIT_US):
    db = open_database(file).conn
    while let_calls_go(db, before_us):
        pass
    return db


def sums(db):
    return [
        db.execute(f"select sum(calls), sum(cost_nano_usd) from rollup_{table}").fetchone()
        for table in ("hour", "day", "session", "spend")
    ]


def test_old_calls_go_and_their_sums_stay(file):
    for number in range(STEP + 5):
        write(file, OLD_US + number, f"old-{number % 3}", shared="said by all")
    kept = write(file, NOON_US, "new", shared="said by all")
    db = open_database(file).conn
    before = sums(db)
    db.close()
    db = all_gone(file)
    assert db.execute("select id from llm_calls").fetchall() == [(kept,)]
    assert sums(db) == before
    for table in ("sessions", "traces", "payloads"):
        assert db.execute(f"select count(*) from {table}").fetchone() == (1,), table
    assert db.execute("select count(*) from spans").fetchone() == (2,)
    assert db.execute("select count(*) from messages").fetchone() == (2,)
    rollups.rebuild(db)
    rollups.recount(db, {OLD_US // rollups.HOUR_US})
    assert sums(db) == before
    db.close()
    assert problems(file) == []


def test_the_day_that_the_limit_falls_into_stays_whole(file):
    """Half a day would leave sums that nobody could check."""
    write(file, LIMIT_US // DAY_US * DAY_US, "that day")
    write(file, LIMIT_US // DAY_US * DAY_US - 1, "the day before")
    db = all_gone(file)
    assert db.execute("select session_id from llm_calls").fetchall() == [("that day",)]


def test_a_session_on_hold_stays_with_its_content(file):
    first = write(file, OLD_US, "held")
    write(file, OLD_US + 1, "held", before=first)
    write(file, OLD_US + 2, "other")
    db = open_database(file).conn
    assert hold(db, "held", NOON_US, "for the audit")
    assert not hold(db, "nobody", NOON_US, None)
    while let_go(db, LIMIT_US):
        pass
    db.close()
    db = all_gone(file)
    assert db.execute("select distinct session_id from llm_calls").fetchall() == [("held",)]
    assert db.execute("select count(*) from payloads").fetchone() == (2,)
    assert db.execute("select count(content), count(*) from messages").fetchone() == (2, 2)
    assert release(db, "held")
    assert not release(db, "held")
    db.close()
    db = all_gone(file)
    assert db.execute("select count(*) from llm_calls").fetchone() == (0,)
    assert db.execute("select count(*) from messages").fetchone() == (0,)
    db.close()
    assert problems(file) == []


def test_a_kept_call_keeps_the_history_it_continues(file):
    first = write(file, OLD_US, "s", shared="how it began")
    kept = write(file, NOON_US, "s", before=first)
    db = all_gone(file)
    texts = "select text from call_messages join messages on id = message_id where call_id = ?"
    assert {row[0] for row in db.execute(texts, (kept,))} == {
        "how it began", f"of {kept}", f"of {first}",
    }  # fmt: skip
    assert db.execute("select continues_call_id from llm_calls").fetchall() == [(None,)]
    db.close()
    assert problems(file) == []


def test_agents_may_keep_theirs_longer_or_shorter(file):
    """Sums stay as they are from where the first of the calls have gone."""
    for agent, days in itertools.product(("short", "long", "other", None), (50, 40, 20, 0)):
        write(file, NOON_US - days * DAY_US, f"{agent}-{days}", agent=agent)
    db = open_database(file).conn
    before = sums(db)
    agents = {"short": NOON_US - 10 * DAY_US, "long": NOON_US - 45 * DAY_US, "nobody": NOON_US}
    while let_calls_go(db, LIMIT_US, agents, Pace(3, 1, 3)):
        pass
    assert {name for (name,) in db.execute("select session_id from llm_calls")} == {
        "long-40", "long-20", "other-20", "None-20", "short-0", "long-0", "other-0", "None-0",
    }  # fmt: skip
    assert db.execute("select since_us from horizon").fetchall() == [
        ((NOON_US - 20 * DAY_US) // DAY_US * DAY_US + DAY_US,)
    ]
    rollups.rebuild(db)
    assert sums(db) == before
    db.close()
    assert problems(file) == []


def test_a_heavy_call_goes_a_part_at_a_time(file, monkeypatch):
    """Its texts, before itself; a body that was stored after its own stands alone before that."""
    monkeypatch.setattr("agenttrace_mitm.store.aging.HEAVY", 500)
    monkeypatch.setattr("agenttrace_mitm.store.aging.WORDS", 148)
    said = tuple(message(f"{n} " + "word " * 1_800, n) for n in range(60))  # 37 rows each
    db = open_database(file).conn
    write_record(
        db,
        Record(call=call(id=new_id(OLD_US), started_us=OLD_US), messages=said),
    )
    write(file, OLD_US + 1, "light")
    steps, left = [], []
    while done := let_calls_go(db, LIMIT_US):
        steps.append(done)
        left += db.execute("select count(*), count(content) from messages").fetchall()
    assert steps[:2] == [4, 4]
    assert left[:2] == [(61, 57), (61, 53)]
    assert left[-1] == (0, 0)
    assert db.execute("select count(*) from llm_calls").fetchone() == (0,)
    db.close()
    assert list(problems(file)) == []


def test_a_kept_call_keeps_the_history_of_a_heavy_one(file, monkeypatch):
    """The words that it takes over stay, those that nobody takes over do not."""
    monkeypatch.setattr("agenttrace_mitm.store.aging.HEAVY", 5)
    first = new_id(OLD_US)
    said = tuple(message(f"{n} " + "word " * 1_800, n) for n in range(6))
    db = open_database(file).conn
    write_record(db, Record(call=call(id=first, started_us=OLD_US), messages=said))
    goes_on = call(id=new_id(NOON_US), continues_call_id=first)
    write_record(db, Record(call=goes_on, messages=(message("today", 4),)))
    while let_calls_go(db, LIMIT_US):
        pass
    told = db.execute("select substr(text, 1, 6) from messages order by id").fetchall()
    assert told == [("0 word",), ("1 word",), ("2 word",), ("3 word",), ("today",)]
    db.close()
    assert list(problems(file)) == []


def test_a_prompt_goes_with_its_last_call(file):
    """Also of calls on hold, and of those that are kept."""
    db = open_database(file).conn
    for prompt, at_us, session in [
        ("gone", OLD_US, "s"), ("held", OLD_US + 1, "h"), ("used", OLD_US + 2, "s"),
        ("used", NOON_US, "s"), ("new", NOON_US + 1, "s"),
    ]:  # fmt: skip
        one = call(id=new_id(at_us), started_us=at_us, ended_us=at_us, session_id=session,
                   agent_id="a", prompt_id=prompt)  # fmt: skip
        place = Placement(session=StoredSession(session_id=session, started_us=1, ended_us=1))
        write_record(db, Record(call=one, placement=place))
        db.execute(
            "insert or ignore into prompts"
            " select ?, 'a', ?, '', '', null, null, 0, 0, 0, 3, null", (prompt, at_us),
        )  # fmt: skip
    hold(db, "h", NOON_US, None)
    while let_calls_go(db, LIMIT_US):
        pass
    left = [id_ for (id_,) in db.execute("select prompt_id from prompts order by 1")]
    assert left == ["held", "new", "used"]
