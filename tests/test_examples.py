"""Every command that README and docs show is one; those that only look or write files are run."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from agenttrace_mitm.access import fingerprint_key
from agenttrace_mitm.cli import cli
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.ingest.events import Event
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace.api import reference
from tests.support.records import NOON_US, record

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_COMMAND = re.compile(r"^ {2,}(agenttrace-mitm [^\n]*)", re.M)
_EVALUATED = re.compile(r"\$\((agenttrace-mitm [^)\n]*)\)")
_INLINE = re.compile(r"`(agenttrace-mitm [^`\n]+)`")
_CURL = re.compile(r"^ {4}(curl .*)$", re.M)

NOT_RUN = {
    "run": "starts the user's own program",
    "start": "stays, or leaves a process behind",
    "serve": "stays",
    "demo": "stays; tests/e2e runs it",
    "stop": "there is nothing to stop",
    "tail": "follows what an instance records",
    "logs": "there is no instance",
    "open": "opens a browser",
    "status": "there is no instance",
    "doctor": "makes calls by all runtimes of the machine; tests/doctor runs it",
    "env": "there is no instance; tests/cli runs it",
    "ca": "changes the machine; tests/cli runs it on a stand-in",
    "system-proxy": "changes the machine; tests/cli runs it on a stand-in",
    "redirect": "changes the machine; tests/cli runs it on a stand-in",
    "uninstall": "changes the machine; tests/cli runs it on a stand-in",
    "alerts": "tests/alerts/test_examples.py runs them, in their order",
    "gate": "tests/alerts/test_examples.py runs it",
    "token": "tests/alerts/test_examples.py runs it",
    "prompts": "asks for an agent with versions; tests/cli runs it",
    "hosts": "replaces the authority; tests/cli runs it",
}
"""Commands that are parsed and not run, and why."""


def shown(page: Path, *forms: re.Pattern[str]) -> list[str]:
    """The commands on *page*, without what they are piped into, and those with gaps in them."""
    found = [one for form in forms for one in form.findall(page.read_text())]
    whole = (one.split(" | ")[0].strip() for one in found)
    return [one for one in dict.fromkeys(whole) if "..." not in one]


COMMANDS = [
    pytest.param(page, line, id=f"{page.name}:{line[16:60]}")
    for page in PAGES
    for line in shown(page, _COMMAND, _EVALUATED, _INLINE)
]


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def test_there_are_examples_of_most_commands():
    named = {words_of(param.values[1])[0] for param in COMMANDS if words_of(param.values[1])}
    assert named >= {"run", "env", "query", "stats", "sessions", "export", "alerts", "gate", "db"}
    assert set(NOT_RUN) <= set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_the_docs_is_one(page, line):
    """Down to its options: it is read as if it were to run, and then is not."""
    rest, command = words_of(line), cli
    context = click.Context(cli, info_name="agenttrace-mitm")
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found, f"{page.name}: there is no {rest[0]!r} in {line!r}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    known |= {"--help", "-h"}
    until = rest.index("--") if "--" in rest else len(rest)
    for word in rest[:until]:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{page.name}: {word} in {line!r}"


@pytest.fixture
def stocked(home, tmp_path_factory, monkeypatch):
    """A home with a call or two in which examples find what they name, and another folder."""
    db = open_database(home / "data.db").conn
    one = record("Hello", id=new_id(NOON_US), session_id="ID", trace_id="ID", agent_id="NAME")
    write_record(db, one)
    db.execute("insert into sessions (session_id, started_us, ended_us) values ('ID', 1, 2)")
    db.close()
    fingerprint_key(home / "fingerprint.key")
    monkeypatch.chdir(tmp_path_factory.mktemp("anywhere"))
    return home


RUN = [
    pytest.param(line, id=f"{page.name}:{line[16:60]}")
    for page in PAGES
    for line in shown(page, _COMMAND)
    if page.name != "cli.md" and words_of(line)[0] not in NOT_RUN
]


def test_some_are_run():
    assert len(RUN) >= 8


@pytest.mark.parametrize("line", RUN)
def test_what_only_looks_or_writes_files_runs(stocked, line):
    words = words_of(line)
    if words[:2] == ["db", "forget"]:
        words.append("--yes")
    done = CliRunner().invoke(cli, words, input="y\n")
    assert done.exit_code == 0, (line, done.output, done.exception)


@pytest.mark.parametrize(
    "line", [line for page in PAGES for line in _CURL.findall(page.read_text())]
)
def test_what_is_sent_in_the_docs_is_taken(line):
    """A path that there is, by its method, with a body that is an event."""
    words = shlex.split(line)
    (address,) = (word for word in words if word.startswith("http://127.0.0.1:8080/"))
    path = address.removeprefix("http://127.0.0.1:8080").partition("?")[0]
    if path.startswith("/api/"):
        method = "POST" if "-d" in words else "GET"
        assert f"`{method} {path}`" in reference.endpoints()
    if "-d" in words:
        Event.model_validate(json.loads(words[words.index("-d") + 1]))
