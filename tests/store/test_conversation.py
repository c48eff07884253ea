"""A call's conversation is whole although each of its messages is stored once."""

from pathlib import Path

from agenttrace_mitm.model import Message, TextPart
from agenttrace_mitm.store import KnownContent, open_database
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.traces import Fingerprinter
from datasette_agenttrace.canned import CONVERSATION
from tests.support.records import NOON_US, call, message, record


def _said(path: Path, call_id: str) -> list[tuple[str, str]]:
    rows = open_database(path).execute(CONVERSATION.sql, {"call_id": call_id})
    return [(row[1], row[3]) for row in rows]


def test_history_comes_from_the_calls_before(tmp_path: Path) -> None:
    """Three turns, a message each: the third call's conversation has them all, with its answer."""
    path = tmp_path / "data.db"
    db = open_database(path).conn
    ids: list[str] = []
    for turn in range(3):
        one = call(continues_call_id=ids[-1] if ids else None, n_messages=2 * turn + 1)
        said = [
            message(f"question {turn}", 2 * turn),
            message(f"answer {turn}", 2 * turn + 1, "out"),
        ]
        if turn:
            said.insert(0, message(f"answer {turn - 1}", 2 * turn - 1))
        ids.append(one.id)
        write_record(db, record().model_copy(update={"call": one, "messages": tuple(said)}))
    words = [content[27:-3] for _, content in _said(path, ids[-1])]
    assert words == ["question 0", "answer 0", "question 1", "answer 1", "question 2", "answer 2"]
    assert [way for way, _ in _said(path, ids[-1])] == ["in"] * 5 + ["out"]


def test_a_fork_goes_on_from_where_it_left(tmp_path: Path) -> None:
    """Editing the last question: the fork has the shared history and its own words only."""
    path = tmp_path / "data.db"
    db = open_database(path).conn
    root = call(n_messages=1)
    longer = call(continues_call_id=root.id)
    fork = call(continues_call_id=root.id)
    for one, words in ((root, "shared"), (longer, "first try"), (fork, "second try")):
        position = 0 if one is root else 1
        said = (message(words, position),)
        write_record(db, record().model_copy(update={"call": one, "messages": said}))
    assert [content[27:-3] for _, content in _said(path, fork.id)] == ["shared", "second try"]


def test_the_longest_known_request_is_continued(tmp_path: Path) -> None:
    """From memory, also after a restart, and from the database."""
    db = open_database(tmp_path / "data.db").conn
    prints = Fingerprinter(b"k" * 32)
    talk = [Message("user", (TextPart(str(n)),)) for n in range(4)]
    chains = [placed.chain for placed in prints.place(talk)]
    for count, id_ in ((1, "short"), (3, "long")):
        one = call(id=id_, request_chain=chains[count - 1], n_messages=count, started_us=NOON_US)
        write_record(db, record().model_copy(update={"call": one}))
    forgetful, known = KnownContent(db, remembered=0), KnownContent(db)
    assert [seen.call_id for seen in forgetful.with_chain(chains)] == ["long", "short"]
    assert [seen.call_id for seen in known.with_chain(chains)] == ["long", "short"]
    newer = call(id="newer", request_chain=chains[3], n_messages=4)
    known.remember(record().model_copy(update={"call": newer}))
    assert [seen.call_id for seen in known.with_chain(chains)] == ["newer", "long", "short"]
    other = [p.chain for p in prints.place([Message("user", (TextPart("x"),)), *talk])]
    assert not known.with_chain(other)
