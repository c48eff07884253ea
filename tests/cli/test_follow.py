"""Which calls a terminal tells of, and when."""

import pytest

from agenttrace_mitm.cli.follow import Follower
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store import open_database, queries
from agenttrace_mitm.store.rows import write_record

from ..support.records import call, record


@pytest.fixture
def add(tmp_path):
    """Writes a call with these values to `data.db`, and says its id."""
    db = open_database(tmp_path / "data.db")

    def written(**values):
        one = call(**{"id": new_id()} | values)
        write_record(db.conn, record().model_copy(update={"call": one}))
        db.conn.commit()
        return one.id

    yield written
    db.close()


def fail(*_):
    raise StoreError("the database is busy")


def test_each_call_is_told_once_and_a_long_one_at_its_end(add, tmp_path):
    add()
    follower = Follower(tmp_path / "data.db")
    long = add(outcome="in_flight")
    short = add()
    assert [one.id for one in follower.poll()] == [short]
    add(id=long)
    assert [one.id for one in follower.poll()] == [long]
    assert follower.poll() == []


def test_of_too_many_the_last_are_told_and_the_others_counted(add, tmp_path):
    follower = Follower(tmp_path / "data.db", most=3)
    long = add(outcome="in_flight")
    assert follower.poll() == []
    few = [add() for _ in range(3)]
    assert [one.id for one in follower.poll()] == few
    assert follower.passed_over == 0
    many = [add() for _ in range(8)]
    add(id=long)  # it is no less told for that it began before
    assert [one.id for one in follower.poll()] == [long, *many[-3:]]
    assert follower.passed_over == 5
    follower.poll()
    assert follower.passed_over == 0


def test_a_look_that_fails_passes_nothing_over(add, tmp_path, monkeypatch):
    follower = Follower(tmp_path / "data.db", most=2)
    many = [add() for _ in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(queries, "recent_calls", fail)
        with pytest.raises(StoreError):
            follower.poll()
    assert follower.passed_over == 0
    assert [one.id for one in follower.poll()] == many[-2:]
    assert follower.passed_over == 3
