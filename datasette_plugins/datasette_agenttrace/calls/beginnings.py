"""Messages with words that begin so, newest first, without the index's lists of all such words.

SQLite merges those lists before it gives the first message: 0.7 s for one letter at a million
calls.  Where most messages have such a word, or few have the other words that are asked for, it
takes less to look at the newest texts.  What is found is what the index finds.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Sequence

from agenttrace_mitm.store.search import TOKENIZER

from .terms import Term, query_of

FEW_MESSAGES = 100_000  # whose lists are merged soon
CHUNK = 100
ONE_IN = 4  # texts has to have such words, or the lists are the shorter way
CHUNK_BYTES = 1_000_000
MOST_BYTES = 16_000_000  # of texts
MOST_UNSURE = 20  # of a chunk: texts that have to be cut into words as the index does it

_OF_ALL = """
    select id, cast(text as blob) from messages {by_then} order by id desc
"""
_OF_OTHERS = """
    select f.rowid, cast(m.text as blob)
    from messages_fts f cross join messages m on m.id = f.rowid
    where messages_fts match :others {by_then} order by f.rowid desc
"""
# Words of ASCII letters and digits end at any other of its characters, and nowhere else where
# there are only such; what else a word may begin after, or be written like, SQLite knows.
_BETWEEN = frozenset(one for one in range(128) if not chr(one).isalnum())


def newest(
    db: sqlite3.Connection, terms: Sequence[Term], most: int, last: int | None = None
) -> list[int] | None:
    """The newest messages with all *terms*, *most* of them, up to *last*; None: ask the index."""
    begun = [one for one in terms if _is_looked_for(one)]
    if not begun or not are_many(db):
        return None
    found = _looked_for(db, terms, begun, most, last)
    if found is None and len(begun) > 1:  # the shortest has the longest lists: the others may do
        found = _looked_for(db, terms, [min(begun, key=lambda one: len(one.text))], most, last)
    return found


def are_many(db: sqlite3.Connection) -> bool:
    """Whether there are so many messages that merging lists takes time."""
    (messages,) = db.execute("select max(id) from messages").fetchone()
    return (messages or 0) >= FEW_MESSAGES


def _is_looked_for(one: Term) -> bool:
    """Whether it is the beginning of a word, of which texts can tell, and of too many words."""
    return one.begins and not one.words and bool(re.fullmatch("[0-9A-Za-z]+", one.text))


def _looked_for(
    db: sqlite3.Connection,
    terms: Sequence[Term],
    begun: Sequence[Term],
    most: int,
    last: int | None,
) -> list[int] | None:
    """The same, with *begun* looked for in texts, and the others of *terms* by the index."""
    given = {"others": query_of([one for one in terms if one not in begun]), "last": last}
    if given["others"]:
        sql = _OF_OTHERS.format(by_then="" if last is None else "and f.rowid <= :last")
    else:
        sql = _OF_ALL.format(by_then="" if last is None else "where id <= :last")
    found: list[int] = []
    seen = size = 0
    more = True
    with contextlib.closing(db.execute(sql, given)) as rows:
        while more:
            texts, more = _some(rows)
            hits = _having(texts, begun)
            if hits is None:
                return None
            found += hits
            seen += len(texts)
            size += sum(len(text) for _, text in texts)
            if len(found) >= most:
                return found[:most]
            if more and (len(found) * ONE_IN < seen or size > MOST_BYTES):
                return None
    return found


def _some(rows: Iterable[tuple[int, bytes | None]]) -> tuple[list[tuple[int, bytes]], bool]:
    """The next texts, not many and not large together; and whether there may be more."""
    texts: list[tuple[int, bytes]] = []
    size = 0
    for number, text in rows:
        texts.append((number, text or b""))
        size += len(texts[-1][1])
        if len(texts) == CHUNK or size > CHUNK_BYTES:
            return texts, True
    return texts, False


def _having(texts: Sequence[tuple[int, bytes]], begun: Sequence[Term]) -> list[int] | None:
    """Those of *texts* with words that begin as all of *begun*; None where few can be told."""
    begins = [term.text.lower().encode() for term in begun]
    sure, unsure = set[int](), list[tuple[int, bytes]]()
    for number, text in texts:
        lower = text.lower()
        if all(_has_word(lower, begin) for begin in begins):
            sure.add(number)
        elif not text.isascii():
            unsure.append((number, text))
    if len(unsure) > MOST_UNSURE:
        return None
    if unsure:
        sure |= _as_indexed(unsure, query_of(begun))
    return [number for number, _ in texts if number in sure]


def _has_word(text: bytes, begin: bytes) -> bool:
    """Whether a word that begins so stands at the start of *text* or after one of `_BETWEEN`."""
    at = text.find(begin)  # many times as fast as a regular expression that looks for both
    while at > 0 and text[at - 1] not in _BETWEEN:
        at = text.find(begin, at + 1)
    return at >= 0


def _as_indexed(texts: Sequence[tuple[int, bytes]], words: str) -> set[int]:
    """Those of *texts* in which an index like ours finds *words*."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"create virtual table f using fts5 (text, content='', tokenize='{TOKENIZER}')")
        db.executemany("insert into f (rowid, text) values (?, cast(? as text))", texts)
        return {number for (number,) in db.execute("select rowid from f where f match ?", (words,))}
