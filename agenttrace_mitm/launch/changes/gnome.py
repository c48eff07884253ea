"""The proxy of a GNOME desktop (and of those that read its settings): gsettings."""

from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Facts, Values
from .machine import Machine

SCHEMA = "org.gnome.system.proxy"
LOOPBACK = "['localhost', '127.0.0.0/8', '::1']"


class GnomeProxy:
    """Six keys; `mode`, which makes the others count, is set last and put back first."""

    kind: ClassVar[str] = "gnome-proxy"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        host, port = f"'{facts['host']}'", facts["port"]
        self._wanted = {
            f"{SCHEMA}.http host": host,
            f"{SCHEMA}.http port": port,
            f"{SCHEMA}.https host": host,
            f"{SCHEMA}.https port": port,
            f"{SCHEMA} ignore-hosts": LOOPBACK,
            f"{SCHEMA} mode": "'manual'",
        }

    @property
    def name(self) -> str:
        """For people."""
        return "the desktop's proxy"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"gsettings set {name} {value}" for name, value in self._wanted.items()]

    def files(self) -> list[Path]:
        """None: dconf's database is its own."""
        return []

    def values(self) -> Values:
        """The six keys as they are; None for those that nobody set."""
        return {name: self._before(name) for name in self._wanted}

    def is_applied(self) -> bool:
        """Whether all six are ours."""
        return all(self._get(name) == value for name, value in self._wanted.items())

    def apply(self) -> None:
        """Set them."""
        for name, value in self._wanted.items():
            self._machine.run("gsettings", "set", *name.split(" "), value)

    def revert(self, before: Values) -> None:
        """Put back each that is still ours: what the user set since then stays."""
        for name in reversed(self._wanted):
            if self._get(name) != self._wanted[name]:
                continue
            value = before.get(name)
            if value is None:
                self._machine.run("gsettings", "reset", *name.split(" "))
            else:
                self._machine.run("gsettings", "set", *name.split(" "), value)

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    def _before(self, name: str) -> str | None:
        schema, key = name.split(" ")
        if self._machine.tool("dconf"):
            path = "/system/" + schema.removeprefix("org.gnome.system.").replace(".", "/")
            return self._machine.run("dconf", "read", f"{path}/{key}").strip() or None
        return self._get(name)

    def _get(self, name: str) -> str:
        try:
            return self._machine.run("gsettings", "get", *name.split(" ")).strip()
        except AgentTraceError as error:
            raise AgentTraceError(
                f"This desktop has no proxy settings that we know ({error.problem})",
                'Use `agenttrace-mitm run`, or eval "$(agenttrace-mitm env)"',
            ) from None
