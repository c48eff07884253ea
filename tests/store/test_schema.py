"""The database file: made once, shared by processes, never somebody else's."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import LlmCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.columns import CALLS, COLUMNS, columns_of
from agenttrace_mitm.store.descriptions import CALL_COLUMNS, STORED_COLUMNS, TABLES, VIEWS
from agenttrace_mitm.store.schema import migrations


def test_every_field_of_a_call_is_a_described_column(tmp_path: Path) -> None:
    """The model, the descriptions and the table name the same columns."""
    db = open_database(tmp_path / "data.db")
    columns = [row[1] for row in db.execute("pragma table_xinfo(llm_calls)")]
    assert set(columns) == set(CALLS)
    assert set(STORED_COLUMNS.values()) < set(CALLS)
    assert set(CALL_COLUMNS) == set(LlmCall.model_fields)


def test_every_table_and_view_is_described(tmp_path: Path) -> None:
    """What a person finds in the file has a sentence in the documentation."""
    db = open_database(tmp_path / "data.db")
    tables = {name for name in db.table_names() if not name.startswith(("_", "messages_fts"))}
    assert tables == {"llm_calls", *TABLES}
    assert set(db.view_names()) == set(VIEWS)


def test_the_file_is_private_and_tuned(tmp_path: Path) -> None:
    """0600, WAL, 8 KiB pages, incremental vacuum."""
    path = tmp_path / "data.db"
    db = open_database(path)
    assert path.stat().st_mode & 0o777 == 0o600
    values = [db.execute(f"pragma {p}").fetchone()[0] for p in PRAGMAS]
    assert values == ["wal", 8192, 2]


PRAGMAS = ("journal_mode", "page_size", "auto_vacuum")


def test_several_processes_may_create_it_at_once(tmp_path: Path) -> None:
    """All of them succeed, and every migration was applied once."""
    path = tmp_path / "data.db"
    program = (
        "import sys, pathlib; from agenttrace_mitm.store import open_database;"
        "sys.stdin.read(1); open_database(pathlib.Path(sys.argv[1]))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin
        child.stdin.close()
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    names = [row[0] for row in sqlite3.connect(path).execute("select name from _sqlite_migrations")]
    assert len(names) == len(set(names)) > 0


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    """We never write into what is not ours."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table songs (title text)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path) -> None:
    """A text file stays a text file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but long enough to be read as a header " * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        open_database(path)
    assert path.read_bytes() == before


def test_every_column_of_a_table_or_view_is_described() -> None:
    """What a person finds in a table has a meaning, and no meaning is left of what has gone."""
    db = Database(memory=True)
    migrations.apply(db)
    for name in ("llm_calls", *TABLES, *VIEWS):
        present = [row[1] for row in db.execute(f"pragma table_xinfo({name})")]
        assert all(columns_of(name, present).values()), name
        assert set(COLUMNS.get(name, {})) <= set(present), name
