"""The system's trust store on Linux: a certificate in a folder, and a tool that gathers them."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from . import java_store
from .change import Facts, Values
from .machine import Machine, as_root, fingerprint

_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.+?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of distributions does it."""

    anchors: str
    """The folder for certificates that were added."""
    suffix: str
    tool: str
    gathered: tuple[str, ...]
    """Files that the tool writes; the first has all certificates as PEM."""
    afresh: tuple[str, ...] = ()
    """Options that make the tool forget what is there no more."""


FAMILIES = (
    Family(  # Debian, Ubuntu, Alpine
        "/usr/local/share/ca-certificates",
        ".crt",
        "update-ca-certificates",
        ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/java/cacerts"),
        ("--fresh",),
    ),
    Family(  # Fedora, RHEL, Amazon Linux
        "/etc/pki/ca-trust/source/anchors",
        ".pem",
        "update-ca-trust",
        tuple(
            f"/etc/pki/ca-trust/extracted/{name}"
            for name in (
                "pem/tls-ca-bundle.pem",
                "pem/email-ca-bundle.pem",
                "pem/objsign-ca-bundle.pem",
                "openssl/ca-bundle.trust.crt",
                "java/cacerts",
                "edk2/cacerts.bin",
            )
        ),
    ),
    Family(  # openSUSE
        "/etc/pki/trust/anchors",
        ".pem",
        "update-ca-certificates",
        ("/var/lib/ca-certificates/ca-bundle.pem", "/var/lib/ca-certificates/java-cacerts"),
    ),
    Family(  # Arch
        "/etc/ca-certificates/trust-source/anchors",
        ".crt",
        "update-ca-trust",
        ("/etc/ca-certificates/extracted/tls-ca-bundle.pem",),
    ),
)


class SystemStore:
    """What programs trust that ask the system, for all users."""

    kind: ClassVar[str] = "system-store"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._family = _family(machine)
        self._certificate = Path(facts["certificate"])
        name = f"agenttrace-{fingerprint(self._certificate)[:8]}{self._family.suffix}"
        self._anchor = machine.at(self._family.anchors) / name

    @property
    def name(self) -> str:
        """For people."""
        return "the system's trust store"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        return [f"copy our root to {self._anchor}", f"run {' '.join(self._command)}"]

    def files(self) -> list[Path]:
        """The anchor, and what the tool writes."""
        gathered = [Path(os.path.realpath(self._machine.at(f))) for f in self._family.gathered]
        return [self._anchor, *(path for path in gathered if path.exists())]

    def values(self) -> Values:
        """No settings."""
        return {}

    def is_applied(self) -> bool:
        """Whether the anchor is ours."""
        try:
            return self._anchor.read_bytes() == self._certificate.read_bytes()
        except OSError:
            return False

    def apply(self) -> None:
        """Copy, gather."""
        if not os.access(self._anchor.parent, os.W_OK):
            raise AgentTraceError(
                f"{self._anchor.parent} is root's",
                as_root("ca install --system"),
            )
        shutil.copyfile(self._certificate, self._anchor)
        self._anchor.chmod(0o644)
        self._machine.run(*self._command)

    def revert(self, before: Values) -> None:
        """Delete, gather."""
        if not os.access(self._anchor.parent, os.W_OK):
            raise AgentTraceError(
                f"{self._anchor.parent} is root's",
                as_root("ca uninstall --system"),
            )
        self._anchor.unlink(missing_ok=True)
        self._machine.run(*self._command, *self._family.afresh)

    def is_same(self, now: Path, before: Path) -> bool:
        """The same certificates, in whatever order; a format that we cannot read never is."""
        if now.name in ("cacerts", "java-cacerts"):
            return java_store.is_same(self._machine, now, before)
        return bool(_blocks(before)) and _blocks(now) == _blocks(before)

    @property
    def _command(self) -> list[str]:
        tool, at = self._family.tool, self._machine.at
        if not self._machine.is_elsewhere or self._family is not FAMILIES[0]:
            return [tool]
        return [
            tool,
            *("--localcertsdir", str(at(self._family.anchors))),
            *("--etccertsdir", str(at("/etc/ssl/certs"))),
            *("--certsconf", str(at("/etc/ca-certificates.conf"))),
            *("--certsdir", str(at("/usr/share/ca-certificates"))),
            *("--hooksdir", str(at("/etc/ca-certificates/update.d"))),
        ]


def _family(machine: Machine) -> Family:
    for family in FAMILIES:
        if machine.at(family.anchors).is_dir() and machine.tool(family.tool):
            return family
    raise AgentTraceError(
        "This system has none of the trust stores that we know",
        "Add ~/.agenttrace/ca/root.pem to it the way its documentation says",
    )


def _blocks(path: Path) -> set[bytes]:
    return {b"".join(block.split()) for block in _CERTIFICATE.findall(path.read_bytes())}
