# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""The proxy itself: a small mitmproxy master with our gate, our certificates and our listeners.

Only what a proxy needs is loaded, which makes a request cost half of what mitmdump takes.
"""

import asyncio
import contextlib
from pathlib import Path

from mitmproxy import master, options
from mitmproxy.addons import core, disable_h2c, proxyserver, upstream_auth

from .addon import AgentTrace
from .decryption import GatedNextLayer, ProviderTls
from .dispatch import DirectAddons
from .gate import Gate

SILENCE_S = 86400  # long reasoning is silent for minutes; mitmproxy would hang up after ten


class CaptureMaster(master.Master):
    """mitmproxy, as small as a proxy can be."""

    def __init__(
        self,
        gate: Gate,
        agenttrace: AgentTrace,
        *,
        ca_folder: Path,
        upstream_roots: Path,
        upstream_login: str | None = None,
    ) -> None:
        # The folder has to be known before addons load: TlsConfig makes its own authority
        # wherever it finds none.
        given = options.Options(
            confdir=str(ca_folder),
            mode=[],
            upstream_cert=False,
            ssl_verify_upstream_trusted_ca=str(upstream_roots),
            tcp_timeout=SILENCE_S,
        )
        super().__init__(given, event_loop=asyncio.get_running_loop(), with_termlog=False)
        self.addons = DirectAddons(self)
        self.started = asyncio.Event()
        self.proxyserver = proxyserver.Proxyserver()
        self.addons.add(
            core.Core(),
            disable_h2c.DisableH2C(),
            self.proxyserver,
            GatedNextLayer(gate, agenttrace.unread),
            ProviderTls(),
            agenttrace,
            upstream_auth.UpstreamAuth(),  # after ours, which takes the client's own login away
        )
        given.update(
            stream_large_bodies="1", connection_strategy="eager", upstream_auth=upstream_login
        )

    async def running(self) -> None:
        """Say that everything is up."""
        await super().running()
        self.started.set()

    def serve(self, specs: list[str]) -> None:
        """Listen for exactly these modes."""
        self.options.update(mode=specs)

    def stop_listening(self) -> None:
        """Take no new connections; those that exist go on."""
        self.options.update(server=False)

    async def hang_up(self, timeout_s: float) -> None:
        """Close every connection, and wait until they are."""
        connections = self.proxyserver.connections
        for handler in list(connections.values()):
            io = handler.transports.get(handler.client)
            if io and io.handler:
                io.handler.cancel("the proxy stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while connections:
                    await asyncio.sleep(0.01)

    @property
    def is_written(self) -> bool:
        """Whether everything meant for clients and servers has left for them."""
        return not any(
            io.writer.transport.get_write_buffer_size()
            for handler in self.proxyserver.connections.values()
            for io in handler.transports.values()
            if isinstance(io.writer, asyncio.StreamWriter)
        )
