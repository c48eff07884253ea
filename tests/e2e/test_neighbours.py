"""What another machine sees of the pages: nothing by default, and nothing without the token."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = ("unshare", "--net")
NEEDED = ("unshare", "nsenter", "ip")


def _missing() -> str:
    if sys.platform != "linux" or os.getuid() != 0:
        return "namespaces with a network are root's, on Linux"
    if lacking := [name for name in NEEDED if not shutil.which(name)]:
        return f"{', '.join(lacking)}: not installed"
    cable = (*ALONE, "ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
    tried = subprocess.run(cable, capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no namespaces, or no veth in this kernel"


@pytest.mark.skipif(bool(_missing()), reason=_missing())
def test_another_machine_sees_nothing_without_being_let_in(tmp_path: Path) -> None:
    """Asked with no token, the token, a wrong one, and the token by a foreign name and page."""
    done = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.e2e.neighbours", str(tmp_path)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "default": ["ConnectionRefusedError"] * 5,
        "opened": [401, 200, 401, 421, 403],
        "by name": [401, 200, 401, 421, 403],
    }
