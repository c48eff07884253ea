"""The writer: what it says is safe is safe, whatever the database does."""

import sqlite3
from pathlib import Path

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import Spool, Writer, open_database
from agenttrace_mitm.store import writer as writer_module
from agenttrace_mitm.store.merging import FEW, levels
from agenttrace_mitm.store.spool import DEAD_LETTERS
from tests.store.kept import Kept, rows
from tests.support.records import call, message, record


def test_records_becomerows(tmp_path: Path, kept: Kept) -> None:
    """All of a record is there once the writer has stopped."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    one = record("hello", "world", notes=["odd"], tokens_in=3, cost_nano_usd=1_500)
    writer.put(one)
    writer.stop()
    assert kept.ids == [one.call.id]
    assert rows(path, "select id, tokens_in, cost_usd, notes from llm_calls") == [
        (one.call.id, 3, 1.5e-06, '["odd"]')
    ]
    assert rows(
        path,
        "select position, text from call_messages join messages m on m.id = message_id order by 1",
    ) == [
        (0, "hello"),
        (1, "world"),
    ]


@pytest.mark.parametrize("there_is_an_outage", [False, True])
def test_who_waits_for_the_writer_finds_all_told(
    tmp_path: Path, kept: Kept, there_is_an_outage: bool
) -> None:
    """What was handed over before is safe, and was said to be; what is not in time is not."""
    path = tmp_path / "data.db"
    if there_is_an_outage:
        path.mkdir()
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    some = [record(str(n)) for n in range(40)]
    for one in some:
        writer.put(one)
    assert not writer.settle(0.01)  # it has not begun
    writer.start()
    assert writer.settle(30)
    assert kept.ids == [one.call.id for one in some]
    writer.stop()


def test_a_record_that_comes_twice_is_one_row(tmp_path: Path, kept: Kept) -> None:
    """Capture repeats what was not acknowledged."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    one = record("hello")
    writer.put(one)
    writer.put(one)
    writer.stop()
    assert rows(
        path, "select (select count(*) from llm_calls), (select count(*) from messages)"
    ) == [(1, 1)]


