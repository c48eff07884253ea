"""Files are written at once, and drafts do not stay."""

import os
import subprocess
import sys
import threading

import pytest

from agenttrace_mitm import files
from agenttrace_mitm.files import ABANDONED_S, alone, drafts_of, put, replacing


def names(folder):
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_what_is_put_is_all_there_is(tmp_path, mode, durable):
    path = tmp_path / "config.json"
    path.write_text("what was there before, and longer")
    assert put(path, b"{}", mode, durable=durable) == path
    assert path.read_bytes() == b"{}"
    assert path.stat().st_mode & 0o777 == mode
    assert names(tmp_path) == ["config.json"]


def test_it_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "token", []
    monkeypatch.setattr(files.os, "fsync", lambda _: seen.append(path.exists()))
    put(path, b"secret")
    assert seen == [False]
    put(path, b"secret", durable=False)
    assert seen == [False]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_draft_goes_when_writing_fails(tmp_path, error):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as stream:
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["calls.csv"]


def test_two_writers_share_no_draft(tmp_path):
    """Whoever ends last wins, whole."""
    path = tmp_path / "calls.csv"
    with replacing(path) as first:
        first.write(b"first, ")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
        first.write(b"and more")
    assert path.read_bytes() == b"first, and more"
    assert names(tmp_path) == ["calls.csv"]


def test_what_a_kill_left_goes_later(tmp_path):
    """An old draft of this file; none that may be somebody's, none of another file."""
    path = tmp_path / "capture.json"
    program = (
        "import os, signal, sys, pathlib\n"
        "from agenttrace_mitm.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    [left] = drafts_of(path)
    other = tmp_path / ".capture-2.json-abcdefgh.draft"
    other.touch()
    os.utime(other, (0, 0))
    put(path, b"{}")
    assert drafts_of(path) == [left]
    before = left.stat().st_mtime - ABANDONED_S - 1
    os.utime(left, (before, before))
    put(path, b"{}")
    assert names(tmp_path) == [other.name, path.name]


def test_who_is_alone_keeps_others_waiting(tmp_path):
    inside, order = threading.Event(), []

    def other():
        inside.wait()
        with alone(tmp_path / "home"):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with alone(tmp_path / "home"):
        inside.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
