"""Databases that cannot be read."""

import sqlite3
from pathlib import Path

import pytest

from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.damage import set_aside


def spoil(path: Path, start: int, end: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:end] = b"x" * (end - start)
    path.write_bytes(data)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    db = open_database(path).conn
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    return path


@pytest.mark.parametrize("span", [(0, 100), (100, 4000)], ids=["header", "schema"])
def test_a_damaged_database_makes_room(
    database: Path, tmp_path: Path, span: tuple[int, int]
) -> None:
    """A fresh one can be made in its place, and its bytes are kept for a salvage."""
    spoil(database, *span)
    spoiled = database.read_bytes()
    place = set_aside(database, tmp_path, thorough=False)
    assert place is not None
    assert place.read_bytes() == spoiled
    assert not database.exists()
    open_database(database).close()


def test_damage_beyond_the_schema_is_found_by_a_thorough_look(
    database: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(database) as db:
        query = "select rootpage from sqlite_master where name = 'payloads'"
        ((page,),) = db.execute(query)
        ((size,),) = db.execute("pragma page_size")
    spoil(database, (page - 1) * size, page * size)
    assert set_aside(database, tmp_path, thorough=False) is None
    assert set_aside(database, tmp_path, thorough=True)


def test_sound_databases_and_other_peoples_files_stay(database: Path, tmp_path: Path) -> None:
    """Whoever names a wrong file with --db keeps it."""
    assert set_aside(database, tmp_path, thorough=True) is None
    assert set_aside(tmp_path / "absent.db", tmp_path, thorough=True) is None
    notes = tmp_path / "elsewhere" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("not a database at all, " * 100)
    assert set_aside(notes, tmp_path, thorough=True) is None
    other = tmp_path / "elsewhere" / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table t (a)")
    assert set_aside(other, tmp_path, thorough=True) is None
