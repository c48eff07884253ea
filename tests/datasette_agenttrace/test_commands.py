"""Our commands below Datasette's, with their output and exit codes."""

import json

import click
import pytest
from click.testing import CliRunner

from datasette_agenttrace import register_commands


@pytest.fixture
def datasette(database):
    """Datasette's group of commands, as its plugin hook sees it."""
    group = click.Group("datasette")
    register_commands(group)
    return lambda *words: CliRunner().invoke(group, ["agenttrace", *words])


def test_alerts_are_checked_by_datasette(datasette):
    words = ["errors", "--type", "error_rate", "--set", "threshold_percent=20"]
    assert datasette("alerts", "add", *words).exit_code == 0
    done = datasette("alerts", "check", "--json")
    assert done.exit_code == 0
    assert [rule["state"] for rule in json.loads(done.output)["rules"]] == ["ok"]


def test_what_could_not_be_checked_is_exit_code_2(datasette, database, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_DB", str(database.parent))
    done = datasette("alerts", "check", "--json")
    assert done.exit_code == 2
    assert "error" in json.loads(done.output)


def test_a_wrong_setting_is_one_sentence(datasette, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_PRIVACY_TIER", "9")
    done = datasette("stats")
    assert done.exit_code == 1
    assert "AGENTTRACE_PRIVACY_TIER" in done.output
    assert "Traceback" not in done.output
