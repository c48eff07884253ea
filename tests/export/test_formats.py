"""Exports: every call once, in every format; a copy of the file; a session against limits."""

import base64
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from agenttrace_mitm.cli import cli
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.export import BY_NAME, FORMATS
from agenttrace_mitm.model import Payload, Record, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.exporting import Chosen, Export, backup
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call

HOSTILE = 'a "quoted", line\nwith; =1+1 \u2028 and \x00'


@pytest.fixture
def database(home):
    path = home / "data.db"
    db = open_database(path).conn
    for n in range(5):
        one = call(
            id=f"c{n}", started_us=(at_us := NOON_US + n * 86_400_000_000), ended_us=at_us + 1,
            agent_id="a" if n % 2 else HOSTILE, session_id="s", tags={"k": [1]},
            cost_nano_usd=1_500_000_000 if n else None, usage_source="reported", tokens_in=10,
            latency_ms=100.0, ttfb_ms=40.0, outcome="error" if n == 4 else "ok",
        )  # fmt: skip
        payload = Payload(
            request_headers=[["content-type", "application/json"]], request_body=b'{"q": 1}',
            response_headers=[["content-type", "image/png"]], response_body=b"\xff\xfe",
        )  # fmt: skip
        tool = StoredToolCall(tool_call_id=f"t{n}", position=0, name="run")
        write_record(db, Record(call=one, payload=payload if n == 1 else None, tool_calls=(tool,)))
    db.execute("update tool_calls set is_error = 1 where tool_call_id = 't3'")
    db.close()
    return path


def exported(database, name, **chosen):
    with Export(database, Chosen(**chosen)) as export:
        return b"".join(BY_NAME[name].pieces(export))


def test_csv_reads_back(database):
    rows = list(csv.DictReader(io.StringIO(exported(database, "csv").decode(), newline="")))
    assert [row["id"] for row in rows] == ["c0", "c1", "c2", "c3", "c4"]
    assert rows[0]["agent_id"] == HOSTILE
    assert rows[0]["cost_nano_usd"] == ""
    assert rows[1]["cost_usd"] == "1.5"
    assert json.loads(rows[1]["tags"]) == {"k": [1]}


def test_json_and_json_lines_say_the_same(database):
    lines = [json.loads(line) for line in exported(database, "jsonl").decode().split("\n")[:-1]]
    assert json.loads(exported(database, "json")) == lines
    assert lines[0]["agent_id"] == HOSTILE
    assert lines[0]["cost_usd"] is None


def test_har_has_what_is_stored_and_no_more(database):
    entries = json.loads(exported(database, "har"))["log"]["entries"]
    assert len(entries) == 5
    entry = entries[1]
    assert entry["request"]["url"] == "https://api.openai.com/v1/chat/completions"
    assert entry["request"]["postData"]["text"] == '{"q": 1}'
    assert base64.b64decode(entry["response"]["content"]["text"]) == b"\xff\xfe"
    assert entry["timings"] == {"send": 0, "wait": 40.0, "receive": 60.0}
    assert "postData" not in entries[0]["request"]


def test_parquet_reads_back(database):
    table = parquet.read_table(io.BytesIO(exported(database, "parquet")))
    assert table.column("id").to_pylist() == ["c0", "c1", "c2", "c3", "c4"]
    assert table.column("cost_nano_usd").to_pylist()[:2] == [None, 1_500_000_000]


