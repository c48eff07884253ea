"""The search index's pieces are merged a little at a time, and say the same as before."""

import sqlite3

import pytest

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.store import Keeping, merging
from agenttrace_mitm.store.merging import CRISIS, FEW, MANY, a_pace, levels, merge_some
from agenttrace_mitm.store.pace import Pace
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, record

DAY_US = 86_400_000_000
OLD_US = NOON_US - 40 * DAY_US


def write(
    db: sqlite3.Connection, transactions: int, at_us: int = OLD_US, more_words: int = 0
) -> None:
    """So many, one call and one piece each."""
    for number in range(transactions):
        id_ = new_id(at_us + number * 1_000)
        more = " ".join(f"a{at_us}b{number}c{n}" for n in range(more_words))
        write_record(db, record(f"fox {number} of {at_us} {more}", id=id_, started_us=at_us))


def pieces(db: sqlite3.Connection) -> list[int]:
    return [len(level.pages) for level in levels(db)]


def found(db: sqlite3.Connection, word: str) -> int:
    sql = "select count(*) from messages_fts where messages_fts match ?"
    return int(db.execute(sql, (word,)).fetchone()[0])


def merges(db: sqlite3.Connection) -> list[str]:
    """A list that each merge will be added to."""
    told: list[str] = []

    def tell(sql: str) -> None:
        if "'merge'" in sql:
            told.append(sql)

    db.set_trace_callback(tell)
    return told


def test_nothing_is_merged_in_somebody_elses_transaction(db: sqlite3.Connection) -> None:
    """The file says so, to every program that writes."""
    told = dict(db.execute("select k, v from messages_fts_config"))
    assert (told["automerge"], told["usermerge"], told["crisismerge"]) == (0, FEW, CRISIS)
    write(db, FEW * 3)
    assert pieces(db) == [FEW * 3]


def test_pieces_become_fewer_and_say_the_same(db: sqlite3.Connection) -> None:
    assert levels(db) == []
    assert not merge_some(db, a_pace())
    write(db, FEW - 1)
    assert not merge_some(db, a_pace())
    write(db, FEW * 5, OLD_US + 1)
    while merge_some(db, a_pace()):
        pass
    assert max(pieces(db)) < FEW
    assert (found(db, "fox"), found(db, "3")) == (FEW * 6 - 1, 2)


def test_a_record_in_another_way_is_merged_all_the_same(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a later SQLite may write it: how many pieces there are is not known then."""
    write(db, FEW * 3)
    monkeypatch.setattr(merging, "_STRUCTURE", "select x'00000000ff'")
    with pytest.raises(ValueError, match="in another way"):
        levels(db)
    while merge_some(db, a_pace()):
        pass
    monkeypatch.undo()
    assert max(pieces(db)) < FEW


def test_each_transaction_merges_a_few_pages(db: sqlite3.Connection) -> None:
    """More of them where more waits: it never grows without end."""
    write(db, FEW * 2)
    told, pace = merges(db), Pace(1, 1, 1)
    assert merge_some(db, pace)
    assert len(told) <= 2
    assert all(sql.endswith("('merge', 1)") for sql in told)


def test_large_pieces_wait_for_a_quiet_time(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or until there are many."""
    monkeypatch.setattr(merging, "LARGE", FEW - 1)
    write(db, FEW)
    assert not merge_some(db, a_pace())
    assert merge_some(db, a_pace(), large=True)
    assert sum(pieces(db)) == 1
    write(db, MANY, OLD_US + 1)
    assert merge_some(db, a_pace())


def test_small_pieces_do_not_wait_with_large_ones(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes the level with the most pieces, and would go on with the large one."""
    for n in range(FEW - 1):
        write(db, FEW, OLD_US + n, more_words=400)
        while merge_some(db, a_pace()):
            pass
    assert pieces(db) == [0, FEW - 1]
    large = levels(db)[1].pages
    monkeypatch.setattr(merging, "LARGE", sum(large) // 2)
    for round_ in range(4):
        known = FEW - 1 + round_
        write(db, known - 1, NOON_US + 2 * round_, more_words=100)
        assert not merge_some(db, a_pace())
        write(db, max(1, FEW - known + 1), NOON_US + 2 * round_ + 1, more_words=100)
        while merge_some(db, a_pace()):
            pass
        assert pieces(db) == [0, known + 1]
        assert levels(db)[1].pages[: FEW - 1] == large
    while merge_some(db, a_pace(), large=True):
        pass
    assert max(pieces(db)) == 1
    assert found(db, "fox") == (FEW - 1) * FEW + FEW + 8 + 9 + 10


def test_an_index_of_an_earlier_version_is_merged_as_now(db: sqlite3.Connection) -> None:
    """Which had told SQLite to have patience while large pieces waited."""
    db.execute("insert into messages_fts (messages_fts, rank) values ('usermerge', 16)")
    write(db, FEW)
    while merge_some(db, a_pace()):
        pass
    assert sum(pieces(db)) == 1


def test_a_step_of_retention_adds_one_piece(db: sqlite3.Connection) -> None:
    """The newest call goes first, but its words do not."""
    write(db, 5)
    before = sum(pieces(db))
    while let_go(db, NOON_US):
        pass
    assert sum(pieces(db)) == before + 1
    assert found(db, "fox") == 0


def test_retention_leaves_few_pieces(db: sqlite3.Connection) -> None:
    """It writes many, a step each."""
    write(db, 60)
    keeping = Keeping(days=30, content_pace=Pace(1, 1, 1))
    steps = 0
    while keeping.step(db, NOON_US):
        steps += 1
        assert max(pieces(db)) < 60 + FEW
    assert steps >= 60
    assert max(pieces(db)) <= FEW
    assert found(db, "fox") == 0
