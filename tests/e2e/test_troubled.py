"""A full disk and a recorder that does not answer: whoever asks is told, and no call is missing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o size=4m tmpfs "$DISK" && exec "$@"'
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")
ROOT = Path(__file__).resolve().parents[2]


def _can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    command = ("unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="no mount namespaces here")
@pytest.mark.parametrize("where", ["elsewhere", "there"])
def test_a_full_disk_and_a_silent_recorder_are_told(tmp_path: Path, where: str) -> None:
    """100 calls of 80 kB onto 4 MB, the home elsewhere or there too; then a recorder that stops."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "scene").mkdir()
    words = [str(tmp_path / "scene"), str(disk), *(["home"] if where == "there" else [])]
    done = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.e2e.troubled", *words],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "DISK": str(disk)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)

    waiting = 100 - said["later"]["health"]["calls"]
    place = "memory" if where == "there" else "the spool"
    reason = f"the disk is full: {waiting} calls wait in {place}"
    assert waiting > 50
    _is_told(said["later"], reason, waiting)
    assert said["later"]["health"]["lag_seconds"] > 5
    _is_told(said["silent"], said["silent"]["health"]["reasons"][0], 3)
    assert "the recorder has not been heard for 1" in said["silent"]["health"]["reasons"][0]
    assert said["silent"]["health"]["recorder"] is False
    assert said["silent"]["health"]["lag_seconds"] > 5
    for moment in ("before", "after", "again"):
        assert said[moment]["health"]["reasons"] == said[moment]["fares"]["troubles"] == []
        assert said[moment]["metrics"]["agenttrace_recording_troubles"] == 0
    assert said["rows"] == 100
    assert said["again"]["health"]["calls"] == 103


def _is_told(said: dict, reason: str, waiting: int) -> None:
    assert said["health"]["status"] == "degraded"
    assert said["health"]["reasons"] == said["fares"]["troubles"] == [reason]
    assert said["health"]["waiting_calls"] == said["fares"]["waiting_calls"] == waiting
    assert said["metrics"]["agenttrace_recording_troubles"] == 1
    assert said["status"][0] == reason
    assert any(line.startswith(f"Waiting   {waiting} calls") for line in said["status"])
