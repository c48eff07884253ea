"""A home that cannot be written: one sentence, what to do, and it works elsewhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = 'mount --bind "$HOME" "$HOME" && mount -o remount,ro,bind "$HOME" && exec "$@"'
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")


def _can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    command = ("unshare", "--map-root-user", "--mount", "mount", "--bind", "/tmp", "/tmp")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="no mount namespaces here")


def _in_read_only(home: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*ALONE, sys.executable, "-m", "agenttrace_mitm", *command],
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(home), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["run -- true", "start --no-open", "demo --exit"])
def test_a_sentence_and_a_remedy(tmp_path: Path, command: str) -> None:
    """Nothing is half started, and nothing is written."""
    done = _in_read_only(tmp_path / "home", *command.split())
    assert done.returncode == 1
    first, second = done.stderr.strip().splitlines()
    assert "cannot be used (Read-only file system)." in first
    assert second == "Set AGENTTRACE_HOME to a folder of yours."
    assert not list((tmp_path / "home").iterdir())


def test_doctor_names_it(tmp_path: Path) -> None:
    """What cannot be made is no `not there yet`."""
    done = _in_read_only(tmp_path / "home", "doctor")
    assert "cannot be made" in done.stdout
    assert done.returncode == 1


def test_another_folder_will_do(tmp_path: Path) -> None:
    """The remedy, followed: the program runs and its exit code comes back."""
    elsewhere = {"AGENTTRACE_HOME": str(tmp_path / "elsewhere"), "AGENTTRACE_PROXY_PORT": "0"}
    done = _in_read_only(
        tmp_path / "home", "run", "--", "sh", "-c", "exit 7", AGENTTRACE_PORT="0", **elsewhere
    )
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "elsewhere" / "data.db").exists()
