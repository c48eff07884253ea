"""Windows: the Internet Settings of the user.  Written by the documentation, never run by us."""

import re
from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Facts, Values
from .machine import Machine

KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings"
TYPES = {"ProxyServer": "REG_SZ", "ProxyOverride": "REG_SZ", "ProxyEnable": "REG_DWORD"}
_VALUE = re.compile(r"^\s+\S+\s+REG_\w+\s+(.*)$", re.MULTILINE)


class InternetSettings:
    """Three values; `ProxyEnable` is set last and put back first."""

    kind: ClassVar[str] = "internet-settings"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._wanted = {
            "ProxyServer": f"{facts['host']}:{facts['port']}",
            "ProxyOverride": "localhost;127.*;<local>",
            "ProxyEnable": "0x1",
        }

    @property
    def name(self) -> str:
        """For people."""
        return "the user's Internet Settings"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"set {name} to {value} in {KEY}" for name, value in self._wanted.items()]

    def files(self) -> list[Path]:
        """None."""
        return []

    def values(self) -> Values:
        """The three as they are; None for those that are not there."""
        return {name: self._get(name) for name in self._wanted}

    def is_applied(self) -> bool:
        """Whether all three are ours."""
        return self.values() == self._wanted

    def apply(self) -> None:
        """Set them."""
        for name, value in self._wanted.items():
            self._set(name, value)

    def revert(self, before: Values) -> None:
        """Put back each that is still ours."""
        for name in reversed(self._wanted):
            if self._get(name) != self._wanted[name]:
                continue
            value = before.get(name)
            if value is None:
                self._machine.run("reg", "delete", KEY, "/v", name, "/f")
            else:
                self._set(name, value)

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    def _get(self, name: str) -> str | None:
        try:
            said = self._machine.run("reg", "query", KEY, "/v", name)
        except AgentTraceError:
            return None  # reg fails when there is no such value
        found = _VALUE.search(said)
        return found[1].strip() if found else None

    def _set(self, name: str, value: str) -> None:
        what = ("/v", name, "/t", TYPES[name], "/d", value, "/f")
        self._machine.run("reg", "add", KEY, *what)
