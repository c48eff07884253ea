"""What the settings keep, and what goes: by age, by agent, by size."""

import random
import time

import pytest

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.errors import SettingsError
from agenttrace_mitm.model import Payload
from agenttrace_mitm.settings import load
from agenttrace_mitm.store import Keeping, Spool, Writer, open_database
from agenttrace_mitm.store.aging import hold
from agenttrace_mitm.store.keeping import DAY_US, bytes_used
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, record

BODY = 40_000
DAYS = 12


@pytest.fixture
def db(tmp_path):
    db = open_database(tmp_path / "data.db").conn
    for day in range(DAYS):
        at_us = NOON_US - (DAYS - 1 - day) * DAY_US
        one = record(
            f"day {day}",
            id=new_id(at_us),
            started_us=at_us,
            session_id=f"s{day}",
            agent_id="even" if day % 2 == 0 else "odd",
            cost_nano_usd=5,
        )
        body = random.Random(day).randbytes(BODY)  # does not compress
        write_record(db, one.model_copy(update={"payload": Payload(request_body=body)}))
        db.execute("insert into sessions (session_id) values (?)", (f"s{day}",))
    yield db
    db.close()


def all_done(db, keeping, now_us=NOON_US + 1):
    for _ in range(1_000):
        if not keeping.step(db, now_us):
            return
    pytest.fail("retention never ends")


def texts(db):
    sql = "select text from messages where text is not null order by id"
    return [text for (text,) in db.execute(sql)]


def days(db):
    """Days of content, days of calls, and what they cost in the sums."""
    calls = db.execute("select session_id from llm_calls order by started_us")
    content = [int(text.removeprefix("day ")) for text in texts(db)]
    spent = db.execute("select sum(cost_nano_usd) from rollup_day").fetchone()[0]
    return content, [int(name[1:]) for (name,) in calls], spent


def test_nothing_goes_without_a_limit(db):
    assert not Keeping().step(db, NOON_US + 1000 * DAY_US)
    assert days(db) == (list(range(DAYS)), list(range(DAYS)), 5 * DAYS)


def test_content_goes_by_agent(db):
    all_done(db, Keeping(days=6, agents={"even": 2, "odd": 0}))
    assert days(db)[0] == [1, 3, 5, 7, 9, 10, 11]


def test_an_agent_may_be_the_only_one_whose_content_goes(db):
    all_done(db, Keeping(agents={"even": 2}))
    assert days(db)[0] == [1, 3, 5, 7, 9, 10, 11]
    all_done(db, Keeping(agents={"even": 2}), NOON_US + DAY_US + 2_000)
    assert days(db)[0] == [1, 3, 5, 7, 9, 11]


def test_calls_go_by_agent_and_their_sums_stay(db):
    all_done(db, Keeping(metadata_days=6, metadata_agents={"even": 2, "odd": 0}))
    assert days(db)[1:] == ([1, 3, 5, 7, 9, 10, 11], 5 * DAYS)


def test_an_agent_may_be_the_only_one_whose_calls_go(db):
    all_done(db, Keeping(metadata_agents={"even": 0}))
    assert days(db)[1] == list(range(DAYS))
    all_done(db, Keeping(metadata_agents={"even": 2}))
    assert days(db)[1] == [1, 3, 5, 7, 9, 10, 11]


def test_content_goes_before_calls(db):
    everything = bytes_used(db)
    all_done(db, Keeping(max_bytes=everything - 3 * BODY))
    content, calls, spent = days(db)
    assert bytes_used(db) <= everything - 3 * BODY
    assert 6 <= len(content) <= 10
    assert content == list(range(DAYS - len(content), DAYS))
    assert (calls, spent) == (list(range(DAYS)), 5 * DAYS)


def test_then_the_oldest_calls_go_and_the_last_day_stays(db):
    hold(db, "s3", NOON_US, None)
    all_done(db, Keeping(max_bytes=1))
    content, calls, spent = days(db)
    assert content == calls == [3, 10, 11]
    assert spent == 5 * DAYS


def test_the_file_is_as_small_as_it_was_to_be(db, tmp_path):
    wanted = bytes_used(db) - 4 * BODY
    all_done(db, Keeping(max_bytes=wanted))
    db.execute("pragma wal_checkpoint(truncate)")
    assert (tmp_path / "data.db").stat().st_size <= wanted


def test_the_writer_keeps_to_it(db, tmp_path):
    """Between two batches, and without being asked again."""
    writer = Writer(
        tmp_path / "data.db", Spool(tmp_path / "spool"), lambda ids: None, keeping=Keeping(days=1)
    )
    writer.put(record("day 99", id=new_id()))
    writer.start()
    for _ in range(3_000):
        if texts(db) == ["day 99"]:
            break
        time.sleep(0.01)
    writer.stop()
    assert texts(db) == ["day 99"]


def test_sizes_are_written_like_sizes(monkeypatch, tmp_path):
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path))
    assert load({"max_bytes": "2GB"}).max_bytes == 2 * 10**9
    assert load({"retention_agents": {"a": 7}}).retention_agents == {"a": 7}
    assert load({"metadata_agents": {"a": 7}}).metadata_agents == {"a": 7}
    with pytest.raises(SettingsError, match="500MB or 2GB"):
        load({"max_bytes": "large"})
    with pytest.raises(SettingsError, match="retention-agents"):
        load({"retention_agents": {"a": -1}})
