"""Which programs below a run keep recorded hosts away from the proxy."""

import os
import subprocess
import sys

import pytest

from agenttrace_mitm.launch.runtimes.python import HOOKS
from agenttrace_mitm.launch.strays import descendants, judged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there can it be read")
HOSTS = ("api.openai.com", "api.anthropic.com")
WAITS = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def started():
    """Start Python with these variables; it waits until the end of the test."""
    running = []

    def start(**environ):
        child = subprocess.Popen(
            [sys.executable, "-c", WAITS],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        running.append(child)
        child.stdout.readline()  # its own environment from here on, and not ours
        return child.pid

    yield start
    for child in running:
        child.communicate()


@pytest.mark.parametrize(
    ("environ", "item"),
    [
        ({"NO_PROXY": "localhost,.openai.com"}, ".openai.com"),
        ({"no_proxy": "*"}, "*"),
        ({"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "example.com"}, None),
        ({}, None),
        ({"NO_PROXY": "*", "PYTHONPATH": str(HOOKS)}, None),
    ],
    ids=["domain", "everything", "nothing of ours", "none", "our hook goes before"],
)
def test_what_an_environment_says(started, environ, item):
    found = judged(started(**environ), HOSTS)
    assert (found and found[0]) == item


def test_a_program_that_has_ended():
    assert judged(2**22 + 1, HOSTS) is None


def test_our_own_instance_is_not_looked_at(started):
    """It has the user's own NO_PROXY, and that is right."""
    ours, theirs = started(), started()
    assert {ours, theirs} <= set(descendants(os.getpid()))
    found = set(descendants(os.getpid(), {ours}))
    assert theirs in found
    assert ours not in found
