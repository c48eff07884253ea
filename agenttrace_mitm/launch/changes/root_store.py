"""Windows: the user's Root store.  Written by the documentation, never run on Windows by us."""

from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Facts, Values
from .machine import Machine, fingerprint


class RootStore:
    """What this user's programs trust; Windows asks before it is added."""

    kind: ClassVar[str] = "root-store"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._certificate = facts["certificate"]

    @property
    def name(self) -> str:
        """For people."""
        return "the user's Root store"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return ["add our root to the user's Root store (certutil -user -addstore Root)"]

    def files(self) -> list[Path]:
        """None."""
        return []

    def values(self) -> Values:
        """No settings."""
        return {}

    def is_applied(self) -> bool:
        """Whether the store has it."""
        try:
            return bool(self._machine.run("certutil", "-user", "-store", "Root", self._sha1))
        except AgentTraceError:
            return False  # certutil fails when it finds none

    def apply(self) -> None:
        """Add it."""
        self._machine.run("certutil", "-user", "-addstore", "Root", self._certificate)

    def revert(self, before: Values) -> None:
        """Delete it."""
        if self.is_applied():
            self._machine.run("certutil", "-user", "-delstore", "Root", self._sha1)

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    @property
    def _sha1(self) -> str:
        return fingerprint(Path(self._certificate), "sha1")
