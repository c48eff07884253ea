"""What peers and models wrote is shown as text: no terminal obeys it."""

import os
import pty
import unicodedata

import pytest

from agenttrace_mitm.clock import now_us
from agenttrace_mitm.model import Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from tests.support.records import call

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\rm\x08\x00\u202egnp.exe\u2028\x7f"
COMMANDS = (
    ("tail", "--no-follow"),
    ("stats",),
    ("stats", "--by", "provider"),
    ("stats", "--json"),
    ("agents",),
    ("query", "select * from llm_calls"),
    ("query", "--json", "select * from llm_calls"),
    ("query", f"select 1 as '{HOSTILE.replace(chr(0), '')}'"),
    ("logs", "capture"),
)


@pytest.fixture
def hostile(user):
    """A database in which every text is hostile."""
    db = open_database(user.home / "data.db")
    at = now_us()
    said = call(
        started_us=at, ended_us=at + 1, provider=HOSTILE, model=HOSTILE, response_model=HOSTILE,
        agent_id=HOSTILE, error_message=HOSTILE, host=HOSTILE, path=HOSTILE, process=HOSTILE,
    )  # fmt: skip
    write_record(db.conn, Record(call=said))
    db.close()
    (user.home / "logs").mkdir(exist_ok=True)
    (user.home / "logs" / "capture.log").write_text(f"\tsni {HOSTILE}\n")
    return user


def harmless(text: str) -> bool:
    """Whether a terminal has nothing to obey in *text*."""
    return not any(
        unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") and letter != "\n"
        for letter in text
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: ascii(" ".join(words))[1:30])
def test_nothing_moves_a_cursor(hostile, words):
    """Neither in a table nor in a line of its own."""
    done = hostile.types(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert harmless(done.stdout)


def test_csv_is_exact_in_a_file_and_harmless_on_a_screen(hostile):
    """Programs get what is stored."""
    words = ("query", "--csv", "select model from llm_calls")
    assert "\x1b" in hostile.types(*words).stdout
    ours, theirs = pty.openpty()
    process = hostile.starts_on(theirs, *words)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    assert process.wait(30) == 0
    assert b"owned" in shown
    assert harmless(shown.decode().replace("\r\n", "\n").replace("\r", ""))
