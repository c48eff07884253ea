"""macOS: the user's login keychain.  Written by the documentation, never run on a Mac by us."""

from pathlib import Path
from typing import ClassVar

from .change import Facts, Values
from .machine import Machine, fingerprint


class Keychain:
    """What this user's programs trust; macOS asks for the password when it changes."""

    kind: ClassVar[str] = "keychain"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._certificate = facts["certificate"]
        self._keychain = str(machine.user_home / "Library/Keychains/login.keychain-db")

    @property
    def name(self) -> str:
        """For people."""
        return "the login keychain"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"trust our root for TLS in {self._keychain} (security add-trusted-cert)"]

    def files(self) -> list[Path]:
        """None that we may put back: the keychain is encrypted and in use."""
        return []

    def values(self) -> Values:
        """No settings."""
        return {}

    def is_applied(self) -> bool:
        """Whether the keychain has it."""
        found = self._machine.run("security", "find-certificate", "-a", "-Z", self._keychain)
        return self._sha1 in found.upper()

    def apply(self) -> None:
        """Add and trust it."""
        what = ("-r", "trustRoot", "-p", "ssl", "-k", self._keychain, self._certificate)
        self._machine.run("security", "add-trusted-cert", *what)

    def revert(self, before: Values) -> None:
        """Neither trust nor keep it."""
        if self.is_applied():
            self._machine.run("security", "remove-trusted-cert", self._certificate)
            self._machine.run("security", "delete-certificate", "-Z", self._sha1, self._keychain)

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    @property
    def _sha1(self) -> str:
        return fingerprint(Path(self._certificate), "sha1").upper()
