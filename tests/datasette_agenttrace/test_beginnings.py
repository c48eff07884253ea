"""Messages with words that begin so: what is found in their texts is what the index finds."""

import random
import sqlite3

import pytest

from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.search import TOKENIZER, index_new
from datasette_agenttrace.calls import beginnings
from datasette_agenttrace.calls.beginnings import newest
from datasette_agenttrace.calls.terms import terms_of
from tests.datasette_agenttrace.test_traces import plans

# Letters that are others with a mark, or in another case, to the index and not to ASCII; marks of
# their own; scripts without cases or spaces; what separates words, and what does not.
LETTERS = (
    "aAbBcCkKsSiIeE019_-.*'\"\\/ \t\n\0\x7f"
    "éÉàçß\u017f\u0131İ\u212a\u0301\u0308\u200d\u00ad\u00a0µªÅ漢字かナ한글عرب\u05d9१½Ⅷⅷ🙂\ue000\U00010400\ufffd—\u2019"
)
BEGINNINGS = ("a*", "k*", "S*", "c* a*", "0*", "ab*", "i*", "e* k*", "K1*", "é* a*", "ki* a*")
OTHERS = ("", "b ", "漢 ", '"a b" ', "é ", "nowhere ")


def texts(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed)
    return ["".join(chosen.choices(LETTERS, k=chosen.randrange(60))) for _ in range(count)]


@pytest.fixture
def db(database):
    """500 messages of all kinds of letters, some with plain words besides."""
    db = open_database(database).conn
    plain = ("", " a b", " back again", " KIND of b", "ab,c")
    rows = [
        (number, str(number), text + plain[number % len(plain)])
        for number, text in enumerate(texts(1, 480), 1)
    ]
    rows += [(number, str(number), None) for number in range(481, 491)]
    rows += [(number, str(number), "plain a b words only") for number in range(491, 501)]
    db.executemany(
        "insert into messages (id, fingerprint, role, own_text) values (?, ?, 'user', ?)", rows
    )
    index_new(db)
    yield db
    db.close()


def _indexed(db: sqlite3.Connection, asked: str, most: int, last: int) -> list[int]:
    words = " ".join(map(str, terms_of(asked)))
    sql = (
        "select rowid from messages_fts where messages_fts match ? and rowid <= ?"
        " order by rowid desc limit ?"
    )
    return [number for (number,) in db.execute(sql, (words, last, most))]


@pytest.mark.parametrize("others", OTHERS)
def test_it_finds_what_the_index_finds(db, monkeypatch, others):
    """Whatever the letters, from any message back, however many are asked for."""
    monkeypatch.setattr(beginnings, "FEW_MESSAGES", 0)
    monkeypatch.setattr(beginnings, "ONE_IN", 10_000)
    monkeypatch.setattr(beginnings, "MOST_UNSURE", 10_000)
    told = 0
    for asked in BEGINNINGS:
        terms = terms_of(others + asked)
        for most, last in ((1_000, 500), (7, 500), (1_000, 123), (3, 400)):
            expected = _indexed(db, others + asked, most, last)
            monkeypatch.setattr(beginnings, "CHUNK", 1_000)
            assert newest(db, terms, most, last) == expected, asked
            monkeypatch.setattr(beginnings, "CHUNK", 30)
            assert newest(db, terms, most, last) in (expected, None), asked
            monkeypatch.setattr(beginnings, "CHUNK_BYTES", 200)
            assert newest(db, terms, most, last) in (expected, None), asked
            monkeypatch.setattr(beginnings, "CHUNK_BYTES", 10**9)
            told += len(expected)
        assert newest(db, terms, 2) in (_indexed(db, others + asked, 2, 500), None)
    assert told > 100 or others == "nowhere "


def test_words_are_cut_as_in_the_index(db):
    [sql] = db.execute("select sql from sqlite_master where name = 'messages_fts'").fetchone()
    assert f"tokenize='{TOKENIZER}'" in sql


def test_the_index_is_asked_where_that_takes_less(db, monkeypatch):
    """Few messages; a rare beginning; texts that cannot be told without cutting them; long ones."""
    assert newest(db, terms_of("a*"), 5) is None
    monkeypatch.setattr(beginnings, "FEW_MESSAGES", 100)
    monkeypatch.setattr(beginnings, "CHUNK", 10)
    assert newest(db, terms_of("a*"), 5) == [500, 499, 498, 497, 496]
    assert newest(db, terms_of("zebra*"), 5) is None
    assert newest(db, terms_of("nowhere a*"), 5) == []
    assert newest(db, terms_of("nowhere* a*"), 5) == []
    for asked in ("a", "é*", "a-b*", '"plain a"'):
        assert newest(db, terms_of(asked), 5) is None
    monkeypatch.setattr(beginnings, "MOST_UNSURE", 2)
    assert newest(db, terms_of("a*"), 400) is None
    monkeypatch.setattr(beginnings, "MOST_BYTES", 100)
    assert newest(db, terms_of("a*"), 10) == list(range(500, 490, -1))
    assert newest(db, terms_of("a*"), 11) is None


def test_messages_are_looked_at_one_after_the_other(db, monkeypatch):
    """Neither sorted nor all read first."""
    monkeypatch.setattr(beginnings, "FEW_MESSAGES", 0)
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    for asked in ("a*", "b a*"):
        newest(db, terms_of(asked), 5)
        newest(db, terms_of(asked), 5, 100)
    db.set_trace_callback(None)
    of_texts = [one for one in seen if "order by" in one]
    assert len(of_texts) == 4
    assert not [step for step, _ in plans(db, of_texts) if "TEMP" in step]
