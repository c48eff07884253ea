"""The search index: what is stored can be found, what is gone cannot, whatever the order."""

import sqlite3

from agenttrace_mitm.store.rows import Batch, write_record
from tests.support.records import message, record


def _found(db: sqlite3.Connection, word: str) -> list[str]:
    sql = "select m.text from messages_fts f join messages m on m.id = f.rowid where f.text match ?"
    return [row[0] for row in db.execute(sql, (word,))]


def test_a_transaction_indexes_all_its_messages(db: sqlite3.Connection) -> None:
    """Those of every record, once each."""
    batch = Batch(db)
    batch.write(record("a red fox", "a grey wolf"))
    batch.write(record("a red fox", "a red squirrel"))
    batch.finish()
    assert sorted(_found(db, "red")) == ["a red fox", "a red squirrel"]
    assert _found(db, "wolf") == ["a grey wolf"]


def test_a_message_that_gains_its_text_in_the_same_transaction(db: sqlite3.Connection) -> None:
    """First without words (tier 1), then with them, before anything was indexed."""
    bare = message("hello", content=None, text=None)
    batch = Batch(db)
    batch.write(record(privacy_tier=1).model_copy(update={"messages": (bare,)}))
    batch.write(record("hello"))
    batch.finish()
    assert _found(db, "hello") == ["hello"]


def test_a_message_that_gains_its_text_later(db: sqlite3.Connection) -> None:
    """The index follows the text of a message that it has."""
    bare = message("hello", content=None, text=None)
    write_record(db, record(privacy_tier=1).model_copy(update={"messages": (bare,)}))
    assert _found(db, "hello") == []
    write_record(db, record("hello"))
    assert _found(db, "hello") == ["hello"]


def test_a_message_that_takes_the_number_of_one_that_is_gone(db: sqlite3.Connection) -> None:
    """SQLite gives the number of the last row again once that is deleted."""
    write_record(db, record("first", "second", "third"))
    db.execute("delete from call_messages")
    db.execute("delete from messages where text in ('second', 'third')")
    assert _found(db, "second") == _found(db, "third") == []
    write_record(db, record("fourth"))
    assert _found(db, "fourth") == ["fourth"]
    assert _found(db, "first") == ["first"]


def test_a_text_that_is_let_go(db: sqlite3.Connection) -> None:
    """It is not found any more."""
    write_record(db, record("secret plan"))
    db.execute("update messages set content = null, own_text = null")
    assert _found(db, "plan") == []
