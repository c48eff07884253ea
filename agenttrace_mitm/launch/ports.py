"""The listening sockets of the proxy, kept by the supervisor.

Connections wait in their queues while a capture worker restarts, instead of being refused.
Several workers each have sockets of their own on the same ports, and the system spreads
connections over them.
"""

import socket

from ..listening import listener
from ..settings import Settings


class ProxyPorts:
    """The proxy's port and the SNI port, for each worker that will serve them."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.proxy_host
        self._shared = settings.workers > 1
        self._ports = [settings.proxy_port, 0]
        self._sockets: list[socket.socket] = []

    def open(self) -> dict[str, int]:
        """Sockets for one more worker: their descriptors, as capture's first line names them."""
        if not self._sockets and self._shared:
            # A shared port can be opened again by every process of this user, so by another
            # instance too: ask for it alone first, which fails when anybody has it.
            self._listen(self._ports[0], shared=False).close()
        pair = [self._listen(port, shared=self._shared) for port in self._ports]
        self._sockets += pair
        self._ports = [each.getsockname()[1] for each in pair]
        return {"proxy_fd": pair[0].fileno(), "sni_fd": pair[1].fileno()}

    def close(self) -> None:
        """Take no more connections."""
        for each in self._sockets:
            each.close()

    def _listen(self, port: int, *, shared: bool) -> socket.socket:
        return listener(self._host, port, "The proxy", "proxy-port", shared=shared)
