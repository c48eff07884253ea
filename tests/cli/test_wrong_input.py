"""What users get wrong: one sentence and a remedy, exit code 1, nothing damaged."""

import json
import shlex
import signal
import socket
import sqlite3
import subprocess
import time

import psutil
import pytest

from agenttrace_mitm.cli.typed import sentence
from agenttrace_mitm.store import open_database

from .conftest import COMMAND


def complaint(user, *arguments, **environ):
    """What `start` says on stderr, in the form that every complaint has."""
    done = user.types("start", "--no-open", *arguments, **environ)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("agenttrace-mitm: ")
    assert all(line.endswith(".") or line == sentence(line) for line in lines)
    return done.stderr


@pytest.mark.parametrize("option", ["--proxy-port", "--port"])
def test_a_port_in_use(user, option):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = complaint(user, option, port)
    assert port in said
    assert option in said


def test_a_database_that_is_none(user, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but dear to me\n" * 100)
    said = complaint(user, "--db", str(file))
    assert str(file) in said
    assert "--db" in said
    assert file.read_text() == "not a database, but dear to me\n" * 100


def test_another_programs_database(user, tmp_path):
    file = tmp_path / "other.db"
    other = sqlite3.connect(file)
    other.execute("create table recipes (name)")
    other.commit()
    other.close()
    before = file.read_bytes()
    said = complaint(user, "--db", str(file))
    assert "another program" in said
    assert file.read_bytes() == before


def test_a_database_that_is_a_folder(user, tmp_path):
    assert str(tmp_path) in complaint(user, "--db", str(tmp_path))


def test_a_broken_config_file(user):
    config = user.home / "config.json"
    config.write_text('{"port": 80')
    assert str(config) in complaint(user)
    assert config.read_text() == '{"port": 80'


def test_a_config_file_of_something_else(user):
    config = user.home / "config.json"
    config.write_text('["port", 80]')
    assert str(config) in complaint(user)


def test_a_list_in_the_environment_that_is_none(user):
    said = complaint(user, AGENTTRACE_HOSTS_ENABLED="groq, ollama")
    assert "AGENTTRACE_HOSTS_ENABLED in the environment" in said


def test_an_unknown_setting_in_the_config_file(user):
    (user.home / "config.json").write_text(json.dumps({"prot": 1}))
    assert "'prot' in " in complaint(user)


def test_a_wrong_value_names_its_source(user):
    assert "--privacy-tier on the command line" in complaint(user, "--privacy-tier", "7")
    assert "AGENTTRACE_RETENTION_DAYS in the environment" in complaint(
        user, AGENTTRACE_RETENTION_DAYS="many"
    )


def test_words_that_no_zone_proxy_or_host_is_called(user):
    """Found when it starts: later, no alert would be checked and no call would arrive."""
    said = complaint(user, "--upstream-proxy", "not a url")
    assert "--upstream-proxy on the command line" in said
    said = complaint(user, AGENTTRACE_TIME_ZONE="Mars/Base")
    assert "AGENTTRACE_TIME_ZONE in the environment" in said
    config = json.loads((user.home / "config.json").read_text())
    config["upstream_map"] = {"api.anthropic.com": "foo bar"}
    (user.home / "config.json").write_text(json.dumps(config))
    said = complaint(user)
    assert "'upstream_map' in " in said
    assert "'foo bar'" in said


@pytest.mark.parametrize("content", [None, "no certificate here\n"], ids=["missing", "rubbish"])
def test_a_wrong_ca_file(user, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    assert str(file) in complaint(user, "--upstream-ca", str(file))


def test_a_home_that_cannot_be_made(user, tmp_path):
    (tmp_path / "file").write_text("")
    said = complaint(user, AGENTTRACE_HOME=str(tmp_path / "file" / "home"))
    assert "AGENTTRACE_HOME" in said


def test_a_damaged_certificate_authority(user):
    (user.home / "ca").mkdir()
    (user.home / "ca" / "mitmproxy-ca.pem").write_text("damaged")
    assert "ca rotate" in complaint(user)


def test_a_program_that_does_not_exist(user):
    done = user.types("run", "--", "no-such-program")
    assert done.returncode == 127
    assert "no-such-program cannot be run" in done.stderr


def test_a_label_without_a_value(user):
    done = user.types("run", "--tag", "branch", "--", "true")
    assert done.returncode == 1
    assert "'branch' has no value" in done.stderr


def test_a_query_that_goes_on_ends_by_ctrl_c(user):
    open_database(user.home / "data.db").close()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    process = user.starts("query", endless)
    deadline = time.monotonic() + 60
    database = str(user.home / "data.db")
    while database not in {file.path for file in psutil.Process(process.pid).open_files()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said


def test_ctrl_c_before_a_command_has_begun_is_no_traceback(user, tmp_path):
    """Somebody changes their mind while Python still reads the program."""
    (tmp_path / "click.py").write_text("import os\nos.kill(os.getpid(), 2)\nimport this\n")
    done = user.types("stats", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "\nAborted!\n")


@pytest.mark.parametrize(
    "command", ["stats", "sessions list", "gate --last --max-calls 1", "export csv"]
)
def test_what_is_no_database_of_ours(user, tmp_path, command):
    """What is wrong, and what helps: not how tables are called."""
    (tmp_path / "notes.db").write_text("notes " * 1000)
    sqlite3.connect(tmp_path / "other.db").execute("create table r (n)").connection.close()
    (tmp_path / "folder.db").mkdir()
    for name, problem, remedy in (
        ("notes", "file is not a database", "Choose another file with --db"),
        ("other", "no such table", "It is another program's, or of another version"),
        ("folder", "is a folder", "Choose another file with --db"),
    ):
        done = user.types(*command.split(), "--db", str(tmp_path / f"{name}.db"))
        assert done.returncode == (2 if command.startswith("gate") else 1)
        assert problem in done.stderr
        assert remedy in done.stderr


def test_a_full_disk_is_a_sentence(user):
    open_database(user.home / "data.db").close()
    for command in ("token list", "stats", "export jsonl", "query 'select 1'"):
        line = f"{shlex.join(COMMAND)} {command} >/dev/full"
        done = subprocess.run(
            ["sh", "-c", line], env=user.environ, capture_output=True, text=True, check=False
        )
        if "export" not in command:  # nothing to write
            assert done.returncode == 1
            assert done.stderr == (
                "agenttrace-mitm: No space left on device: not all could be written.\n"
            )


@pytest.mark.parametrize(
    "command",
    [
        "gate --last --max-calls -1", "gate --last --max-errors -1", "gate --last --max-tokens -1",
        "sessions list --most 0", "sessions list --most -1", "alerts history --limit -1",
        "alerts watch --every nan", "alerts watch --every soon", "stop --wait nan",
        "stop --wait -1", "alerts watch --every 0", "alerts watch --every 0.5s",
        "db prune --max-size -5", "db prune --max-size 0",
    ],
)  # fmt: skip
def test_numbers_and_times_that_are_none(user, command):
    open_database(user.home / "data.db").close()
    done = user.types(*command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for" in done.stderr


def test_names_of_nobody(user):
    open_database(user.home / "data.db").close()
    assert user.types("prompts", "list", "--agent", "x").stdout == "No prompts of x.\n"
    for name in ("", " ", "a\nb"):
        done = user.types("token", "create", name)
        assert done.returncode == 1
        assert "is not a name for a token" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("gate --last --max-calls 1 --json", 2), ("sessions show X --json", 1),
        ("stats --json", 1), ("agents --json", 1), ("query --json 'select 1 from nothing'", 1),
        ("alerts history --json", 1), ("alerts list --json", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("there", [False, True], ids=["no database", "nothing in it"])
def test_programs_that_ask_for_json_get_json(user, command, code, there):
    """Of what is not there as well: an object that says why, and the exit code as ever."""
    if there:
        open_database(user.home / "data.db").close()
    done = user.types(*shlex.split(command))
    said = json.loads(done.stdout)
    if done.returncode:
        assert done.returncode == code
        assert said["error"] in done.stderr
        assert said["remedy"] in done.stderr
        assert said.get("ok") is None
    else:
        assert there
        assert said == []
