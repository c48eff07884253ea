"""`sessions` and `traces` as a user has them."""

import json

import pytest

from agenttrace_mitm.model import StoredCommit, StoredRef
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.commits import write_commit, write_ref

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


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ("--agent writer", True),
        ("--agent reader", False),
        ("--from 2025-10-09", True),
        ("--from 2025-10-09 --to 2025-10-09 --agent writer", True),
        ("--from 2025-10-10", False),
        ("--to 2025-10-08", False),
    ],
)
def test_a_list_of_some(worker, filters, fits):
    listed = worker.types("sessions", "list", *filters.split())
    assert listed.returncode == 0
    assert ("Write hello." in listed.stdout) is fits
    assert (f"No session fits {filters}." in listed.stdout) is not fits


def test_days_in_the_wrong_order(worker):
    said = worker.types("sessions", "list", "--from", "2026-11-21", "--to", "2026-11-20")
    assert said.returncode == 2
    assert "--from 2026-11-21 is later than --to 2026-11-20." in said.stderr


@pytest.mark.parametrize(("by", "name"), [("session", "s-1"), ("project", "?")])
def test_sums_by_what_the_pages_sum_by(worker, by, name):
    said = json.loads(worker.types("stats", "--days", "36500", "--by", by, "--json").stdout)
    assert [(line["name"], line["calls"]) for line in said] == [(name, 2)]


def test_show_tells_commits_and_what_is_not_the_agents(worker):
    db = open_database(worker.home / "data.db").conn
    [call_id] = db.execute("select call_id from tool_calls").fetchone()
    shared = {"session_id": "s-1", "branch": "main", "found_us": 1, "lines_removed": 0}
    made = {"call_id": call_id, "position": 0, "how": "output", "lines_added": 3}
    for commit in (
        StoredCommit(sha="1a2b3c4d" * 5, message="Write hello\n\nIt greets.", **made, **shared),
        StoredCommit(sha="9f8e7d6c" * 5, message="By hand", how="meanwhile", **shared),
    ):
        write_commit(db, commit)
    url = "https://github.com/o/r/pull/1"
    ref = {"session_id": "s-1", "call_id": call_id, "position": 0, "at_us": 1}
    write_ref(db, StoredRef(kind="pull_request", name=url, made=True, **ref))
    db.close()
    shown = worker.types("sessions", "show", "s-1").stdout
    assert "   commit 1a2b3c4 (main) Write hello +3 -0\n" in shown
    assert "   commit 9f8e7d6 (main) By hand [meanwhile, by no tool call]\n" in shown
    assert f"   new pull request {url}\n" in shown
    assert "1 commit, +3 -0\n" in shown
    told = json.loads(worker.types("sessions", "show", "s-1", "--json").stdout)
    assert [one["message"] for one in told["commits"]] == ["Write hello\n\nIt greets.", "By hand"]
    assert len(told["prompts"][0]["commits"]) == 1


def test_an_unknown_session_is_one_sentence(worker):
    done = worker.types("sessions", "show", "nobody")
    assert done.returncode == 1
    assert "no session 'nobody'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_beginning_of_an_id_is_enough(worker):
    """As long as it is the beginning of one only; a whole id is never taken for a beginning."""
    assert "1. Write hello." in worker.types("sessions", "show", "s").stdout
    db = open_database(worker.home / "data.db").conn
    talk = Recording(db)
    talk.call([asks("Go on.")], says("Gone."), x_claude_code_session_id="s-11", agent="writer")
    db.close()
    assert "1. Write hello." in worker.types("sessions", "show", "s-1").stdout
    assert "1. Go on." in worker.types("sessions", "show", "s-11").stdout
    done = worker.types("sessions", "show", "s")
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 sessions begin with s.\n" in done.stderr
    assert "no session ''" in worker.types("sessions", "show", "").stderr


def test_nothing_on_hold_is_said(worker):
    assert worker.types("sessions", "hold").stdout == "No session is on hold.\n"
    worker.types("sessions", "hold", "s-1")
    assert worker.types("sessions", "hold").stdout.startswith("s-1  since ")


def test_rebuild_says_what_it_did(worker):
    done = worker.types("traces", "rebuild")
    assert "2 calls placed, 0 have another place now." in done.stdout, done.stderr
