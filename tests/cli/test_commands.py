"""Commands that need nothing running."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from agenttrace_mitm import __version__
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.cli import COMMANDS, cli, typed
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.alerting import AlertStore
from datasette_agenttrace.canned import CANNED_QUERIES

from .conftest import OTHER_PATH
from .test_recording import until


def test_help_imports_nothing_slow():
    """It answers in a tenth of a second because of that."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agenttrace_mitm", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for module in ("pydantic", "sqlite3", "mitmproxy", "cryptography", "datasette"):
        assert f" {module}\n" not in done.stderr
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_asking_the_instance_imports_nothing_slow(tmp_path):
    """`run` asks before its program starts: what this loads, every program waits for."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agenttrace_mitm", "status"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AGENTTRACE_HOME": str(tmp_path)},
    )
    assert "AgentTrace is not running" in done.stderr
    for module in ("asyncio", "pydantic", "sqlite3", "mitmproxy", "cryptography", "datasette"):
        assert f" {module}\n" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(user, name):
    said = user.types(name, "--help").stdout
    assert "Usage: " in said
    assert name == "version" or "agenttrace-mitm" in said.partition("\n")[2]


def test_the_version_is_told_however_it_is_asked_for(user):
    said = {user.types(asked).stdout for asked in ("version", "--version", "-V")}
    assert said == {f"agenttrace-mitm {__version__}\n"}


@pytest.mark.parametrize("command", [["status"], ["open"], ["env"]], ids=lambda each: each[0])
def test_without_an_instance_it_says_how_to_start_one(user, command):
    done = user.types(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "agenttrace-mitm: AgentTrace is not running.\nStart it: agenttrace-mitm start\n"
    )


def test_what_it_says_to_do_can_be_typed_here(user):
    """Where PATH does not know the program, or knows another of the name: by its path."""
    other = user.home / "bin"
    other.mkdir()
    (other / "agenttrace-mitm").write_text("#!/bin/sh\n")
    (other / "agenttrace-mitm").chmod(0o755)
    for path in (OTHER_PATH, f"{other}:{user.environ['PATH']}"):
        done = user.types("status", PATH=path)
        [remedy] = re.findall(r"Start it: (.*) start$", done.stderr)
        assert done.stderr.startswith("agenttrace-mitm: ")
        assert subprocess.check_output(["sh", "-c", f"{remedy} version"], text=True) == (
            f"agenttrace-mitm {__version__}\n"
        )


def test_only_commands_are_retyped(monkeypatch):
    monkeypatch.setattr(typed, "program", lambda: "/my venv/bin/agenttrace-mitm")
    for said in ("agenttrace-mitm: no", "in /home/agenttrace-mitm data", "agenttrace-mitm 0.1.0"):
        assert typed.typed(said) == said
    assert (
        typed.typed("(`agenttrace-mitm logs web`)") == "(`/my venv/bin/agenttrace-mitm logs web`)"
    )


def test_what_it_says_to_do_is_about_the_database_that_was_named(user):
    """And can be copied to the end of its line: a full stop would be part of the command."""
    other = user.home / "somebody's data.db"
    open_database(other).close()
    store = AlertStore(other)
    store.put_rule(made(1, name="my rule", type="budget", params={"limit_usd": "1"}))
    store.close()
    named = ["--db", str(other)]
    for command, remedy in (
        ("alerts test nosuch", "alerts list"), ("sessions show nope", "sessions list"),
        ("gate --session nope --max-calls 1", "sessions list"),
        ("prompts show nope", "prompts list"), ("alerts ack nope", "alerts history"),
    ):  # fmt: skip
        last = user.types(*command.split(), *named).stderr.splitlines()[-1]
        words = shlex.split(last[last.index("agenttrace-mitm") :])
        assert words == ["agenttrace-mitm", *remedy.split(), *named], command
        assert user.types(*words[1:]).returncode == 0
    said = user.types("alerts", "test", "my rule", *named).stdout
    words = shlex.split(said[said.index("agenttrace-mitm") :])
    assert user.types(*words[1:]).returncode == 1, "TARGET is to be replaced"
    assert (
        user.types(*words[1:-1], "mailto:me@example.com").stdout == "Rule 'my rule' is changed.\n"
    )
    # Those that take no database are about the one that runs.
    assert "agenttrace-mitm stop, " in typed.typed("agenttrace-mitm stop, then start")


@pytest.mark.parametrize(
    "remedy, told",
    [
        ("See: agenttrace-mitm db verify", "See: agenttrace-mitm db verify"),
        ("See agenttrace-mitm logs", "See agenttrace-mitm logs"),
        ("Run `agenttrace-mitm stop`", "Run `agenttrace-mitm stop`."),
        ("Run: agenttrace-mitm stop, then start", "Run: agenttrace-mitm stop, then start."),
        ("Make room on the disk.", "Make room on the disk."),
    ],
)
def test_a_full_stop_is_no_part_of_a_command(remedy, told):
    assert typed.sentence(remedy) == told


def test_open_finds_the_pages_of_serve(user):
    """A login link works once: without it the first browser would have been the last."""
    open_database(user.home / "data.db").close()
    process = user.starts("serve")
    try:
        first = process.stdout.readline()
        until(lambda: list((user.home / "run").glob("serve-*.json")))
        done = user.types("open")
        assert done.returncode == 0, done.stderr
        assert done.stdout.partition("code=")[0] in first
        assert done.stdout not in first
        assert done.stderr == f"serve shows {user.home / 'data.db'} (pid {process.pid})\n"
        assert f"not running; serve shows {user.home / 'data.db'} at" in user.types("stop").stderr
    finally:
        process.kill()
        process.communicate()
    until(lambda: user.types("open").returncode == 1)
    assert not list((user.home / "run").glob("serve-*.json"))


@pytest.mark.parametrize(
    "typo, meant",
    [("sesions", "sessions, version"), ("stat", "stats, start, status"), ("xyzzy", "")],
)
def test_a_mistyped_command_is_asked_about(user, typo, meant):
    done = user.types(typo)
    assert done.returncode == 2
    assert f"No such command {typo!r}." in done.stderr
    assert (f"Did you mean: {meant}?" in done.stderr) == bool(meant)
    assert ("Did you mean" in done.stderr) == bool(meant)


@pytest.mark.parametrize(
    "command, said",
    [
        ("query --json --csv 'select 1'", "not both"),
        ("tail --no-follow -n -3", "x>=0"),
        ("export csv --from 2026-12-01 --to 2026-11-01", "2026-12-01 is later than --to 2026"),
    ],
)
def test_what_contradicts_itself_is_refused(user, command, said):
    open_database(user.home / "data.db").close()
    done = user.types(*shlex.split(command))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_times_say_what_a_number_alone_means(user):
    assert "number alone is seconds" in " ".join(user.types("gate", "--help").stdout.split())
    silence = user.types("alerts", "silence", "--help").stdout
    assert "number alone is minutes" in " ".join(silence.split())


def test_stop_does_not_say_how_to_start_one(user):
    done = user.types("stop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "agenttrace-mitm: AgentTrace is not running.\n"


READING = """
stats | agents | tail --no-follow | query 'select 1' | serve
sessions list | sessions show x | sessions hold | sessions release x
prompts list | prompts show x | prompts diff x y
traces rebuild
db reprice | db reprocess | db rebuild-rollups | db verify | db prune
db slice out.db --session x | db forget --session x --yes | backup out.db | export csv
alerts list | alerts history | alerts test x | alerts ack x | alerts export
token revoke x
"""


@pytest.mark.parametrize("command", re.split(r" \| |\n", READING.strip()))
def test_without_a_database_it_says_so(user, command):
    """One sentence with both remedies; nothing is made."""
    user.environ["AGENTTRACE_HOME"] = str(user.home / "none")
    done = user.types(*shlex.split(command))
    assert done.returncode == 1, done.stdout
    first, second = done.stderr.splitlines()
    assert first == f"agenttrace-mitm: There is no database at {user.home / 'none' / 'data.db'}."
    assert second.startswith("Record something (agenttrace-mitm start, or run), or name another")
    assert not (user.home / "none").exists()


def test_judgements_without_a_database_are_not_known(user):
    for command in (["gate", "--last", "--max-calls", "1"], ["alerts", "check"]):
        done = user.types(*command)
        assert done.returncode == 2
        assert ": There is no database at " in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "stats --days -3",
        "stats --days 999999999999",
        "agents --days 0",
        "db prune --days -5",
        "db prune --days 999999999999",
        "alerts test x --days 999999999999",
    ],
)
def test_days_that_are_none(user, command):
    open_database(user.home / "data.db").close()
    done = user.types(*shlex.split(command))
    assert done.returncode == 2
    assert "Invalid value for '--days'" in done.stderr


def test_tokens_are_listed_without_making_a_database(user):
    assert "There are none" in user.types("token", "list").stdout
    assert not (user.home / "data.db").exists()


def test_so_many_lines_of_the_logs(user):
    """The checks of cron have a log as well."""
    (user.home / "logs").mkdir()
    for name in ("web", "alerts"):
        (user.home / "logs" / f"{name}.log").write_text("1\n2\n3\n")
    assert user.types("logs", "-n", "0").stdout == ""
    last = user.types("logs", "-n", "2").stdout.splitlines()
    assert [line.split() for line in last] == [
        ["web", "2"],
        ["web", "3"],
        ["alerts", "2"],
        ["alerts", "3"],
    ]
    assert user.types("logs", "alerts", "-n", "9").stdout == "1\n2\n3\n"
    assert user.types("logs", "-n", "-1").returncode == 2
    done = user.types("logs", "capture")
    assert (done.stdout, done.stderr) == ("", f"Nothing was logged in {user.home / 'logs'}.\n")


def test_the_token_is_stable_until_reset(user):
    first = user.types("token", "show").stdout
    assert user.types("token", "show").stdout == first
    second = user.types("token", "reset").stdout
    assert user.types("token", "show").stdout == second != first


def test_hosts_are_changed_in_the_config_file(user):
    before = json.loads((user.home / "config.json").read_text())
    assert user.types("hosts", "disable", "api.cohere.com").returncode == 0
    assert user.types("hosts", "enable", "chatgpt").returncode == 0
    assert user.types("hosts", "add", "llm.example.com", "openai").returncode == 0
    assert json.loads((user.home / "config.json").read_text()) == {
        **before,
        "hosts_disabled": ["api.cohere.com"],
        "hosts_enabled": ["chatgpt"],
        "hosts_added": {"llm.example.com": {"speaks": "openai", "provider": "llm.example.com"}},
    }
    listed = user.types("hosts", "list").stdout
    assert "llm.example.com" in listed
    assert user.types("hosts", "enable", "API.Cohere.com").returncode == 0
    assert user.types("hosts", "disable", "LLM.example.com").returncode == 0
    assert json.loads((user.home / "config.json").read_text())["hosts_disabled"] == [
        "llm.example.com"
    ]
    for port in ("0", "65536", "99999"):
        assert user.types("hosts", "add", f"127.0.0.1:{port}", "openai").returncode == 1
    assert user.types("hosts", "disable", "nobody.example").returncode == 1
    assert user.types("hosts", "add", "bad host", "openai").returncode == 1
    assert user.types("hosts", "add", "llm.example.com", "nobody").returncode == 1


def test_an_address_is_no_host_to_add(user):
    """Our certificates vouch for names; one that stands in the file already passes untouched."""
    before = (user.home / "config.json").read_text()
    for address in ("192.168.1.5", "10.0.0.1:8000", "127.0.0.1", "::1", "[fd00::1]"):
        done = user.types("hosts", "add", address, "openai")
        assert done.returncode == 1
        assert "is an address, and our certificates vouch for names only" in done.stderr
        assert "Give it a name" in done.stderr
    assert "is not a host name" in user.types("hosts", "add", "10.1", "openai").stderr
    assert (user.home / "config.json").read_text() == before
    assert user.types("hosts", "add", "127.0.0.1:8000", "openai").returncode == 0
    (user.home / "config.json").write_text('{"hosts_added": {"192.168.1.5": "openai"}}')
    listed = user.types("hosts", "list").stdout
    assert re.search(r"192\.168\.1\.5 +passes: an address", listed)
    assert not re.search(r"192\.168\.1\.5 +openai", listed)


def test_an_added_host_goes_by_the_name_that_it_is_given(user):
    def added(*words):
        done = user.types("hosts", "add", *words)
        assert done.returncode == 0, done.stderr
        return json.loads((user.home / "config.json").read_text())["hosts_added"]

    (user.home / "config.json").write_text('{"hosts_added": {"old.example": "mistral"}}')
    assert added("llm.example", "mistral", "--provider", "Acme") == {
        "old.example": "mistral",
        "llm.example": {"speaks": "mistral", "provider": "acme"},
    }
    assert added("llm.example", "openai", "--provider", "openai")["llm.example"] == "openai"
    assert added("llm.example", "groq")["llm.example"] == "groq"
    avian = added("api.avian.io", "openai")["api.avian.io"]
    assert avian == {"speaks": "openai", "provider": "avian"}
    listed = user.types("hosts", "list").stdout
    assert re.search(r"old\.example +mistral", listed)
    assert re.search(r"api\.avian\.io +avian", listed)
    assert user.types("hosts", "add", "llm.example", "openai", "--provider", "a b").returncode == 1


def test_queries_only_read(user):
    open_database(user.home / "data.db").close()
    assert user.types("query", "select 1 as a, 'x' as b").stdout == "a  b\n-  -\n1  x\n"
    assert user.types("query", "--csv", "select 1 as a").stdout.split() == ["a", "1"]
    assert json.loads(user.types("query", "--json", "select 1 as a").stdout) == [{"a": 1}]
    made = user.home / "made.db"
    for sql in (
        "delete from llm_calls", "selec", "select * from nothing", "", "/* nothing */",
        f"attach '{made}' as made", f"vacuum into '{made}'", "pragma journal_mode = delete",
    ):  # fmt: skip
        done = user.types("query", sql)
        assert done.returncode == 1
        assert "disk" not in done.stderr
        assert "agenttrace-mitm: " in done.stderr
        assert "Traceback" not in done.stderr
    assert not made.exists()


def test_a_query_takes_the_values_of_its_names(user):
    """As the pages ask for them: the SQL of docs/questions.md has some."""
    open_database(user.home / "data.db").close()
    sql = "select :call_id as id, :n + 1 as n"
    done = user.types("query", sql, "-p", "call_id", "it's", "--param", "n", "2", "--csv")
    assert done.stdout.splitlines() == ["id,n", "it's,3"]
    done = user.types("query", sql, "-p", "n", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert ":call_id" in done.stderr
    assert "Give the value of each :name with -p NAME VALUE." in done.stderr


def test_a_table_has_numbers_without_needless_digits(user):
    """Nor exponents; programs get what is stored."""
    open_database(user.home / "data.db").close()
    sql = "select 0.0073087000000000004 as a, 3.85e-05 as b, 1.5 as c, 2e30 as d"
    words = user.types("query", sql).stdout.splitlines()[2].split()
    assert words == ["0.0073087", "0.0000385", "1.5", "2e+30"]
    assert json.loads(user.types("query", sql, "--json").stdout)[0]["b"] == 3.85e-05


@pytest.mark.parametrize("question", CANNED_QUERIES, ids=lambda each: each.name)
def test_the_questions_can_be_asked_here(home, question):
    open_database(home / "data.db").close()
    names = sorted(set(re.findall(r"(?<!:):([a-z_]+)", question.sql)))
    values = [word for name in names for word in ("-p", name, "x")]
    done = CliRunner().invoke(cli, ["query", question.sql, *values])
    assert done.exit_code == 0, done.output


def test_undoing_an_env_that_was_not_done_prints_nothing(user):
    assert user.types("env", "--unset").stdout == ""
