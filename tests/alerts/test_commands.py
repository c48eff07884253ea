"""`agenttrace-mitm alerts`: what it prints, changes and answers as exit code."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from agenttrace_mitm.clock import now_us
from tests.alerts.conftest import Scene

SYSTEM = f"{os.environ.get('PATH', '')}:/usr/sbin"


class User:
    """Somebody with a terminal; the clock is the real one, calls are of the last seconds."""

    def __init__(self, home) -> None:
        self.home = home
        self.scene = Scene(home / "data.db")
        self.scene.now_us = now_us()

    def types(self, *words, code=0, **options):
        done = CliRunner().invoke(cli, ["alerts", *map(str, words)], **options)
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def user(home, monkeypatch):
    # As where the package is installed: what is printed to be typed is by its name.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    made = User(home)
    yield made
    made.scene.store.close()
    made.scene.db.close()


def test_check_says_by_its_exit_code_what_is_the_matter(user):
    assert "no rules yet" in user.types("check")
    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    assert "ok" in user.types("check")
    user.scene.calls(3, outcome="error")
    said = user.types("check", code=1)
    assert "3 of 3 calls failed in 15 min" in said
    report = json.loads(user.types("check", "--json", code=1))
    assert report["exit_code"] == 1
    assert report["rules"][0]["firing"][0]["subject"] == "all"
    user.types("add", "broken", "--type", "sql", "--set", "query=select * from nowhere")
    assert "no such table" in user.types("check", code=2)
    assert json.loads(user.types("check", "--json", code=2))["rules"][0]["state"] == "unknown"


def test_what_there_is_not_is_named_first_with_what_may_be_meant(user):
    budget = ["add", "daily", "--type", "budget", "--set"]
    said = user.types(*budget, "limit=20", code=1)
    assert "have no setting 'limit'" in said
    assert "Did you mean limit_usd? Settings of budget: agent, " in said
    said = user.types(*budget, "colour=blue", code=1)
    assert "have no setting 'colour'" in said
    assert "Did you mean" not in said
    assert "Did you mean budget?" in user.types("add", "daily", "--type", "budgt", code=1)
    assert "limit_usd of rule 'daily' is wrong" in user.types(*budget, "per=agent", code=1)


def test_check_without_a_database_could_not_check(home):
    done = CliRunner().invoke(cli, ["alerts", "check", "--json"])
    assert done.exit_code == 2
    assert "no database" in json.loads(done.output)["error"]


def test_rules_that_nobody_checks_say_so(user, monkeypatch):
    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    assert "not been checked" not in user.types("list")
    user.types("check")
    user.scene.db.execute("update alert_rules set checked_us = 1, updated_us = 0")
    listed = user.types("list")
    assert "Alerts have not been checked since 1970-01-01" in listed
    assert "not checked" in listed.split("\n")[2]
    assert " ok " not in listed
    user.types("check")
    assert "not been checked" not in user.types("list")
    user.scene.db.execute("update alert_rules set checked_us = 1, updated_us = 0, enabled = 0")
    assert "not been checked" not in user.types("list")


def test_the_list_says_what_is_in_force(user):
    """As `--set` takes it, what nobody set as well."""
    user.types("add", "errors", "--type", "error_rate", "--set", "per=agent")
    user.types("add", "purse", "--type", "budget", "--set", "limit_usd=1.50")
    user.types("add", "late", "--type", "no_traffic", "--set", 'days=["sat"]')
    listed = user.types("list")
    assert "window_minutes=15, threshold_percent=10, min_calls=10, per=agent" in listed
    assert "limit_usd=1.5, period=day, warn_percent=80," in listed
    assert 'days=["sat"]' in listed
    assert "provider=" not in listed


def test_a_check_that_fails_as_a_whole_is_remembered(user, monkeypatch):
    """Beside the log, which nobody reads: where one looks for the state of a rule."""
    from agenttrace_mitm.alerts import watching
    from agenttrace_mitm.errors import SettingsError

    def failing(*_, **__):
        raise SettingsError("the moon is full")

    user.types("add", "errors", "--type", "error_rate")
    user.types("check")
    with monkeypatch.context() as patch:
        patch.setattr(watching, "check", failing)
        user.types("check", code=2)
    assert "not checked: the moon is full" in user.types("list")
    user.types("check")
    assert "ok" in user.types("list")


def test_a_row_that_cannot_be_read_is_a_sentence(user):
    user.types("add", "errors", "--type", "error_rate")
    user.scene.db.execute("update alert_rules set params = '{'")
    assert "A row of alert_rules cannot be read" in user.types("check", code=2)
    assert "A row of alert_rules cannot be read" in user.types("list", code=1)


def test_a_locked_database_could_not_be_checked(user, monkeypatch):
    from agenttrace_mitm.store import alerting

    monkeypatch.setattr(alerting, "BUSY_S", 0.05)
    user.types("add", "errors", "--type", "error_rate")
    user.scene.db.execute("begin immediate")
    assert "locked" in user.types("check", code=2)


def test_rules_are_made_changed_and_removed(user):
    user.types(
        "add", "daily", "--type", "budget", "--set", "limit_usd=20", "--repeat", "30",
        "--to", "slack:https://hooks.slack.com/services/T0/B0/secret", "--to", "mailto:a@b.example",
    )  # fmt: skip
    rule = json.loads(user.types("list", "--json"))[0]
    assert rule["params"] == {"limit_usd": 20.0}
    assert rule["repeat_minutes"] == 30
    listed = user.types("list")
    assert "hooks.slack.com/..." in listed
    assert "secret" not in listed
    user.types("edit", "daily", "--set", "per=agent", "--set", "limit_usd=5", "--repeat", "0")
    user.types("edit", "daily", "--set", "per=", "--name", "each day")
    rule = json.loads(user.types("list", "--json"))[0]
    assert (rule["name"], rule["params"], rule["repeat_minutes"]) == (
        "each day", {"limit_usd": 5.0}, None,
    )  # fmt: skip
    user.types("disable", "each day")
    assert "off" in user.types("list")
    assert user.types("check") == "There are no rules yet: agenttrace-mitm alerts add --help\n"
    user.types("enable", "each day")
    assert "is silent until 20" in user.types("silence", "each day", "--for", "2h")
    assert "silent" in user.types("list")
    said = user.types("silence", "each day", "--for", "0")
    assert said == "Rule 'each day' is not silent any more.\n"
    assert "silent" not in user.types("list")
    user.types("remove", "each day")
    assert json.loads(user.types("list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "x", "--type", "nonsense"], "not a rule type"),
        (["add", "x", "--type", "budget"], "limit_usd of rule 'x' is wrong"),
        (["add", "x", "--type", "loop", "--to", "ftp://a"], "is not a target"),
        (["add", "x", "--type", "loop", "--to", "mailto:a@b\nBcc: c@d"], "is not a target"),
        (["add", "", "--type", "loop"], "is not a name"),
        (["add", "x", "--type", "loop", "--repeat", "-1"], "less than 1"),
        (["edit", "x"], "no rule 'x'"),
        (["remove", "x"], "no rule 'x'"),
        (["test", "x"], "no rule 'x'"),
        (["ack", "x"], "no firing 'x'"),
    ],
)
def test_mistakes_are_one_sentence(user, words, said):
    assert said in user.types(*words, code=1)


@pytest.mark.parametrize(
    "words",
    [
        ["silence", "x", "--for", "soon"],
        ["silence", "x", "--for", "nan"],
        ["silence", "x", "--for", "-1h"],
        ["silence", "x", "--for", "1e99d"],
        ["test"],
        ["add", "x", "--type", "loop", "--set", "repeats"],
        ["add", "x", "--type", "loop", "--set", "repeats=[1"],
    ],
)
def test_wrong_usage_is_said(user, words):
    assert "Error" in user.types(*words, code=2)


def test_history_tells_what_it_rests_on(user):
    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    ids = user.scene.calls(1, outcome="error")
    user.types("check", code=1)
    assert "1 of 1 call failed" in user.types("history")
    (firing,) = json.loads(user.types("history", "--json"))
    assert firing["evidence"]["calls"] == ids
    assert "select" in firing["evidence"]["sql"]
    user.types("ack", firing["id"])
    assert json.loads(user.types("history", "--json"))[0]["acknowledged_us"]


RULES = """
- name: daily
  type: budget
  params: {limit_usd: 20}
  deliver: ["https://example.com/${HOOK}"]
