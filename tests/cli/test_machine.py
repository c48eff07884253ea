"""Changes to the machine by command, and the machine as it was afterwards."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.machines import DCONF, GSETTINGS, snapshot, stub

from .conftest import COMMAND

GATHER = "#!/bin/sh\ncat {anchors}/* {bundle}.others 2>/dev/null >{bundle}; true\n"


class Place:
    """A machine in a folder, and what its user's commands have to know of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        anchors = self.root / "etc/pki/ca-trust/source/anchors"
        self.bundle = self.root / "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
        for each in (anchors, self.bundle.parent, self.root / "home"):
            each.mkdir(parents=True)
        others = Path(f"{self.bundle}.others")
        others.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.bundle.write_bytes(others.read_bytes())
        self.settings = self.root / "gsettings.json"
        self.settings.write_text("{}")
        stub(folder / "bin", "gsettings", GSETTINGS)
        stub(folder / "bin", "dconf", DCONF)
        script = GATHER.replace("{anchors}", str(anchors)).replace("{bundle}", str(self.bundle))
        stub(folder / "bin", "update-ca-trust", script)
        self.environ = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "GSETTINGS_FILE": str(self.settings),
            "AGENTTRACE_MACHINE_ROOT": str(self.root),
        }


@pytest.fixture
def place(tmp_path, user):
    """The user's commands change a folder."""
    found = Place(tmp_path)
    user.environ |= found.environ
    return found


def test_nothing_is_installed_by_default(user, place):
    said = user.types("ca", "install")
    assert said.returncode == 2
    assert "Say where" in said.stderr


def test_ca_install_says_it_does_it_and_is_undone(user, place):
    user.types("ca", "rotate")
    before = snapshot(place.root)
    dry = user.types("ca", "install", "--system", "--dry-run")
    assert "Will copy our root to" in dry.stdout
    assert snapshot(place.root) == before
    done = user.types("ca", "install", "--system")
    assert done.returncode == 0, done.stderr
    assert "Done: the system's trust store." in done.stdout
    assert (user.home / "ca/root.pem").read_text() in place.bundle.read_text()
    again = user.types("ca", "install", "--system")
    assert "Nothing to do" in again.stdout
    assert user.types("ca", "uninstall", "--nss").stdout == "Our root is in none of them.\n"
    undone = user.types("ca", "uninstall")
    assert undone.stdout == "Will put the system's trust store back as it was\n"
    assert snapshot(place.root) == before
    assert not (user.home / "installed").exists()


def test_the_desktops_proxy_wants_an_instance_that_stays(user, place):
    assert "not running" in user.types("system-proxy", "enable").stderr
    assert json.loads(place.settings.read_text()) == {}


def test_everything_is_put_back_by_uninstall(user, place):
    """Trust store, desktop, processes; what was recorded stays until it is not wanted either."""
    before = snapshot(place.root)
    try:
        assert user.types("start", "--detach", "--no-open").returncode == 0
        assert user.types("ca", "install", "--system").returncode == 0
        assert user.types("system-proxy", "status").returncode == 1
        enabled = user.types("system-proxy", "enable")
        assert enabled.returncode == 0, enabled.stderr
        assert user.types("system-proxy", "status").stdout.startswith("On: the desktop's proxy")
        assert snapshot(place.root) != before
        dry = user.types("uninstall", "--dry-run", "--data")
        assert "Will delete" in dry.stdout
        assert user.types("status").returncode == 0
        done = user.types("uninstall")
        assert done.returncode == 0, done.stderr
        assert user.types("status").returncode == 1
    finally:
        user.types("stop", "--now")
    assert snapshot(place.root) == before
    assert (user.home / "data.db").exists()
    assert not (user.home / "ca").exists()
    assert user.types("uninstall", "--data", "--yes").returncode == 0
    assert not user.home.exists()


def test_uninstall_without_anything_installed(user, place):
    before = snapshot(place.root)
    done = user.types("uninstall")
    assert done.stdout == "This machine is as it was before.\n"
    assert snapshot(place.root) == before


@pytest.mark.parametrize("remedy", [["uninstall"], ["doctor", "--quick", "--fix"]], ids=" ".join)
@pytest.mark.usefixtures("temporary")
def test_killed_in_the_middle(user, place, remedy):
    """What a killed `ca install` left can be undone."""
    user.types("ca", "rotate")
    before = snapshot(place.root)
    tool = Path(user.environ["PATH"].split(os.pathsep)[0]) / "update-ca-trust"
    script = tool.read_text()
    tool.write_text(script + "kill -9 $PPID\n")
    command = [*COMMAND, "ca", "install", "--system"]
    killed = subprocess.run(command, env=user.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert snapshot(place.root) != before
    tool.write_text(script)
    assert user.types(*remedy).returncode == 0
    assert snapshot(place.root) == before


def test_a_users_home_stays_the_users_under_sudo(user, place):
    """What root writes into somebody's home folder is theirs."""
    if os.getuid() != 0:
        pytest.skip("needs to be root to become another")
    user.types("ca", "rotate")
    for path in (user.home, *user.home.rglob("*")):
        os.chown(path, 12345, 12345)
    assert user.types("ca", "install", "--system").returncode == 0
    owners = {path.stat().st_uid for path in (user.home / "installed").rglob("*")}
    assert owners == {12345}
    assert (user.home / "installed").stat().st_uid == 12345
