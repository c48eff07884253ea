"""Looking things up in a database that has troubles."""

from pathlib import Path

import pytest

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store import Reading, open_database
from agenttrace_mitm.store.reading import AGAIN_AFTER_S


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    """And is known again once it can be, without asking all the time."""
    now = [0.0]
    path = tmp_path / "data.db"
    reading = Reading(path, lambda: now[0])
    assert reading.execute("select count(*) from llm_calls").fetchone() == (0,)
    assert reading.execute("select nonsense").fetchall() == []
    assert list(reading.execute("select 1")) == []
    now[0] += AGAIN_AFTER_S
    assert list(reading.execute("select 1")) == [(1,)]
    reading.close()


def test_a_file_that_is_no_database_is_waited_for(tmp_path: Path) -> None:
    """Somebody put it there while we were running."""
    now = [0.0]
    path = tmp_path / "data.db"
    reading = Reading(path, lambda: now[0])
    path.unlink()
    path.write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    reading.renew()
    assert reading.execute("select 1").fetchone() is None
    path.unlink()
    open_database(path).close()
    now[0] += AGAIN_AFTER_S
    assert reading.execute("select count(*) from llm_calls").fetchone() == (0,)
    reading.close()


def test_at_first_it_says_what_is_wrong(tmp_path: Path) -> None:
    """Nobody starts on a file that cannot be used."""
    path = tmp_path / "data.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        Reading(path)
