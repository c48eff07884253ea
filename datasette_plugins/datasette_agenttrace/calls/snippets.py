"""Where the words of a search stand in the messages that have them.

In: messages that match, and what was asked for.  Out: some words around the first match of each,
and where in them the match is.  What may be shown of which message is for others to say.

Texts are cut into pieces, and an index like ours, in memory, says which piece has the words, and
where: accents, letter case and the ends of words are then what the search takes them for.  FTS5's
own `snippet` takes a minute for a text of two megabytes with many matches.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from agenttrace_mitm.store.search import TOKENIZER

from .terms import Term, query_of

LONGEST = 500_000  # characters of a message that is opened
MOST = 1_000_000  # characters of all that are opened for a page
PIECE = 2_000
OVERLAP = 200  # a phrase may lie across the end of a piece
MOST_PIECES = 10_000  # more than a message has
SHOWN = 160
BEFORE = 16
BEGIN, END = "\x02", "\x03"

_SIZES = """
    select m.id, coalesce(m.size, 0) from json_each(:messages) j join messages m on m.id = j.value
    order by j.key
"""
_TEXTS = """
    select m.id, substr(m.text, 1, :longest)
    from json_each(:messages) j join messages m on m.id = j.value
"""
_FIRST = """
    select highlight(f, 0, :begin, :end) from f
    where f match :words and rowid between :first and :last order by rowid limit 1
"""


class Snippet(NamedTuple):
    """Words of a message; `marks` are the matches in them, from one character up to another."""

    text: str
    marks: tuple[tuple[int, int], ...]


def snippets(
    db: sqlite3.Connection, messages: Sequence[int], terms: Sequence[Term]
) -> dict[int, Snippet]:
    """Words around the first match of *terms*, by message; the longest messages are left out."""
    opened = list(_that_fit(db, messages))
    given = {"messages": json.dumps(opened), "longest": LONGEST}
    texts = {number: _plain(text) for number, text in db.execute(_TEXTS, given) if text}
    # All of it in one piece is best; else the piece with any of it.
    queries = [query_of(terms), " OR ".join(str(one) for one in terms)]
    with contextlib.closing(_indexed(texts.values())) as index:
        found = ((number, _first(index, at, queries)) for at, number in enumerate(texts))
        return {number: _cut(marked) for number, marked in found if marked is not None}


def _that_fit(db: sqlite3.Connection, messages: Sequence[int]) -> Iterator[int]:
    """Those of *messages* that are opened: not too long, alone and together."""
    left = MOST
    for number, size in db.execute(_SIZES, {"messages": json.dumps(list(messages))}):
        if size <= min(left, LONGEST):
            left -= size
            yield number


def _plain(text: str) -> str:
    """*text* in one line, without the characters that mark matches."""
    return " ".join(re.sub(f"[\0{BEGIN}{END}]", " ", text).split())


def _indexed(texts: Iterable[str]) -> sqlite3.Connection:
    """An index like ours of pieces of *texts*."""
    db = sqlite3.connect(":memory:")
    db.execute(f"create virtual table f using fts5 (text, tokenize='{TOKENIZER}')")
    rows = (
        (at * MOST_PIECES + number, piece)
        for at, text in enumerate(texts)
        for number, piece in enumerate(_pieces(text))
    )
    db.executemany("insert into f (rowid, text) values (?, ?)", rows)
    return db


def _pieces(text: str) -> Iterator[str]:
    """Pieces of *text*, which overlap, and begin and end between words where they can."""
    start = 0
    while start + PIECE < len(text):
        end = text.rfind(" ", start + PIECE - OVERLAP, start + PIECE)
        end = end if end > 0 else start + PIECE
        yield text[start:end]
        start = max(text.find(" ", end - OVERLAP, end), end - OVERLAP)
    yield text[start:]


def _first(index: sqlite3.Connection, at: int, queries: Sequence[str]) -> str | None:
    """The first piece of the text at *at* with what one of *queries* asks for, marked."""
    first = at * MOST_PIECES
    given = {"begin": BEGIN, "end": END, "first": first, "last": first + MOST_PIECES - 1}
    for words in queries:
        found = index.execute(_FIRST, given | {"words": words}).fetchone()
        if found:
            return str(found[0])
    return None


def _cut(marked: str) -> Snippet:
    """What is shown of a piece with marks."""
    before, begin, after = marked.partition(BEGIN)
    cut = before
    if len(before) > BEFORE:
        whole_words = before.find(" ", len(before) - BEFORE) + 1
        cut = "…" + before[whole_words or len(before) - BEFORE :]
    text, marks = cut, list[tuple[int, int]]()
    for word in re.split(BEGIN, after) if begin else ():
        hit, _, plain = word.partition(END)
        room = SHOWN - len(text)
        if room <= 0:
            break
        marks.append((len(text), len(text) + len(hit[:room])))
        text += (hit + plain)[:room]
    more = len(text) < len(cut + after.replace(BEGIN, "").replace(END, ""))
    return Snippet(text + "…" if more else text, tuple(marks))
