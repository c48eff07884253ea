# mypy: allow-untyped-calls
# mitmproxy annotates only some of its functions.
"""The explicit proxy as modes of mitmproxy, serving on sockets that are open already.

Listening sockets are opened before mitmproxy sees them: a port that is taken is known at once,
ports may be ephemeral, and several workers can share one.
"""

import asyncio
import socket
from abc import ABCMeta
from typing import Any, ClassVar, TypeVar

from mitmproxy.proxy import context, layer, mode_servers, mode_specs
from mitmproxy.proxy.layers import modes

from ..listening import BACKLOG

sockets: dict[str, socket.socket] = {}
"""Open listening sockets by the mode that will use them."""

M = TypeVar("M", bound=mode_specs.ProxyMode)


class CaptureMode(mode_specs.ProxyMode):
    """The explicit proxy."""

    description: ClassVar[str] = "AgentTrace proxy"
    transport_protocol: ClassVar[Any] = "tcp"

    def __post_init__(self) -> None:
        pass


class ChainedMode(mode_specs.UpstreamMode):
    """The explicit proxy, with another proxy behind it."""


class Opened(mode_servers.AsyncioServerInstance[M], metaclass=ABCMeta):
    """A server on a socket that is open already."""

    async def listen(self, host: str, port: int) -> list[asyncio.Server]:  # type: ignore[override]
        """Serve on the socket that was opened for this mode."""
        listening = sockets.pop(self.mode.full_spec)
        return [await asyncio.start_server(self.handle_stream, sock=listening, backlog=BACKLOG)]


class CaptureInstance(Opened[CaptureMode]):
    """Serves `CaptureMode`."""

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        return modes.HttpProxy(context)


class ChainedInstance(Opened[ChainedMode]):
    """Serves `ChainedMode`."""

    def make_top_layer(self, context: context.Context) -> layer.Layer:
        """What speaks with a new client first."""
        return modes.HttpUpstreamProxy(context)