def test_parquet_without_its_package_says_what_to_install(database, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = CliRunner().invoke(cli, ["export", "parquet", "-o", str(tmp_path / "x")])
    assert done.exit_code == 1
    assert "agenttrace-mitm[parquet]" in done.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", [one.name for one in FORMATS if one.name != "parquet"])
def test_nothing_is_a_file_too(database, name):
    said = exported(database, name, agent="nobody")
    if name in ("json", "har"):
        json.loads(said)
    assert b"c0" not in said


def test_filters(database):
    def ids(**chosen):
        return [
            json.loads(line)["id"] for line in exported(database, "jsonl", **chosen).splitlines()
        ]

    assert ids(agent="a") == ["c1", "c3"]
    assert ids(session="s", since_us=NOON_US + 1, until_us=NOON_US + 2 * 86_400_000_000) == ["c1"]
    assert ids(provider="x") == ids(model="x") == ids(trace="x") == []


def test_an_export_sees_one_moment(database):
    with Export(database, Chosen()) as export:
        pieces = BY_NAME["jsonl"].pieces(export)
        first = next(pieces)
        with sqlite3.connect(database) as db:
            db.execute("delete from llm_calls")
        assert len([first, *pieces]) == export.count == 5


def test_the_command_writes_a_private_file_whole(database, tmp_path):
    out = tmp_path / "calls.csv"
    words = ["export", "csv", "--from", "2025-10-10", "--to", "2025-10-11", "-o", str(out)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert out.stat().st_mode & 0o777 == 0o600
    assert [row["id"] for row in csv.DictReader(out.open(newline=""))] == ["c1", "c2"]
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []
    done = CliRunner().invoke(cli, ["export", "jsonl"])
    assert len(done.stdout_bytes.splitlines()) == 5
    assert CliRunner().invoke(cli, ["export", "csv", "--from", "soon"]).exit_code == 2


def test_the_command_says_how_many_calls_it_wrote(database):
    """Beside the calls, for whoever pipes them on; and of none, what none fits."""
    for words, said in (
        ([], "5 calls\n"),
        (
            ["--model", "nobody", "--to", "2025-10-11"],
            "0 calls: none fits --to 2025-10-11 --model nobody\n",
        ),
    ):
        done = CliRunner().invoke(cli, ["export", "csv", *words])
        assert (done.exit_code, done.stderr) == (0, said)


@pytest.mark.parametrize("before", [b"old", None], ids=["there", "not yet there"])
def test_a_link_stays_one_and_its_file_gets_the_calls(database, tmp_path, before):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    link.symlink_to(target.name)
    if before is not None:
        target.write_bytes(before)
    done = CliRunner().invoke(cli, ["export", "csv", "-o", str(link)])
    assert done.exit_code == 0, done.output
    assert link.is_symlink()
    assert target.read_bytes() == exported(database, "csv")
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_pipe_gets_the_calls_and_stays_one(database, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    done = CliRunner().invoke(cli, ["export", "csv", "-o", str(pipe)])
    assert done.exit_code == 0, done.output
    assert pipe.is_fifo()
    reader.join(10)
    assert heard == [exported(database, "csv")]


@pytest.mark.parametrize("shell", ["-o /dev/stdout | cat", "-o >(cat)", "-o /dev/stdout >> out"])
def test_what_a_shell_hands_over_gets_the_calls(database, tmp_path, shell):
    export = f"{sys.executable} -m agenttrace_mitm export csv {shell}"
    command = f"{export}; wait $!; cat out 2>/dev/null"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=False, cwd=tmp_path, timeout=60
    )
    assert done.stdout == exported(database, "csv"), done.stderr


@pytest.mark.parametrize("output", ["", "nowhere/calls.csv", "loop", "full"])
def test_what_cannot_be_written_is_a_sentence(database, tmp_path, output):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "full").symlink_to("/dev/full")
    done = CliRunner().invoke(cli, ["export", "csv", "-o", str(tmp_path / output)])
    assert done.exit_code == 1
    assert f"{tmp_path / output} cannot be written (" in done.output
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []


@pytest.fixture
def elsewhere(database, tmp_path):
    """The database outside the home folder, with two further names."""
    (tmp_path / "there").mkdir()
    moved = database.rename(tmp_path / "there" / "calls.db")
    (tmp_path / "link").symlink_to(moved)
    (tmp_path / "second").hardlink_to(moved)
    return moved


@pytest.mark.parametrize(
    "name",
    ["there/calls.db", "link", "second", "there/../there/calls.db", "there/calls.db-wal",
     "there/calls.db-shm", "there/calls.db-recorder"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["export csv -o", "backup", "db slice --session s"])
def test_the_recorded_database_is_never_written_to(elsewhere, tmp_path, command, name):
    """By whatever name, also by those that it has only while calls are recorded."""
    before = elsewhere.read_bytes()
    words = [*command.split(), str(tmp_path / name), "--db", str(elsewhere)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert f"{tmp_path / name} belongs to the database {elsewhere}" in done.output
    assert "Name another file" in done.output
    assert elsewhere.read_bytes() == before
    assert list(elsewhere.parent.iterdir()) == [elsewhere]


@pytest.mark.parametrize("name", ["token", "ca/root.pem", "new.csv", "."])
def test_what_is_in_the_home_folder_is_never_written_to(database, tmp_path, name):
    """Neither by an export nor by a table for a pull request, however the folder is named."""
    home = database.parent
    (tmp_path / "link").symlink_to(home)
    (home / "token").write_text("secret")
    for folder in (home, tmp_path / "link"):
        file = str(folder / name)
        done = CliRunner().invoke(cli, ["export", "csv", "-o", file])
        assert done.exit_code == 1
        assert f"{folder / name} is in {home}" in done.output
        words = ["gate", "--last", "--max-errors", "3"]
        done = CliRunner().invoke(cli, words, env={"GITHUB_STEP_SUMMARY": file})
        assert done.exit_code == 0, done.output
        assert f"is in {home}" in done.stderr
    assert (home / "token").read_text() == "secret"
    assert [file.name for file in home.iterdir() if not file.name.startswith("data.db")] == [
        "token"
    ]


@pytest.mark.parametrize("name", ["data.db", "link", "calls.csv", "data.db-wal"])
def test_no_other_database_is_written_over(database, tmp_path, name):
    """Another home's, or another program's: told by how it begins, whatever its name is."""
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copy(database, folder / "data.db")
    shutil.copy(database, folder / "calls.csv")
    (folder / "data.db-wal").write_bytes(b"frames")
    (folder / "link").symlink_to("data.db")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    file = str(folder / name)
    told = f"{file} {'belongs to' if name.endswith('-wal') else 'is'} an SQLite database"
    done = CliRunner().invoke(cli, ["export", "csv", "-o", file])
    assert done.exit_code == 1
    assert told in done.output
    assert "Name another file with -o" in done.output
    words = ["gate", "--last", "--max-errors", "3"]
    done = CliRunner().invoke(cli, words, env={"GITHUB_STEP_SUMMARY": file})
    assert done.exit_code == 0, done.output
    assert told in done.stderr
    for words in (["backup", file], ["db", "slice", file, "--session", "s"]):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 1
        assert f"{file} is there already" in done.output
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_an_older_export_is_replaced(database, tmp_path):
    file = tmp_path / "calls.csv-wal"
    file.write_text("SQLite format 3, a note\n")
    done = CliRunner().invoke(cli, ["export", "csv", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert file.read_bytes() == exported(database, "csv")


# ------------------------------------------------------------------ backup


def test_a_backup_of_a_database_that_is_written_to(database, tmp_path):
    stop = threading.Event()

    def write():
        db = sqlite3.connect(database, timeout=30)
        n = 0
        while not stop.is_set():
            n += 1
            db.execute("insert into recorder_events (kind) values (?)", (f"k{n}",))
            db.commit()
        db.close()

    writer = threading.Thread(target=write)
    writer.start()
    target = tmp_path / "copy.db"
    try:
        backup(database, target, lambda done, pages: None)
    finally:
        stop.set()
        writer.join()
    copy = sqlite3.connect(target)
    assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    assert copy.execute("select count(*) from llm_calls").fetchone() == (5,)
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="there already"):
        backup(database, target, lambda done, pages: None)


def test_a_failed_backup_leaves_nothing(tmp_path):
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        backup(bad, tmp_path / "copy.db", lambda done, pages: None)
    assert not (tmp_path / "copy.db").exists()
    done = CliRunner().invoke(cli, ["backup", "--db", str(tmp_path / "none"), str(tmp_path / "x")])
    assert done.exit_code == 1


def test_a_backup_that_finds_no_room_blames_the_copy(database, tmp_path):
    limit = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (100_000, 100_000))"
    code = f"{limit}; from agenttrace_mitm.cli import main; main()"
    copy = tmp_path / "copy.db"
    done = subprocess.run(
        [sys.executable, "-c", code, "backup", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{copy} cannot be written" in done.stderr
    assert not copy.exists()


# ------------------------------------------------------------------ gate


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--last", "--max-cost", "6", "--allow-unpriced"], 0),
        (["--last", "--max-cost", "5.99", "--allow-unpriced"], 1),
        (["--last", "--max-cost", "100"], 1),  # one call may have cost anything
        (["--session", "s", "--max-errors", "1", "--max-calls", "5", "--max-tokens", "50"], 0),
        (["--session", "s", "--max-errors", "0"], 1),
        (["--session", "s", "--max-errors", "20%"], 0),
        (["--session", "s", "--max-errors", "19.9%"], 1),
        (["--last", "--max-errors", "few"], 2),
        (["--last", "--max-errors", "1.5"], 2),
        (["--last", "--max-errors", "5%x"], 2),
        (["--last", "--max-tool-failures", "-1"], 2),
        (["--session", "s", "--max-tokens", "49"], 1),
        (["--session", "s", "--max-tool-failures", "20%"], 0),
        (["--session", "s", "--max-tool-failures", "19%"], 1),
        (["--session", "s", "--max-tool-failures", "1"], 0),
        (["--session", "s", "--max-tool-failures", "0"], 1),
        (["--session", "s", "--max-duration", "2h"], 1),
        (["--session", "s", "--max-duration", "97h"], 0),
        (["--session", "nobody", "--max-errors", "0"], 2),
        (["--last"], 2),
        (["--last", "--session", "s", "--max-errors", "1"], 2),
        (["--last", "--max-duration", "soon"], 2),
        (["--last", "--max-duration", "nan"], 2),
        (["--last", "--max-tool-failures", "few"], 2),
        (["--last", "--max-tool-failures", "nan"], 2),
        (["--last", "--max-tool-failures", "nan%"], 2),
        (["--last", "--max-cost", "nan", "--allow-unpriced"], 2),
        (["--last", "--max-cost", "inf", "--allow-unpriced"], 2),
        (["--last", "--max-cost", "-1", "--allow-unpriced"], 2),
        (["--last", "--max-cost", "6", "--wait", "long"], 2),
    ],
)
def test_a_gate_opens_within_limits(database, words, code):
    assert CliRunner().invoke(cli, ["gate", *words]).exit_code == code


def test_a_gate_tells_people_and_programs(database, tmp_path):
    summary = tmp_path / "summary.md"
    words = ["gate", "--last", "--max-cost", "2", "--max-errors", "3", "--max-duration", "900"]
    done = CliRunner().invoke(cli, words, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert "BEYOND" in done.output
    assert "$6.00 and 1 call without a price" in done.output
    assert "| failed calls | 1 of 5 (20%) | 3 | ✅ |" in summary.read_text()
    assert "| duration | 4 d 0 h | 15 m 0 s | ❌ |" in summary.read_text()
    said = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    assert said["ok"] is False
    assert said["session"]["tool_failures"] == 1


def test_a_summary_that_cannot_be_written_changes_no_judgement(database):
    words = ["gate", "--last", "--max-errors", "3"]
    done = CliRunner().invoke(cli, words, env={"GITHUB_STEP_SUMMARY": "/nowhere/summary.md"})
    assert done.exit_code == 0, done.output
    assert done.stderr == "/nowhere/summary.md of GITHUB_STEP_SUMMARY: No such file or directory\n"


def test_a_gate_waits_for_calls_that_are_running(database):
    """Nobody knows what they cost before they have ended."""

    def outcome(said):
        with sqlite3.connect(database) as db:
            db.execute("update llm_calls set outcome = ? where id = 'c2'", (said,))

    outcome("in_flight")
    words = ["gate", "--last", "--max-errors", "1"]
    done = CliRunner().invoke(cli, [*words, "--wait", "0"])
    assert done.exit_code == 2
    assert "1 call is still running" in done.output
    ends = threading.Timer(0.5, outcome, ["ok"])
    ends.start()
    done = CliRunner().invoke(cli, words)
    ends.join()
    assert done.exit_code == 0, done.output


def test_what_a_subscription_covers_is_not_spend(database):
    with sqlite3.connect(database) as db:
        db.execute("update llm_calls set billing = 'subscription' where id in ('c1', 'c2')")
    done = CliRunner().invoke(cli, ["gate", "--last", "--max-cost", "3", "--allow-unpriced"])
    assert done.exit_code == 0, done.output
    [row] = [line.split("  ") for line in done.output.splitlines() if "not metered" in line]
    assert row[0] == "spend"
    assert row[1].startswith("$3.00")
    assert row[1].endswith("; $3.00 not metered")
