"""Written as a whole or not at all, whoever ends it."""

import sqlite3

import pytest

from agenttrace_mitm.store.transactions import joining, writing


@pytest.fixture
def db(tmp_path):
    db = sqlite3.connect(tmp_path / "data.db", isolation_level=None)
    db.execute("create table words (word unique)")
    yield db
    db.close()


def words(db):
    return [word for (word,) in db.execute("select word from words order by word")]


@pytest.mark.parametrize("transaction", [writing, joining])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_is_raised_undoes_it(db, transaction, error):
    with pytest.raises(error), transaction(db):
        db.execute("insert into words values ('a')")
        raise error
    assert (words(db), db.in_transaction) == ([], False)
    with transaction(db):
        db.execute("insert into words values ('b')")
    assert (words(db), db.in_transaction) == (["b"], False)


def test_what_sqlite_undid_by_itself_tells_its_own_error(db):
    db.execute("insert into words values ('a')")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), writing(db):
        db.execute("insert into words values ('b')")
        db.execute("insert or rollback into words values ('a')")
    assert words(db) == ["a"]


def test_what_is_not_to_be_kept_goes_at_the_end(db):
    with writing(db, keep=False):
        db.execute("insert into words values ('a')")
        assert words(db) == ["a"]
    assert (words(db), db.in_transaction) == ([], False)


def test_who_joins_leaves_the_end_to_the_outer_one(db):
    with pytest.raises(ValueError), writing(db):
        with joining(db):
            db.execute("insert into words values ('a')")
        assert db.in_transaction
        raise ValueError
    assert words(db) == []


def test_one_of_its_own_does_not_begin_inside_another(db):
    with writing(db), pytest.raises(sqlite3.OperationalError, match="within"), writing(db):
        pass


@pytest.mark.parametrize(("how", "is_read"), [("immediate", True), ("exclusive", False)])
def test_others_read_meanwhile_unless_it_is_exclusive(db, tmp_path, how, is_read):
    other = sqlite3.connect(tmp_path / "data.db", timeout=0)
    with writing(db, how):
        if is_read:
            assert words(other) == []
        else:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                words(other)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("insert into words values ('a')")
    other.close()
