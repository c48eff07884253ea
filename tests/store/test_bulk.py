"""The database of the benchmarks is one that the writer could have made."""

import sqlite3
from pathlib import Path

from agenttrace_mitm.store import Spool, Writer, open_database, rollups
from benchmarks import bulk, pages
from benchmarks.history import History

END_US = 1_795_219_200_000_000
SAME = (
    "llm_calls", "messages", "call_messages", "tool_calls", "sessions", "traces", "threads",
    "spans", "prompts", "rollup_hour", "rollup_day", "rollup_session", "rollup_model",
    "rollup_spend",
)  # fmt: skip


def _rows(db: sqlite3.Connection, table: str) -> list[tuple]:
    order = db.execute(f"select group_concat(name) from pragma_table_info('{table}') where pk")
    return db.execute(f"select * from {table} order by {order.fetchone()[0]}").fetchall()


def test_bulk_rows_are_those_of_the_writer(tmp_path: Path):
    records = list(History(400, 90, END_US).records())
    bulk.load(tmp_path / "bulk.db", records)
    writer = Writer(tmp_path / "data.db", Spool(tmp_path / "spool"), lambda ids: None)
    writer.start()
    for record in records:
        writer.put(record)
    writer.stop()
    made, written = (sqlite3.connect(tmp_path / f"{name}.db") for name in ("bulk", "data"))
    for table in SAME:
        rows = _rows(made, table)
        assert rows, table
        assert rows == _rows(written, table), table
    indexes = "select name, sql from sqlite_master order by name"
    assert made.execute(indexes).fetchall() == written.execute(indexes).fetchall()
    found = "select count(*) from messages_fts where messages_fts match 'case17'"
    assert made.execute(found).fetchone() == written.execute(found).fetchone() != (0,)


def test_its_rollups_are_what_a_rebuild_counts(tmp_path: Path):
    bulk.build(tmp_path / "data.db", 300, end_us=END_US)
    db = open_database(tmp_path / "data.db").conn
    rolled = ("rollup_hour", "rollup_day", "rollup_session", "rollup_model", "rollup_spend")
    before = [_rows(db, table) for table in rolled]
    rollups.rebuild(db)
    assert before == [_rows(db, table) for table in rolled]
    db.close()


def test_it_holds_what_pages_show(tmp_path: Path):
    bulk.build(tmp_path / "data.db", 2_000, end_us=END_US)
    db = sqlite3.connect(tmp_path / "data.db")
    for sql in (
        "select count(*) from agent_calls",
        "select count(*) from llm_calls where attempt > 1",
        "select count(*) from llm_calls where outcome = 'cancelled'",
        "select count(*) from llm_calls where rate_limit is not null",
        "select count(*) from tool_calls where is_error",
        "select count(*) from payloads",
        "select count(*) from prompts where system is not null",
    ):
        assert db.execute(sql).fetchone()[0] > 3, sql


def test_a_span_ends_as_the_recorder_says(tmp_path: Path):
    """Only what ended well is ok; a call that was cancelled did not."""
    bulk.build(tmp_path / "data.db", 2_000, end_us=END_US)
    db = sqlite3.connect(tmp_path / "data.db")
    sql = """
        select distinct c.outcome, s.outcome from llm_calls c join spans s on s.span_id = c.span_id
        where c.attempt = 1
            and not exists (select 1 from llm_calls r where r.retry_of = c.id and r.id <> c.id)
    """
    assert set(db.execute(sql)) == {("ok", "ok"), ("cancelled", "error"), ("error", "error")}


def test_a_build_that_was_stopped_is_begun_anew(tmp_path: Path, monkeypatch):
    """Its file would be taken for the beginning of the next one."""
    for ending in (".part", ".part-wal"):
        (tmp_path / f"pages-5{ending}").write_text("half a history")

    def build(file: Path, calls: int) -> None:
        assert list(tmp_path.iterdir()) == []
        file.write_text(f"{calls} calls")

    monkeypatch.setattr(pages.bulk, "build", build)
    assert pages.database(tmp_path, 5, []).read_text() == "5 calls"
