"""Changes to the machine by command, and the machine as it was afterwards."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.machines import CRONTAB, DCONF, GSETTINGS, snapshot, stub

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
        stub(folder / "bin", "crontab", CRONTAB)
        script = GATHER.replace("{anchors}", str(anchors)).replace("{bundle}", str(self.bundle))
        stub(folder / "bin", "update-ca-trust", script)
        self.environ = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "GSETTINGS_FILE": str(self.settings),
            "CRONTAB_FILE": str(self.root / "crontab"),
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
        assert "Will end what is running, pid " in dry.stdout
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
    assert user.types("uninstall", "--dry-run").stdout == "Nothing else would be changed.\n"
    done = user.types("uninstall")
    assert done.stdout == "This machine is as it was before.\n"
    assert snapshot(place.root) == before


def test_uninstall_takes_our_line_out_of_the_crontab(user, place):
    """Nobody else's, and not that of another home."""
    table = place.root / "crontab"
    other = user.home.with_name("home2")
    others = f"0 1 * * * backup\n* * * * * AGENTTRACE_HOME={other} true # AgentTrace alerts\n"
    table.write_text(others)
    before = snapshot(place.root)
    assert user.types("alerts", "install-cron", "--write").returncode == 0
    assert user.types("alerts", "install-cron", "--write").returncode == 0
    assert len(table.read_text().splitlines()) == 3
    dry = user.types("uninstall", "--dry-run")
    assert "Will take the line of `alerts install-cron` out of your crontab" in dry.stdout
    assert snapshot(place.root) != before
    done = user.types("uninstall")
    assert "out of your crontab" in done.stdout
    assert done.stdout.endswith("This machine is as it was before.\n")
    assert snapshot(place.root) == before
    table.unlink()
    user.types("alerts", "install-cron", "--write")
    user.types("uninstall")
    assert not table.exists()


def test_uninstall_says_so_when_the_crontab_cannot_be_read(user, place):
    tool = Path(user.environ["PATH"].split(os.pathsep)[0]) / "crontab"
    tool.write_text("#!/bin/sh\necho no permission >&2\nexit 1\n")
    done = user.types("uninstall")
    assert done.returncode == 0
    assert "no permission" in done.stdout
    assert "as it was before" not in done.stdout


def test_the_cron_line_works_before_the_first_start(user, place):
    """The shell opens its log before anything of ours runs."""
    user.home.joinpath("config.json").unlink()
    user.home.rmdir()
    user.types("alerts", "install-cron", "--write")
    line = (place.root / "crontab").read_text().strip().removeprefix("* * * * * ")
    subprocess.run(["/bin/sh", "-c", line], env={"PATH": "/usr/bin:/bin"}, check=False)
    assert "There is no database" in (user.home / "logs" / "alerts.log").read_text()


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
