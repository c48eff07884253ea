"""The machine that is changed: its root folder, its user, the tools on its PATH.

`AGENTTRACE_MACHINE_ROOT` names a folder that is taken for `/`: that is how an image that is being
built, or a test, is changed instead of the machine itself.
"""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import AgentTraceError

ROOT_VARIABLE = "AGENTTRACE_MACHINE_ROOT"
ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # missing in many a user's PATH
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Machine:
    """A machine, and the user whose settings are meant."""

    environ: Mapping[str, str]
    system: str
    """`linux`, `darwin` or `win32`, as `sys.platform` has it."""
    user_home: Path
    root: Path = Path("/")

    @classmethod
    def here(cls) -> "Machine":
        """The one we run on, and the user we run as."""
        root = Path(os.environ.get(ROOT_VARIABLE) or "/")
        return cls(os.environ, sys.platform, Path.home(), root)

    @property
    def is_elsewhere(self) -> bool:
        """Whether a folder stands for the root."""
        return self.root != Path("/")

    def at(self, path: str) -> Path:
        """Where the file that the system calls *path* is."""
        return self.root / path.lstrip("/")

    def tool(self, name: str) -> str | None:
        """The program *name*, None where it is not installed."""
        path = os.pathsep.join([self.environ.get("PATH", os.defpath), *ADMINISTRATORS])
        return shutil.which(name, path=path)

    def run(self, name: str, *arguments: str) -> str:
        """What the program *name* prints.  Raises `AgentTraceError` with its own words."""
        program = self.tool(name)
        if program is None:
            raise AgentTraceError(f"{name} is not installed", "Install it, and try again")
        try:
            done = subprocess.run(
                [program, *arguments],
                env={**self.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AgentTraceError(f"{name} did not work ({error})") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace")
            reason = said.splitlines()[-1] if said else f"exit code {done.returncode}"
            raise AgentTraceError(f"`{name} {' '.join(arguments)}` failed: {reason}")
        return done.stdout.decode("utf-8", "replace")


def as_root(command: str) -> str:
    """What to type so that root runs *command* of ours for this user's home."""
    return f'Run: sudo -E env "HOME=$HOME" "PATH=$PATH" agenttrace-mitm {command}'


def fingerprint(certificate: Path, algorithm: str = "sha256") -> str:
    """The hex digest of the first certificate in a PEM file, as trust stores show it."""
    text = certificate.read_text("ascii")
    end = "-----END CERTIFICATE-----"
    der = ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)].strip() + "\n")
    return hashlib.new(algorithm, der).hexdigest()
