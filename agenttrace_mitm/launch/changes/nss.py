"""NSS databases: what Firefox trusts, and Chromium on Linux."""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Change, Facts, Values
from .machine import Machine, fingerprint

FILES = ("cert9.db", "key4.db", "pkcs11.txt")
FOLDERS = (
    ".pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    "Library/Application Support/Firefox/Profiles/*",
)


class NssDatabase:
    """One database: the folder `database` with cert9.db."""

    kind: ClassVar[str] = "nss"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._folder = Path(facts["database"])
        self._certificate = Path(facts["certificate"])
        self._nickname = f"AgentTrace root {fingerprint(self._certificate)[:8]}"

    @property
    def name(self) -> str:
        """For people."""
        return f"the NSS database {self._folder}"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"add our root to {self._folder} (certutil, as {self._nickname!r})"]

    def files(self) -> list[Path]:
        """Those of a database."""
        return [self._folder / name for name in FILES]

    def values(self) -> Values:
        """No settings."""
        return {}

    def is_applied(self) -> bool:
        """Whether it is in there."""
        return self._nickname in self._certutil(self._folder, "-L")

    def apply(self) -> None:
        """Add it as an authority for servers."""
        self._certutil(
            self._folder, "-A", "-t", "C,,", "-n", self._nickname, "-i", str(self._certificate)
        )

    def revert(self, before: Values) -> None:
        """Delete it."""
        if (self._folder / FILES[0]).exists() and self.is_applied():
            self._certutil(self._folder, "-D", "-n", self._nickname)

    def is_same(self, now: Path, before: Path) -> bool:
        """Whether the databases around the two files list the same."""
        with tempfile.TemporaryDirectory() as name:
            # The copies lie in a folder each, and a database is all of them together.
            for file in before.parent.parent.glob("*/*"):
                if file.name in FILES:
                    shutil.copyfile(file, Path(name) / file.name)
            return self._listing(now.parent) == self._listing(Path(name))

    def _listing(self, folder: Path) -> tuple[list[str], str]:
        try:
            keys = self._certutil(folder, "-K")
        except AgentTraceError as error:
            keys = error.problem.rpartition(":")[2]  # "no keys found" is an error to certutil
        return sorted(self._certutil(folder, "-L").splitlines()), keys

    def _certutil(self, folder: Path, *arguments: str) -> str:
        return self._machine.run("certutil", "-d", f"sql:{folder}", *arguments)


def databases(machine: Machine, facts: Facts) -> list[Change]:
    """Every database of this user.  Raises `AgentTraceError` without one, or without certutil."""
    found = [
        folder
        for pattern in FOLDERS
        for folder in sorted(machine.user_home.glob(pattern))
        if (folder / FILES[0]).is_file()
    ]
    if not found:
        raise AgentTraceError(
            "There is no NSS database here", "Start Firefox or Chromium once: it makes one"
        )
    if machine.tool("certutil") is None:
        raise AgentTraceError(
            "certutil is not installed",
            "Install libnss3-tools (Debian), nss-tools (Fedora) or nss (Arch, Homebrew)",
        )
    return [NssDatabase(machine, {**facts, "database": str(folder)}) for folder in found]
