"""`doctor` as a hurried human and as a program read it."""

import json
import os
import signal
import time

import pytest

from tests.support.machines import snapshot

from .test_machine import place  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("temporary")


def test_a_home_in_order(user):
    user.types("ca", "rotate")
    (user.home / "ca" / "bundle.pem").unlink(missing_ok=True)
    said = user.types("doctor", "--quick")
    assert said.returncode == 1
    assert "doctor --fix" in said.stdout
    mended = user.types("doctor", "--quick", "--fix")
    assert mended.returncode == 0, mended.stdout
    assert mended.stdout.count("mended") == 1
    well = user.types("doctor", "--quick")
    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "All is right.")
    lines = well.stdout.splitlines()[:-2]
    assert all(line.split()[0] in ("ok", "note", "→") for line in lines), well.stdout


def test_for_programs(user):
    said = json.loads(user.types("doctor", "--quick", "--json").stdout)
    assert {"check", "state", "said", "remedy", "can_be_mended", "mended"} == set(said[0])
    assert all(each["state"] in ("ok", "note", "wrong", "skipped") for each in said)


def test_only_known_runtimes(user):
    said = user.types("doctor", "--only", "cobol")
    assert said.returncode == 2
    assert "known are python" in said.stderr


def test_a_running_instance_and_one_runtime(user):
    assert user.types("start", "--detach", "--no-open").returncode == 0
    said = user.types("doctor", "--only", "python")
    assert said.returncode == 0, said.stdout
    for check in ("instance", "version", "proxy", "pages", "authority", "python", "recorder"):
        assert f"ok       {check}" in said.stdout


def test_after_a_kill_in_the_middle(user, place):  # noqa: F811 - the fixture
    """Everything killed with the desktop's proxy on: one command gives the machine back."""
    before = snapshot(place.root)
    assert user.types("start", "--detach", "--no-open").returncode == 0
    assert user.types("system-proxy", "enable").returncode == 0
    status = json.loads(user.types("status", "--json").stdout)
    pids = [status["pid"], *(each["pid"] for each in status["processes"].values())]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(_is_there(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said = user.types("doctor", "--quick")
    assert said.returncode == 1
    assert "where we do not listen" in said.stdout
    assert "a crash left" in said.stdout
    mended = user.types("doctor", "--quick", "--fix")
    assert mended.returncode == 0, mended.stdout
    assert snapshot(place.root) == before
    assert user.types("doctor", "--quick").returncode == 0


def _is_there(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - gone in between is no error
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