def test_an_ended_call_replaces_its_row_in_flight(tmp_path: Path, kept: Kept) -> None:
    """A long call is visible while it runs, and final once it ended."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    running = call(outcome="in_flight", ended_us=None)
    writer.put(record().model_copy(update={"call": running}))
    done = running.model_copy(update={"outcome": "ok", "ended_us": running.started_us + 9})
    writer.put(record().model_copy(update={"call": done}))
    writer.put(record().model_copy(update={"call": running}))
    writer.stop()
    assert rows(path, "select outcome from llm_calls") == [("ok",)]


def test_a_message_is_stored_once_and_gains_content_with_the_tier(
    tmp_path: Path, kept: Kept
) -> None:
    """First seen without content (tier 1), then with it (tier 3); never the other way round."""
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    bare = message("hello", content=None, text=None)
    for tier, said in ((1, bare), (3, message("hello")), (1, bare)):
        writer.put(record(privacy_tier=tier).model_copy(update={"messages": (said,)}))
    writer.stop()
    assert rows(path, "select text, privacy_tier from messages") == [("hello", 3)]
    assert rows(path, "select rowid from messages_fts where messages_fts match 'hello'") == [(1,)]


def test_a_refused_record_is_buried_and_the_others_are_kept(tmp_path: Path, kept: Kept) -> None:
    """A value SQLite cannot hold costs its own record, not the batch, and is not lost."""
    path = tmp_path / "data.db"
    spool = Spool(tmp_path / "spool")
    writer = Writer(path, spool, kept)
    good, bad = record("fine"), record("broken", tokens_in=2**70)
    for one in (good, bad):
        writer.put(one)
    writer.start()
    writer.stop()
    assert rows(path, "select id from llm_calls") == [(good.call.id,)]
    assert set(kept.ids) == {good.call.id, bad.call.id}
    assert bad.call.id.encode() in (tmp_path / "spool" / DEAD_LETTERS).read_bytes()


def test_a_torn_spool_file_gives_its_whole_records(tmp_path: Path) -> None:
    """A crash while spooling leaves half a record; the ones before it count."""
    spool = Spool(tmp_path / "spool")
    one, two = record("first"), record("second")
    spool.add([one, two])
    [file] = spool.waiting()
    file.write_bytes(file.read_bytes()[:-7])
    assert list(spool.read(file)) == [one]


def test_what_is_spooled_after_a_torn_line_is_read(tmp_path: Path) -> None:
    """The recorder died while it wrote; its successor appends to the same outage."""
    folder = tmp_path / "spool"
    spool = Spool(folder)
    one, two, three = record("first"), record("second"), record("third")
    spool.add([one, two])
    [file] = spool.waiting()
    file.write_bytes(file.read_bytes()[:-7])
    spool.add([three])
    assert list(spool.read(file)) == [one, three]
    [letter] = spool.dead_letters()
    assert two.call.id in letter.record
    assert letter.reason.startswith("not readable")


def test_a_full_disk_leaves_no_half_record_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be kept whole is not kept at all, and can be tried again."""
    spool = Spool(tmp_path / "spool")
    one, two = record("first"), record("second")
    spool.add([one])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("agenttrace_mitm.store.spool.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            spool.add([two])
    [file] = spool.waiting()
    assert list(spool.read(file)) == [one]
    spool.add([two])
    assert list(spool.read(file)) == [one, two]


def test_dead_letters_come_back_when_asked_for(tmp_path: Path, kept: Kept) -> None:
    """Once the reason is gone they are rows; what is no record stays where it was."""
    path = tmp_path / "data.db"
    spool = Spool(tmp_path / "spool")
    good = record("fine after all")
    spool.bury(good, "a bug of ours")
    spool.bury_line("{torn", "not readable")
    assert [letter.reason for letter in spool.dead_letters()] == ["a bug of ours", "not readable"]
    assert spool.requeue() == 1
    assert [letter.reason for letter in spool.dead_letters()] == ["not readable"]
    writer = Writer(path, spool, kept)
    writer.start()
    writer.stop()
    assert rows(path, "select id from llm_calls") == [(good.call.id,)]
    assert spool.requeue() == 0


@pytest.mark.parametrize("new_file", [False, True])
def test_a_file_that_was_replaced_is_noticed(tmp_path: Path, kept: Kept, new_file: bool) -> None:
    """Deleted or another one in its place: calls go to the file that has the name now."""
    path = tmp_path / "data.db"
    told: list[bool] = []
    writer = Writer(path, Spool(tmp_path / "spool"), kept, replaced=lambda: told.append(True))
    writer.start()
    before, after = record("before"), record("after")
    writer.put(before)
    kept.wait_for(1)
    path.rename(tmp_path / "old.db")
    if new_file:
        open_database(tmp_path / "new.db").close()
        (tmp_path / "new.db").rename(path)
    writer.put(after)
    kept.wait_for(2)
    writer.stop()
    assert rows(path, "select id from llm_calls") == [(after.call.id,)]
    assert rows(path, "select kind from recorder_events") == [("database_replaced",)]
    assert told == [True]


def _long() -> Record:
    return record().model_copy(update={"messages": (message("word " * 4_000, fingerprint="f"),)})


def test_a_full_spool_keeps_rows_without_content_and_then_takes_nothing(tmp_path: Path) -> None:
    """Content goes before metadata; what is not taken stays where it was."""
    spool = Spool(tmp_path / "spool", limit_bytes=100_000)
    assert spool.add([_long()]) == 0
    while spool.bytes + 50_000 <= 100_000:
        assert spool.add([_long()]) == 0
    assert spool.add([_long(), _long()]) == 2
    with pytest.raises(OSError, match="limit"):
        for _ in range(1_000):
            spool.add([_long(), _long(), _long()])
    assert spool.bytes <= 125_000
    [file] = spool.waiting()
    whole = [bool(one.messages[0].text) for one in spool.read(file)]
    assert whole == sorted(whole, reverse=True)
    assert {True, False} == set(whole)


def test_each_batch_merges_a_little_of_the_search_index(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many batches came, a search asks few pieces."""
    monkeypatch.setattr(writer_module, "GATHER_S", 0.0)
    path = tmp_path / "data.db"
    writer = Writer(path, Spool(tmp_path / "spool"), kept)
    writer.start()
    for number in range(FEW * 3):
        writer.put(record(f"fox {number}"))
        kept.wait_for(number + 1)
    writer.stop()
    with sqlite3.connect(path) as db:
        assert max(len(level.pages) for level in levels(db)) < FEW
    found = "select count(*) from messages_fts where messages_fts match 'fox'"
    assert rows(path, found) == [(FEW * 3,)]


@pytest.mark.parametrize(("quiet_s", "large"), [(3_600.0, False), (-1.0, True)])
def test_large_pieces_are_merged_while_nothing_comes(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch, quiet_s: float, large: bool
) -> None:
    """Nobody is kept waiting then."""
    asked: list[bool] = []
    monkeypatch.setattr(writer_module, "QUIET_S", quiet_s)
    monkeypatch.setattr(writer_module, "merge_some", lambda db, pace, *, large: asked.append(large))
    writer = Writer(tmp_path / "data.db", Spool(tmp_path / "spool"), kept)
    writer.start()
    writer.put(record("fox"))
    writer.stop()
    assert set(asked) == {large}
