"""The listeners, and who came in through which."""

import socket

from mitmproxy import connection

from . import namespaced
from .modes import CaptureMode, ChainedMode, sockets
from .peers import NO_RUN, Run
from .sni import SniMode
from .upstream import behind


class Doors:
    """The listeners, and the runs that came in through them.

    *upstream_proxy* is `http://[user:password@]host:port`, or None.
    """

    def __init__(self, upstream_proxy: str | None) -> None:
        self._behind, self.login = behind(upstream_proxy) if upstream_proxy else ("", None)
        self._runs: dict[str, Run] = {}
        self._specs: dict[str, list[str]] = {}

    @property
    def specs(self) -> list[str]:
        """The modes of all doors."""
        return [spec for specs in self._specs.values() for spec in specs]

    def open(self, run: Run, proxy: socket.socket, sni: socket.socket) -> tuple[int, int]:
        """Let *run* in through two listening sockets; their ports."""
        further = f":{self._behind}" if self._behind else ""
        kind = ChainedMode if further else CaptureMode
        specs = [
            f"{mode.type_name}{further}@{_joined(listening)}"
            for mode, listening in ((kind, proxy), (SniMode, sni))
        ]
        for spec, listening in zip(specs, (proxy, sni), strict=True):
            sockets[spec] = listening
            self._runs[spec] = run
        self._specs[run.id] = specs
        return proxy.getsockname()[1], sni.getsockname()[1]

    def open_namespace(self, run: Run, handed: namespaced.Handed) -> None:
        """Let *run* in through the listeners of its own network."""
        further = f":{self._behind}" if self._behind else ""
        # mitmproxy wants every mode at an address of its own; this one is nobody's.
        spec = f"{namespaced.NamespaceMode.type_name}{further}@{run.id}:1"
        namespaced.handed[spec] = handed
        self._runs[spec] = run
        self._specs[run.id] = [*self._specs.get(run.id, []), spec]

    def close(self, run_id: str) -> None:
        """No new connections for the run; those that exist keep its label."""
        self._specs.pop(run_id, None)

    def run_of(self, client: connection.Client) -> Run:
        """The run that a client connection belongs to."""
        return self._runs.get(client.proxy_mode.full_spec, NO_RUN)

    def statistics_of(self, client: connection.Client) -> socket.socket | None:
        """A netlink socket of the network that *client* is in, None when that is ours."""
        handed = namespaced.handed.get(client.proxy_mode.full_spec)
        return handed.statistics if handed else None


def _joined(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{host}:{port}"
