"""Beginnings as the words there are: what is found is what the beginning itself finds."""

import sqlite3

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.search import index_new
from datasette_agenttrace.calls import beginnings, spelling
from datasette_agenttrace.calls.spelling import spelled
from datasette_agenttrace.calls.terms import Term, query_of, terms_of
from tests.datasette_agenttrace.listed import call, ids, store, words
from tests.datasette_agenttrace.test_beginnings import BEGINNINGS, LETTERS, OTHERS, texts

PHRASES = (
    "a-b*", "a'k*", "b-a*", "é-k*", "_*", "漢*", "ⅷ*",
    "\u0131*", "İ*", "ß*", "\u017f*", "\u212a*", "Å*",
)  # fmt: skip


def _filled(path, texts_):
    """A database with a message for each text, the index's words in several pieces."""
    db = open_database(path).conn
    insert = "insert into messages (fingerprint, role, own_text) values (?, 'user', ?)"
    for number, text in enumerate(texts_):
        db.execute(insert, (str(number), text))
        if number % 50 == 49:
            index_new(db)
    index_new(db)
    return db


def _found(db, query: str) -> list[int]:
    sql = "select rowid from messages_fts where messages_fts match ? order by rowid desc"
    return [number for (number,) in db.execute(sql, (query,))]


def _asked(db: sqlite3.Connection, said: str) -> list[str]:
    """How often the words were asked for, and from where."""
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    spelled(db, terms_of(said))
    db.set_trace_callback(None)
    return [one for one in seen if "term >=" in one]


@pytest.mark.parametrize("others", [*OTHERS, "_ ", "b* "])
def test_it_finds_what_the_beginning_finds(database, monkeypatch, others):
    """Whatever the letters: marks, cases, scripts without spaces, what separates words."""
    monkeypatch.setattr(spelling, "MOST_WORDS", 10_000)
    db = _filled(database, texts(3, 400) + [f"a{letter}b" for letter in LETTERS])
    told = 0
    for begin in (*BEGINNINGS, *PHRASES):
        terms = terms_of(others + begin)
        now = spelled(db, terms)
        assert _found(db, query_of(now)) == _found(db, " ".join(map(str, terms))), begin
        assert [one._replace(words=()) for one in now] == terms
        told += sum(bool(one.words) for one in now)
    assert told > 15 or others == "_ "
    db.close()


def test_words_are_those_of_the_index(database):
    db = _filled(database, ["Compiler, compile!", "COMPÎLE it", "gpt-4o and GPT 4", "compute"])
    for said, expected in (
        ("compi*", ("compile", "compiler")),
        ("COMPÎ*", ("compile", "compiler")),
        ("gpt-4*", ("gpt 4", "gpt 4o")),
        ("nowhere*", ()),
        ("compile", ()),
        ('"gpt 4"', ()),
    ):
        assert [one.words for one in spelled(db, terms_of(said))] == [expected], said
    both = spelled(db, terms_of("it compi* gpt-4o co*"))
    assert query_of(both) == (
        '"it" "gpt-4o" AND ("compile" OR "compiler") AND ("compile" OR "compiler" OR "compute")'
    )
    db.close()


def test_words_beyond_what_the_index_keeps_of_one(database):
    """Cut within a letter, it cannot be asked for: the beginning is."""
    long = "漢" * 20_000
    db = _filled(database, [long, "漢字", f"x{long}", "x yes"])
    for said in ("漢*", "x*"):
        assert spelled(db, terms_of(said)) == terms_of(said)
        assert len(_found(db, query_of(spelled(db, terms_of(said))))) == 2
    assert spelled(db, terms_of("漢字*"))[0].words == ("漢字",)
    db.close()


def test_many_words_are_soon_known_to_be_too_many(database):
    """Rare ones come many at once; of a common one no more places are read than of others."""
    most = spelling.MOST_WORDS
    common = [f"the common word of number{number} in many1" for number in range(most * 2)]
    db = _filled(database, [*common, *(f"few{n} words" for n in range(most))])
    assert spelled(db, terms_of("number*")) == terms_of("number*")
    assert len(spelled(db, terms_of("few*"))[0].words) == most
    assert len(_asked(db, "number*")) == 1 + most // spelling.CHUNK
    assert len(_asked(db, "comm*")) == 2
    assert len(_asked(db, "few12*")) == 1
    assert spelled(db, terms_of("comm* many*")) == [
        Term("comm", True, ("common",)),
        Term("many", True, ("many1",)),
    ]
    db.close()


async def test_the_page_asks_for_words_where_messages_are_many(database, get, monkeypatch):
    """Through Datasette's own connection; its page of the database says nothing of it."""
    store(
        database,
        Record(call=call(9), messages=(words("user", "the zebra crossed"),)),
        Record(call=call(5), messages=(words("user", "no animals here"),)),
        Record(call=call(1), messages=(words("assistant", "a zebu, twice", 1, "out"),)),
    )
    monkeypatch.setattr(beginnings, "FEW_MESSAGES", 0)
    found: list[list[Term]] = []

    def spy(db, terms):
        found.append(spelled(db, terms))
        return found[-1]

    monkeypatch.setattr("datasette_agenttrace.calls.queries.spelled", spy)
    assert await ids(get, "q=zeb*") == ["call-001", "call-009"]
    assert await ids(get, "q=zeb*+crossed") == ["call-009"]
    assert found[0] == [Term("zeb", True, ("zebra", "zebu"))]
    assert "attached to this connection" not in (await get("/data")).text
    page = (await get("/data.json")).json()
    hidden = {table["name"]: table["hidden"] for table in page["tables"]}
    assert hidden["messages_fts_words"]
    assert hidden["messages_fts"]
    assert not hidden["messages"]
