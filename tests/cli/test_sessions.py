"""`sessions` and `traces` as a user has them."""

import json

import pytest

from agenttrace_mitm.store import open_database

from ..traces.talks import Recording, says, tool_result, tool_use
from ..traces.talks import user as asks


@pytest.fixture
def worker(user):
    """A user whose database holds one small session of an agent."""
    (user.home / "fingerprint.key").write_bytes(b"k" * 32)  # the one of `Recording`
    db = open_database(user.home / "data.db").conn
    _work(Recording(db))
    db.close()
    return user


def _work(talk: Recording) -> None:
    asked = [asks("Write hello.")]
    session = {"x_claude_code_session_id": "s-1", "agent": "writer"}
    write = tool_use("w", "Write", file_path="h.py", content="print('hello')\n")
    talk.call(asked, write, **session)
    talk.call([*asked, write, tool_result("w", "ok")], says("Written."), **session)


def test_list_and_show(worker):
    listed = worker.types("sessions", "list")
    assert "s-1" in listed.stdout
    assert "Write hello." in listed.stdout
    shown = worker.types("sessions", "show", "s-1", "--diff")
    assert "1. Write hello." in shown.stdout
    assert "write h.py [exit" not in shown.stdout
    assert "+print('hello')" in shown.stdout
    assert "> Written." in shown.stdout
    assert "1 file touched, +1 -0" in shown.stdout
    told = json.loads(worker.types("sessions", "show", "s-1", "--json").stdout)
    assert told["prompts"][0]["steps"][0]["action"]["kind"] == "write"


def test_an_unknown_session_is_one_sentence(worker):
    done = worker.types("sessions", "show", "nobody")
    assert done.returncode == 1
    assert "no session nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_rebuild_says_what_it_did(worker):
    done = worker.types("traces", "rebuild")
    assert "2 calls placed, 0 have another place now." in done.stdout, done.stderr
