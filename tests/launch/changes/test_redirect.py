"""The rules for nftables; that they work is tests/e2e/test_redirect.py."""

from pathlib import Path
from typing import Any

import pytest

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.launch.changes import Machine, redirect


class Kernel(Machine):
    """A machine whose `nft` keeps tables by name."""

    tables: dict[str, str] = {}  # noqa: RUF012 - one machine a test
    forbidden = False

    def run(self, name: str, *arguments: str) -> str:
        assert name == "nft"
        command = " ".join(arguments)
        if command == "list tables":
            return "".join(f"table {table}\n" for table in self.tables)
        if command.startswith("list table "):
            return self.tables[command.removeprefix("list table ")]
        if self.forbidden:
            raise AgentTraceError("`nft` failed: Operation not permitted")
        first, *rest = command.split("; ")
        verb, _, table = first.partition(" table ")
        if verb == "add":
            self.tables[table] = "\n".join(rest)
        else:
            del self.tables[table]
        return ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(Kernel, "tables", {"inet firewall": "someone else's"})
    return Kernel({}, "linux", tmp_path)


@pytest.mark.parametrize(
    ("who", "match"),
    [
        ({"uid": "1001"}, "meta skuid 1001"),
        (
            {"cgroup": "/system.slice/agent.service/"},
            'socket cgroupv2 level 2 "system.slice/agent.service"',
        ),
    ],
    ids=["user", "cgroup"],
)
def test_made_and_undone(kernel: Any, who: dict[str, str], match: str) -> None:
    """A table of our own, which comes and goes with all that is in it."""
    before = dict(kernel.tables)
    change = redirect(kernel, {**who, "port": "4001"})
    assert not change.is_applied()
    change.apply()
    assert change.is_applied()
    [(_, rules)] = kernel.tables.items() - before.items()
    assert f"{match} ip daddr != 127.0.0.0/8 tcp dport 443 redirect to :4001" in rules
    assert not redirect(kernel, {**who, "port": "4002"}).is_applied(), "another port is another"
    for _ in range(2):
        change.revert({})
        assert kernel.tables == before


def test_not_root(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence and the command for root."""
    monkeypatch.setattr(Kernel, "forbidden", True)
    with pytest.raises(AgentTraceError, match="Only root") as caught:
        redirect(kernel, {"uid": "1001", "port": "4001"}).apply()
    assert "sudo" in caught.value.remedy
