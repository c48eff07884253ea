"""The text of a message is the same whether it is stored or told from its content."""

import functools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from agenttrace_mitm.store import open_database, words
from agenttrace_mitm.store.opening import APPLICATION_ID
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.store.schema import migrations
from agenttrace_mitm.traces import plain_text
from tests.support.records import message, record

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.one_of(st.none(), st.integers(-9, 9), ANY, st.lists(ANY, max_size=2))
PART = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "reasoning"]), "content": ANY}),
    st.fixed_dictionaries({"type": st.just("tool_call_response"), "id": ANY, "response": JSON}),
    st.fixed_dictionaries(
        {"type": st.just("tool_call"), "id": ANY, "name": ANY, "arguments": JSON}
    ),
    st.fixed_dictionaries({"type": st.just("uri"), "uri": ANY}),
    st.fixed_dictionaries({"type": st.just("unknown"), "raw": JSON, "content": JSON}),
)


@functools.cache
def empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(db))
    return db


def said(content: object, text: str | None) -> object:
    one = message("said", content=content, text=text)
    return record().model_copy(update={"messages": (one,)})


@settings(max_examples=300, deadline=None)
@given(st.lists(PART, max_size=6))
def test_the_text_is_what_it_was(content: list[dict[str, object]]) -> None:
    """Whatever the parts are: empty, with zeros and quotes, few or many."""
    db = empty()
    text = plain_text(content) if content else None
    write_record(db, said(content, text))
    assert db.execute("select text from messages").fetchall() == [(text,)]
    db.execute("delete from messages")


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "content": 'words "quoted"\n\u2028é'}],
        [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "yes"}],
        [{"type": "tool_call", "id": "t", "name": "ls", "arguments": '{"path": "."}'}],
        [{"type": "tool_call_response", "id": "t", "name": "ls", "response": "a.py"}] * 3,
    ],
)
def test_what_conversations_are_made_of_is_stored_once(content: object, tmp_path: Path) -> None:
    """And found by the search, which reads the told text."""
    db = open_database(tmp_path / "data.db").conn
    text = plain_text(content)  # type: ignore[arg-type]  # from parametrize
    write_record(db, said(content, text))
    assert db.execute("select text, own_text from messages").fetchall() == [(text, None)]
    word = text.split()[0]
    found = "select text from messages_fts where messages_fts match ?"
    assert db.execute(found, (f'"{word}"',)).fetchall() == [(text,)]
    assert problems(tmp_path / "data.db") == []


def test_a_text_of_megabytes_is_not_told_but_stored() -> None:
    """Told, SQLite holds it a dozen times: 300 MB of memory for one message of 16."""
    for size, kept in ((words.LONG - 1, None), (words.LONG, "x" * words.LONG)):
        content = [{"type": "text", "content": "x" * size}]
        assert words.own_text(content, "x" * size) == kept


def test_deep_json_is_nobodys_error(tmp_path: Path) -> None:
    """SQLite gives up on JSON nested a thousand deep; what is stored beside it is not affected."""
    db = open_database(tmp_path / "data.db").conn
    deep: object = "x"
    for _ in range(1_500):
        deep = [deep]
    write_record(db, said([{"type": "unknown", "raw": deep}], ""))
    assert db.execute("select text from messages").fetchall() == [("",)]


def test_a_database_from_before_opens(tmp_path: Path) -> None:
    """Its texts stay where they are, and the index agrees with old and new ones."""
    path = tmp_path / "data.db"
    old = Database(path)
    migrations.apply(old, stop_before="m041_words")
    old.execute(f"pragma application_id = {APPLICATION_ID}")
    content = '[{"type":"text","content":"old words"}]'
    values = {"fingerprint": "f", "role": "user", "content": content, "text": "old words"}
    old.table("messages").insert(values)
    old.conn.commit()
    old.close()
    db = open_database(path).conn
    write_record(db, record("new words"))
    db.execute("update messages set content = null, own_text = null where fingerprint = 'f'")
    found = "select text from messages_fts where messages_fts match ?"
    assert db.execute(found, ("words",)).fetchall() == [("new words",)]
    assert problems(path) == []
