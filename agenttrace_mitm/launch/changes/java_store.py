"""Java's trust store, `cacerts`: one for each Java on this machine."""

import os
from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Change, Facts, Values
from .machine import Machine, as_root, fingerprint

PASSWORD = "changeit"  # noqa: S105 - Java's own default; the store holds public certificates
INSIDE = ("lib/security/cacerts", "jre/lib/security/cacerts")
SYSTEM = ("/etc/ssl/certs/java/cacerts", "/etc/pki/java/cacerts")


class JavaStore:
    """One store: the file `keystore`."""

    kind: ClassVar[str] = "java-store"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._store = Path(facts["keystore"])
        self._certificate = Path(facts["certificate"])
        self._alias = f"agenttrace-{fingerprint(self._certificate)[:8]}"

    @property
    def name(self) -> str:
        """For people."""
        return f"Java's trust store {self._store}"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"add our root to {self._store} (keytool, as {self._alias})"]

    def files(self) -> list[Path]:
        """The store."""
        return [self._store]

    def values(self) -> Values:
        """No settings."""
        return {}

    def is_applied(self) -> bool:
        """Whether it is in there."""
        return f"\n{self._alias}," in _listing(self._machine, self._store)

    def apply(self) -> None:
        """Add it."""
        if not os.access(self._store, os.W_OK):
            raise AgentTraceError(
                f"{self._store} is not yours to change",
                as_root("ca install --java"),
            )
        file = ("-file", str(self._certificate))
        self._keytool("-importcert", "-noprompt", "-trustcacerts", "-alias", self._alias, *file)

    def revert(self, before: Values) -> None:
        """Delete it."""
        if self._store.exists() and self.is_applied():
            self._keytool("-delete", "-alias", self._alias)

    def is_same(self, now: Path, before: Path) -> bool:
        """Whether both list the same certificates."""
        return is_same(self._machine, now, before)

    def _keytool(self, *arguments: str) -> str:
        store = ("-keystore", str(self._store), "-storepass", PASSWORD)
        return self._machine.run("keytool", *arguments, *store)


def keystores(machine: Machine, facts: Facts) -> list[Change]:
    """Those of JAVA_HOME, of the `java` on PATH, and the system's.

    Raises `AgentTraceError` when there is none, or no keytool.
    """
    places = [Path(machine.environ["JAVA_HOME"])] if machine.environ.get("JAVA_HOME") else []
    if not machine.is_elsewhere and (java := machine.tool("java")):
        places.append(Path(os.path.realpath(java)).parent.parent)
    files = [*(place / inside for place in places for inside in INSIDE), *map(machine.at, SYSTEM)]
    found = dict.fromkeys(os.path.realpath(file) for file in files if file.is_file())
    if not found:
        raise AgentTraceError("There is no Java here", "Set JAVA_HOME to the one that is meant")
    if machine.tool("keytool") is None:
        raise AgentTraceError("keytool is not installed", "It comes with Java: add it to PATH")
    return [JavaStore(machine, {**facts, "keystore": store}) for store in found]


def is_same(machine: Machine, now: Path, before: Path) -> bool:
    """Whether two stores list the same certificates."""
    try:
        return _listing(machine, now) == _listing(machine, before)
    except AgentTraceError:
        return False


def _listing(machine: Machine, store: Path) -> str:
    said = machine.run("keytool", "-list", "-keystore", str(store), "-storepass", PASSWORD)
    _, _, entries = said.partition("\n\n")
    return "\n" + "\n".join(sorted(entries.splitlines()))
