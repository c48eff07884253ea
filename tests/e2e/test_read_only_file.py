"""A database where nobody may write: `serve` shows it as it is, behind the gate as ever."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.settings import Settings
from agenttrace_mitm.store import open_database, way_in
from tests.e2e.test_read_only_home import _can_mount

pytestmark = pytest.mark.skipif(not _can_mount(), reason="no mount namespaces here")

MOUNT = 'mount --bind "$DISK" "$DISK" && mount -o remount,ro,bind "$DISK" && exec "$@"'
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")
PAGES = ("/-/agenttrace", "/-/agenttrace/calls", "/-/agenttrace/costs", "/s", "/s/llm_calls.json")


@contextmanager
def _served(database: Path, home: Path) -> Iterator[dict[str, Any]]:
    """What the server says at its start, where the folder of *database* cannot be written."""
    home.mkdir(mode=0o700)
    settings = Settings(home=home, port=0, db=database, alerts=False)
    process = subprocess.Popen(
        [*ALONE, sys.executable, "-m", "datasette_agenttrace"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "AGENTTRACE_HOME": str(home), "DISK": str(database.parent)},
    )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(settings.told()).encode() + b"\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def _written(folder: Path, state: str) -> Path:
    """A database as `session export` leaves it, as recording does, or as an older version did."""
    folder.mkdir()
    path = folder / "s.db"
    db = open_database(path).conn
    if state != "with a log":
        db.execute("pragma journal_mode = delete")
    if state == "of an older version":
        db.execute("drop table alert_deliveries")
        db.execute("delete from _sqlite_migrations where name like '%alert%'")
    db.close()
    return path


@pytest.mark.parametrize("state", ["one file", "with a log", "of an older version"])
def test_what_nobody_may_write_is_shown(tmp_path: Path, state: str) -> None:
    database = _written(tmp_path / "disk", state)
    before = database.read_bytes()
    with _served(database, tmp_path / "home") as said:
        assert said.get("ready"), said
        url = f"http://127.0.0.1:{said['port']}"
        token = (tmp_path / "home" / "token").read_text().strip()
        with httpx.Client(base_url=url, timeout=30) as client:
            for page in (*PAGES, "/s.db"):
                assert client.get(page).status_code == 401, page
            client.headers["x-api-key"] = token
            for page in (*PAGES, "/api/events/export?format=csv"):
                assert client.get(page).status_code == 200, page
            assert client.get("/s.db").status_code == 403, "its secrets stay in it"
            rule = {"name": "r", "type": "loop"}
            assert client.post("/api/alerts", json=rule).status_code == 503
    assert database.read_bytes() == before
    assert [file.name for file in database.parent.iterdir()] == ["s.db"]


def test_what_is_no_database_of_ours_is_refused_there_too(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    sqlite3.connect(folder / "s.db").execute("create table t (a)").connection.close()
    with _served(folder / "s.db", tmp_path / "home") as said:
        assert "another program" in said["error"]


def test_what_can_be_written_is_brought_up_to_date(tmp_path: Path) -> None:
    """As before; and nothing that is wrong with such a file is passed over."""
    assert way_in(tmp_path / "new.db") == "brought up to date"
    (tmp_path / "bad.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a usable"):
        way_in(tmp_path / "bad.db")
