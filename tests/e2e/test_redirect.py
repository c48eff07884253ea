"""`redirect`: a user's connections to port 443, by nftables, in a network of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = ("unshare", "--net", "--mount")
NEEDED = ("unshare", "nft", "ip", "setpriv", "curl")


def _missing() -> str:
    if sys.platform != "linux" or os.getuid() != 0:
        return "nftables is root's, on Linux"
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    if lacking := [name for name in NEEDED if not shutil.which(name, path=path)]:
        return f"{', '.join(lacking)}: not installed"
    tried = subprocess.run([*ALONE, "nft", "list", "ruleset"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no namespaces, or no nftables in this kernel"


@pytest.mark.skipif(bool(_missing()), reason=_missing())
def test_a_service_that_knows_nothing_of_us(tmp_path: Path) -> None:
    """Its calls are recorded, all other connections are as they were, and the undo is exact."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)  # the service's user has to reach our root
    done = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.e2e.redirected", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["own user"].startswith("1 agenttrace-mitm: AgentTrace runs as that user itself")
    assert "Will nft add rule inet agenttrace_uid_12345" in found["dry run"]
    assert found["enable"].startswith("0 ")
    assert "Nothing to do" in found["enable"]
    assert found["status"].startswith("0 On: what user 12345 sends to port 443 leads to port ")
    assert '"prompt_tokens": 3' in found["call"]
    assert found["other host"] == "0 intranet"
    assert found["other user"].startswith("7 "), "not led to us, and nobody listens there"
    assert found["disable"] == "0 Will put what user 12345 sends to port 443 back as it was"
    assert found["same"] is True
    assert found["off"] == "1 Nobody's connections are led to us."
    row = {"host": "api.openai.com", "outcome": "ok", "tokens_in": 3, "client": "curl"}
    assert found["rows"] == [row]
