"""What is decrypted, and where provider traffic goes: decisions without I/O.

Only provider hosts on port 443 are decrypted.  A client that does not take our certificate gets
the host's own for a while: it works unrecorded rather than not at all.
"""

import time
from collections.abc import Callable, Mapping

from ..detours import Target, target_of
from ..errors import CaptureError

TUNNEL_FOR_S = 600.0


def normal(host: str | None) -> str:
    """A host name as names are compared."""
    return (host or "").lower().rstrip(".")


def targets(upstream_map: Mapping[str, str]) -> dict[str, Target]:
    """The setting `upstream_map`, read.  Raises `CaptureError` naming the entry that is wrong."""
    try:
        return {normal(host): target_of(given) for host, given in upstream_map.items()}
    except ValueError as error:
        raise CaptureError(
            f"upstream_map is wrong: {error}",
            "Use for example 127.0.0.1:8443, https://127.0.0.1:8443 or http://127.0.0.1:8080",
        ) from None


class Gate:
    """Knows the provider hosts, and which clients do not want us on which of them.

    *hosts* maps host names to providers; `*.domain` stands for one label before the domain.
    *speaks* names whose dialect a host speaks, where its provider's name does not say so.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        targets: Mapping[str, Target] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        speaks: Mapping[str, str] | None = None,
    ) -> None:
        self._speaks = {normal(host): whose for host, whose in (speaks or {}).items()}
        self._hosts = {normal(host): provider for host, provider in hosts.items()}
        self.targets = dict(targets or {})
        self._clock = clock
        self._tunnels: dict[tuple[str, str, str], float] = {}

    def provider(self, host: str | None) -> str | None:
        """The provider behind *host*, None when it is nobody's."""
        return _among(self._hosts, normal(host))

    def speaks(self, host: str, port: int = 0) -> str:
        """Whose dialect *host* speaks; empty where the name of its provider says so."""
        name = normal(host)
        return _among(self._speaks, name) or self._speaks.get(f"{name}:{port}") or ""

    def plain_provider(self, host: str, port: int) -> str | None:
        """The provider behind a server on this machine that speaks plain HTTP."""
        return self._hosts.get(f"{normal(host)}:{port}")

    def host_of(self, provider: str) -> str | None:
        """The first host of *provider*, None when it has none."""
        exact = (host for host, owner in self._hosts.items() if owner == provider)
        return next((host for host in exact if "*" not in host and ":" not in host), None)

    def target(self, address: tuple[str, int] | None) -> Target | None:
        """Where a connection to *address* goes instead, if it does."""
        if not self.targets or address is None or address[1] != 443:
            return None
        return self.targets.get(normal(address[0]))

    def refuse(self, host: str, client: str, process: str) -> None:
        """Leave *host* alone for this client for a while: it did not take our certificate."""
        key = (normal(host), client, process)
        self._tunnels[key] = self._clock() + TUNNEL_FOR_S

    def is_tunnelled(self, host: str, client: str, process: str) -> bool:
        """Whether *host* is left alone for this client.

        A process that is not known, then or now, is taken for the one that failed: better a call
        that is not recorded than one that does not work.
        """
        if not self._tunnels:
            return False
        now = self._clock()
        self._tunnels = {key: until for key, until in self._tunnels.items() if until > now}
        return any(
            key[:2] == (normal(host), client) and (key[2] == process or not key[2] or not process)
            for key in self._tunnels
        )


def _among(hosts: Mapping[str, str], name: str) -> str | None:
    return hosts.get(name) or hosts.get(f"*.{name.partition('.')[2]}")
