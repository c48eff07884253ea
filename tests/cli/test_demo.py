"""The demo at a terminal: what it offers works, a second one is refused, Ctrl-C is no failure."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import OTHER_PATH

INVITES = "That was the demo"


@pytest.fixture
def demo(user):
    """A demo under way, and what it has said so far."""
    process = user.starts("demo", "--no-open")
    process.said = ""
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait(60)
    process.stdout.close()


def typed(user, line):
    """*line* as somebody would paste it."""
    return subprocess.run(
        ["sh", "-c", line], env=user.environ, capture_output=True, text=True, check=False
    )


def read_until(process, words):
    while words not in process.said:
        line = process.stdout.readline()
        assert line, process.said
        process.said += line


@pytest.fixture
def elsewhere(user):
    """A user whose PATH does not know the program: of a checkout, `./scripts/start` runs it."""
    user.environ["PATH"] = OTHER_PATH
    return user


def test_what_the_demo_offers_works(elsewhere, demo):
    """As it is printed, in a terminal that knows nothing of it."""
    read_until(demo, "Ctrl-C ends it")
    assert INVITES in demo.said
    assert " env)" not in demo.said
    offered = re.findall(r"^  (AGENTTRACE_HOME=\S+ \S+ (\w+)) ", demo.said, re.M)
    assert [command for _, command in offered] == ["open", "tail", "stats"]
    for shown, command in offered:
        wait = " --no-follow" if command == "tail" else ""
        done = typed(elsewhere, shown + wait)
        assert done.returncode == 0, done.stderr
        assert "login?code=" in done.stdout if command == "open" else "claude" in done.stdout
    [record] = re.findall(r"Then record your own: (.*) run -- CMD", demo.said)
    assert typed(elsewhere, f"{record} --version").returncode == 0
    listed = typed(elsewhere, offered[2][0].replace(" stats", " agents")).stdout.splitlines()[2:]
    assert len(listed) == 6
    assert "two programs, six agents together" in demo.said
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0


def test_a_second_demo_leaves_the_first_alone(user, demo):
    read_until(demo, INVITES)
    database = user.home / "demo" / "data.db"
    number = database.stat().st_ino
    second = user.types("demo", "--no-open")
    assert (second.returncode, second.stdout) == (1, "")
    assert "A demo is under way already (pages http://127.0.0.1:" in second.stderr
    assert database.stat().st_ino == number
    # Also when it is only an instance that somebody started to look at what was played.
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    theirs = {"AGENTTRACE_HOME": str(user.home / "demo")}
    assert (
        user.types("start", "--detach", "--proxy-port", "0", "--port", "0", **theirs).returncode
        == 0
    )
    assert user.types("demo", "--no-open").returncode == 1
    assert database.stat().st_ino == number
    assert user.types("stop", **theirs).returncode == 0


def test_ctrl_c_while_it_plays_is_no_failure(user, temporary, demo):
    """The terminal interrupts everybody in front of it; nothing is left behind."""
    read_until(demo, "claude")
    assert INVITES not in demo.said
    os.killpg(demo.pid, signal.SIGINT)
    rest = demo.stdout.read()
    assert demo.wait(60) == 0, rest
    assert "Traceback" not in rest
    assert "failed" not in rest
    assert not list(Path(user.environ["TMPDIR"]).glob("tmp*"))
