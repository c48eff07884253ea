"""What the documentation shows works as it stands there."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from agenttrace_mitm.alerts import rule_file
from agenttrace_mitm.cli import cli
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.exporting import backup

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ENVIRON = {"SLACK_WEBHOOK": "https://hooks.slack.com/services/T/B/x"}


def fenced(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.S)


def lines(page, start):
    text = page.read_text()
    return [line.strip() for line in text.splitlines() if line.startswith(f"    {start}")]


@pytest.mark.parametrize("text", fenced("rules.md", "yaml") + fenced("alerts.md", "yaml"))
def test_rules_in_the_docs_are_rules(text):
    wanted = rule_file.read(text, ENVIRON)
    assert {step.verb for step in rule_file.plan([], wanted, 1, prune=True)} == {"add"}


def test_the_webhook_in_the_docs_has_the_fields_that_are_sent(scene):
    scene.rule("error_rate", per="agent", min_calls=1)
    scene.calls(1, outcome="error", agent_id="bot")
    scene.check()
    (shown,) = (json.loads(text) for text in fenced("alerts.md", "json"))
    sent = scene.messages[0].body
    assert shown.keys() == sent.keys()
    assert shown["links"].keys() == sent["links"].keys()


COMMANDS = [
    line
    for page in (ROOT / "README.md", DOCS / "alerts.md", DOCS / "export.md", DOCS / "api.md")
    for line in lines(page, "agenttrace-mitm ")
    if line.split()[1] in ("alerts", "export", "backup", "gate", "token")
]


def test_there_are_commands_to_try():
    assert len(COMMANDS) >= 10


def test_commands_in_the_docs_run(home, tmp_path_factory, monkeypatch):
    """In the order in which they stand; what is piped away is not our concern."""
    folder = tmp_path_factory.mktemp("anywhere")
    monkeypatch.chdir(folder)
    open_database(home / "data.db").close()
    backup(home / "data.db", folder / "elsewhere.db", lambda done, pages: None)
    for line in dict.fromkeys(COMMANDS):
        words = shlex.split(line.split(" | ")[0], comments=True)[1:]
        if words[:2] == ["alerts", "test"] and "--days" not in words:
            continue  # it would send
        done = CliRunner().invoke(cli, words)
        # 1 and 2 are answers of a gate and of a check; a usage error says so.
        assert "Usage:" not in done.output, (line, done.output)
        if words[0] != "gate":
            assert done.exit_code == 0, (line, done.output)
