"""Beginnings of words as the words that there are.

Asked for a beginning, SQLite merges the lists of all words that begin so before it gives the first
message: 0.2 s for `co*`, at a million calls where one message in four has such a word.  Asked
for the words themselves, it goes along their lists only as far as it must, which takes less than
a millisecond.  Beginnings with many words stay what they are.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence

from agenttrace_mitm.store.search import TOKENIZER

from .terms import Term

MOST_WORDS = 128
CHUNK = 100  # places of words: rare ones come many at once, and a common one is left behind

# A word may be cut within a letter: FTS5 keeps 32 KB of it.
_FROM = """
    select cast(term as blob) from messages_fts_words
    where term >= cast(? as text) limit ?
"""
_TOKENS = "select doc, cast(term as blob) from v order by doc, offset"


def spelled(db: sqlite3.Connection, terms: Sequence[Term]) -> list[Term]:
    """*terms*, in the same order, those that are beginnings of few words with these words."""
    if not any(one.begins for one in terms):
        return list(terms)
    cut = tokens(one.text for one in terms)
    if not all(cut):  # FTS5 leaves out what has no words in some places, and not in others
        return list(terms)
    return [
        one._replace(words=_phrases(db, words)) if one.begins else one
        for one, words in zip(terms, cut, strict=True)
    ]


def tokens(texts: Iterable[str]) -> list[list[str]]:
    """The words of each of *texts*, as the index has them."""
    texts = list(texts)
    found: list[list[str]] = [[] for _ in texts]
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"create virtual table f using fts5 (text, content='', tokenize='{TOKENIZER}')")
        db.execute("create virtual table v using fts5vocab(f, instance)")
        db.executemany("insert into f (rowid, text) values (?, ?)", enumerate(texts))
        for number, word in db.execute(_TOKENS):
            found[number].append(word.decode(errors="replace"))
    return found


def _phrases(db: sqlite3.Connection, begun: Sequence[str]) -> tuple[str, ...]:
    """All phrases of the words *begun*, the last of which only begins so; none if too many."""
    *before, begin = begun
    cut = [[*before, word] for word in _words(db, begin)]
    phrases = [" ".join(words) for words in cut]
    # FTS5 cuts them again: what does not find itself cannot be asked for.
    return tuple(phrases) if tokens(phrases) == cut else ()


def _words(db: sqlite3.Connection, begin: str) -> list[str]:
    """All words of the index that begin so; none if there are too many."""
    found: dict[bytes, None] = {}
    at = first = begin.encode()
    while len(found) <= MOST_WORDS:
        places = [word for (word,) in db.execute(_FROM, (at, CHUNK))]
        found |= dict.fromkeys(word for word in places if word.startswith(first))
        if len(places) < CHUNK or not places[-1].startswith(first):
            return [word.decode(errors="replace") for word in found]
        at = places[-1] + b"\x01"  # no word has it: the next word, however common this one is
    return []