- name: errors
  type: error_rate
"""


def test_a_file_of_rules_is_applied_as_a_whole(user, tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(RULES)
    user.types("add", "old", "--type", "loop")
    said = user.types("apply", file, "--dry-run", "--prune", env={"HOOK": "k1"})
    assert [line.split()[0] for line in said.splitlines()[:3]] == ["add", "add", "remove"]
    assert len(json.loads(user.types("list", "--json"))) == 1
    user.types("apply", file, "--prune", env={"HOOK": "k1"})
    rules = json.loads(user.types("list", "--json"))
    assert [rule["name"] for rule in rules] == ["daily", "errors"]
    assert rules[0]["deliver"] == ["https://example.com/k1"]
    assert user.types("apply", file, env={"HOOK": "k1"}).split() == [
        "keep", "daily", "keep", "errors",
    ]  # fmt: skip
    said = user.types("apply", file, "--dry-run", env={"HOOK": "k2"})
    assert "another address" in said
    assert "k2" not in said
    file.write_text(RULES.replace("20", "30") + "  params: {min_calls: 0}\n")
    assert "min_calls" in user.types("apply", file, code=1, env={"HOOK": "k1"})
    assert json.loads(user.types("list", "--json"))[0]["params"] == {"limit_usd": 20.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("just words", "no list of rules"),
        ("- {name: a, type: loop, colour: red}", "'colour' of rule 'a'"),
        ("- {name: a, type: loop}\n- {name: a, type: loop}", "Two rules are called 'a'"),
        ("- {name: a, type: loop, deliver: ['https://x/${NOT_SET_AT_ALL}']}", "is not set"),
        ("- {name: a, type: loop, deliver: 7}", "Rule 'a' is wrong"),
        ("- {type: loop}", "not a name"),
        ("- {name: a}", "'a' is wrong"),
    ],
)
def test_a_wrong_file_changes_nothing(user, tmp_path, text, said):
    file = tmp_path / "rules.yml"
    file.write_text(text)
    assert said in user.types("apply", file, code=1)
    assert json.loads(user.types("list", "--json")) == []


def test_what_export_prints_can_be_applied(user, tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(RULES)
    user.types("apply", file, env={"HOOK": "k1"})
    file.write_text(user.types("export"))
    assert set(user.types("apply", file).split()) == {"keep", "daily", "errors"}


def test_a_rule_is_tried_out_against_the_past(user):
    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    assert "not have fired in the last 3 days." in user.types("test", "errors", "--days", "3")
    assert "not have fired in the last day." in user.types("test", "errors", "--days", "1")
    user.scene.calls(1, minutes_ago=1440, outcome="error")
    (one,) = json.loads(user.types("test", "errors", "--days", "3", "--json"))
    assert one["resolved_us"]
    assert abs(one["started_us"] - (now_us() - 86_400_000_000)) < 20 * 60_000_000
    assert "1 of 1 call failed" in user.types("test", "errors", "--days", "3")
    assert user.scene.history == []


def test_the_cron_line_is_put_in_and_taken_out(user, tmp_path, monkeypatch):
    """Everything else in a crontab stays as it is."""
    table = tmp_path / "table"
    fake = tmp_path / "bin" / "crontab"
    fake.parent.mkdir()
    fake.write_text(
        f"#!/bin/sh\nif [ $1 = - ]; then cat > {table}; exit; fi\n"
        f'[ -f {table} ] || {{ echo "no crontab for me" >&2; exit 1; }}\ncat {table}\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    line = user.types("install-cron").strip()
    assert line.startswith("* * * * * AGENTTRACE_HOME=")
    assert "alerts check" in line
    user.types("install-cron", "--write")
    assert table.read_text() == line + "\n"
    table.write_text("# mine\n0 1 * * * backup\n")
    user.types("install-cron", "--write")
    user.types("install-cron", "--write")
    assert table.read_text() == f"# mine\n0 1 * * * backup\n{line}\n"
    user.types("install-cron", "--remove")
    assert table.read_text() == "# mine\n0 1 * * * backup\n"


def test_the_cron_line_works_in_crons_poor_environment(user):
    """A shell with next to no environment, another folder, our exit code."""
    import subprocess

    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    user.scene.calls(1, outcome="error")
    command = user.types("install-cron").strip().removeprefix("* * * * * ").replace(r"\%", "%")
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, cwd="/", check=False
    )
    assert done.returncode == 1
    assert "1 of 1 call failed" in (user.home / "logs" / "alerts.log").read_text()


def test_the_webhook_secret_is_made_once_and_private(user):
    first = user.types("secret")
    assert first.startswith("whsec_")
    assert user.types("secret") == first
    assert (user.home / "webhook.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not shutil.which("cron", path=SYSTEM), reason="no cron here")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="cron wants root")
def test_cron_itself_runs_the_line(user):
    """Debian's cron, in mounts of its own: nobody's crontab is touched.  It waits for a minute."""
    import subprocess

    user.types("add", "errors", "--type", "error_rate", "--set", "min_calls=1")
    user.scene.calls(1, outcome="error")
    log = user.home / "logs" / "alerts.log"
    log.parent.mkdir(exist_ok=True)
    table = user.home / "table"
    table.write_text(user.types("install-cron"))
    private = (
        "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/spool/cron && "
        'mkdir -m 1730 /var/spool/cron/crontabs && crontab "$0" && exec cron -f'
    )
    started = ["unshare", "--mount", "sh", "-c", private, str(table)]
    cron = subprocess.Popen(started, env=os.environ | {"PATH": SYSTEM})
    try:
        for _ in range(900):
            if log.exists() and "1 of 1 call failed" in log.read_text():
                break
            assert cron.poll() is None, "cron did not stay"
            time.sleep(0.1)
        assert "1 of 1 call failed" in log.read_text()
    finally:
        cron.terminate()
        cron.wait()
