"""Who records into a database is known to those who may not do so meanwhile."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store import recorders
from agenttrace_mitm.store.recorders import Recorder

THEIRS = Recorder(os.getpid(), "/home/me/.agenttrace", "mitmdump", 77)
OURS = Recorder(os.getpid(), "/home/me/.agenttrace", recorders.OURS, 78)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


def test_nobody_records_where_nobody_ever_did(database: Path) -> None:
    assert recorders.recorder_of(database) is None
    assert not list(database.parent.iterdir())


def test_whoever_records_is_named_until_it_ends(database: Path) -> None:
    lock = recorders.share(database)
    lock.tell(THEIRS)
    assert recorders.recorder_of(database) == THEIRS
    with (
        pytest.raises(StoreError, match=r"mitmdump with our addon \(pid 77\).*End mitmdump first"),
        recorders.alone(database),
    ):
        pass
    lock.close()
    assert recorders.recorder_of(database) is None
    with recorders.alone(database):
        pass
    assert (database.parent / "data.db-recorder").stat().st_mode & 0o777 == 0o600


def test_a_recorder_that_ends_and_one_that_begins_share_it(database: Path) -> None:
    """`start` right after `stop`: the one before may still be writing."""
    first, second = recorders.share(database), recorders.share(database)
    first.tell(THEIRS)
    second.tell(OURS)
    assert recorders.recorder_of(database) == OURS
    second.close()
    assert recorders.recorder_of(database) is not None
    first.close()
    assert recorders.recorder_of(database) is None


def test_a_recorder_that_is_killed_leaves_no_lock(database: Path) -> None:
    script = "import sys, pathlib; from agenttrace_mitm.store import recorders\n"
    script += "lock = recorders.share(pathlib.Path(sys.argv[1])); print('up', flush=True)\n"
    script += "sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert recorders.recorder_of(database) is not None
        process.kill()
    assert recorders.recorder_of(database) is None


def test_a_recorder_waits_for_who_is_alone(database: Path) -> None:
    done = threading.Event()
    with recorders.alone(database):
        with pytest.raises(StoreError, match="being forgotten"):
            recorders.share(database, patience_s=0.05)
        later = threading.Thread(target=lambda: (recorders.share(database).close(), done.set()))
        later.start()
        assert not done.wait(0.1)
        with pytest.raises(StoreError), recorders.alone(database):
            pass
    assert done.wait(10)
    later.join()


def test_where_there_can_be_no_lock_calls_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = recorders.share(tmp_path / "file" / "data.db")
    lock.tell(OURS)
    lock.close()
    assert recorders.recorder_of(tmp_path / "file" / "data.db") is None
