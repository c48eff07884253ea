"""What is asked for while an instance runs: it is done, or refused; never passed over."""

import json

import pytest

from .test_recording import PYTHON, until

RUN = ("run", "--quiet")
DETACH = ("start", "--detach", "--no-open")


@pytest.fixture
def running(user):
    """An instance in the background at privacy tier 2."""
    done = user.types(*DETACH, "--privacy-tier", "2", "--retention-days", "7")
    assert done.returncode == 0, done.stderr
    return user


def asked(user, command, *options, **environ):
    program = ("--", *PYTHON) if command is RUN else ()
    return user.types(*command, *options, *program, **environ)


def calls(user):
    return json.loads(user.types("query", "--json", "select count(*) as n from llm_calls").stdout)


@pytest.mark.parametrize("command", [RUN, DETACH], ids=["run", "start"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--privacy-tier", "1"), "with privacy_tier 2, not 1"),
        (("--retention-days", "0"), "with retention_days 7, not 0"),
        (("--db", "/tmp/other.db"), "not /tmp/other.db"),
        (("--upstream-proxy", "http://me:secret@127.0.0.1:9"), "without upstream_proxy"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_option_that_would_be_passed_over_is_refused(running, command, options, told):
    done = asked(running, command, *options)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("agenttrace-mitm: AgentTrace runs already, ")
    assert told in first
    assert second == f"End it first (agenttrace-mitm stop), or leave {options[0]} out."
    assert "secret" not in done.stderr
    assert calls(running) == [{"n": 0}]


@pytest.mark.parametrize("command", [RUN, DETACH], ids=["run", "start"])
def test_a_variable_that_would_be_passed_over_is_refused(running, command):
    done = asked(running, command, AGENTTRACE_PRIVACY_TIER="1")
    assert done.returncode == 1
    assert "leave AGENTTRACE_PRIVACY_TIER out" in done.stderr


@pytest.mark.parametrize("command", [RUN, DETACH], ids=["run", "start"])
def test_what_is_so_already_may_be_said(running, command):
    facts = json.loads(running.types("status", "--json").stdout)
    options = ["--privacy-tier", "2", "--db", facts["db"], "--proxy-port", facts["proxy_port"]]
    done = asked(running, command, *map(str, options), AGENTTRACE_OPEN_BROWSER="no")
    assert done.returncode == 0, done.stderr
    assert asked(running, command, "--port", "0").returncode == 0


def test_a_second_start_tells_of_what_runs(running):
    """Not of what `config.json` would say to the next one."""
    config = running.home / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"privacy_tier": 1}))
    said = running.types(*DETACH).stdout
    assert "Keeps tier 2 (" in said
    assert "content for 7 days" in said


def test_a_refused_start_leaves_the_token(running):
    token = running.types("token", "show").stdout
    assert running.types(*DETACH, "--reset-token", "--no-git").returncode == 1
    assert running.types("token", "show").stdout == token


def test_run_asks_nothing_of_an_instance_of_its_own(user):
    done = user.types("run", "--quiet", "--privacy-tier", "1", "--", *PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: user.types("status").returncode == 1)
    kept = user.types("query", "--json", "select distinct privacy_tier from llm_calls").stdout
    assert json.loads(kept) == [{"privacy_tier": 1}]
