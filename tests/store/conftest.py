"""A database for tests that have none of their own kind."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttrace_mitm.store import open_database
from tests.store.kept import Kept


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Empty; whatever a test does to it, its search index is sound afterwards."""
    conn = open_database(tmp_path / "data.db").conn
    yield conn
    conn.execute("insert into messages_fts (messages_fts) values ('integrity-check')")
    conn.close()


@pytest.fixture
def kept() -> Kept:
    return Kept()
