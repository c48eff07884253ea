"""What the runtimes are told about the proxy."""

from dataclasses import dataclass
from pathlib import Path

from .. import trust


@dataclass(frozen=True)
class Context:
    """One listener pair and what to trust.  `sni_port` takes TLS and reads the host from it."""

    proxy_host: str
    proxy_port: int
    sni_port: int | None
    hosts: tuple[str, ...]
    """The hosts that are recorded; only these are ever dialled elsewhere by a hook."""
    root: Path
    """PEM file with our root certificates."""
    folder: Path
    """Where merged bundles and small configuration files go."""

    proxied: bool = True
    """False when connections reach us whatever the program thinks of proxies."""

    @property
    def proxy_url(self) -> str:
        """The proxy as the usual variables want it."""
        return f"http://{self.proxy_host}:{self.proxy_port}"

    def replacing(self, *users: str | None) -> str:
        """A bundle for a variable that replaces the roots: all of the user's, and ours.

        *users* are files the user's own variables name; without any, the default roots.
        """
        files = [Path(name) for name in users if name]
        return str(trust.merged(self.folder, self.root, files or trust.default_roots()))

    def adding(self, user: str | None) -> str:
        """A file for a variable that adds to the roots: the user's, if any, and ours."""
        return str(trust.merged(self.folder, self.root, [Path(user)] if user else []))

    def kept(self, text: str, suffix: str) -> Path:
        """A small file that holds *text*."""
        return trust.kept(self.folder, text.encode(), suffix)
