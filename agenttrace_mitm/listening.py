"""Listening sockets, and who has the port when we cannot."""

import contextlib
import socket

from .errors import AgentTraceError

BACKLOG = 1024


def listener(
    host: str, port: int, what: str, setting: str, *, shared: bool = False
) -> socket.socket:
    """A listening TCP socket.  Raises `AgentTraceError` that says by whom the port is taken.

    *what* and *setting* name it for people: "The proxy", "proxy-port".  A *shared* port may be
    opened again by others of ours, and the system spreads connections over them.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise AgentTraceError(
            f"{what} cannot listen on {host} ({error.strerror})", "Correct the address"
        ) from None
    # asyncio turns Nagle's algorithm off only where the protocol is given: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise AgentTraceError(
            f"{what} cannot listen on {host}:{port} ({error.strerror}{_holder(port)})",
            f"Stop what uses the port, or choose another one with --{setting}",
        ) from None
    listening.setblocking(False)
    return listening


def inherited(descriptor: int) -> socket.socket:
    """The listening socket behind a file descriptor that the parent left open."""
    try:
        found = socket.socket(fileno=descriptor)
        family = found.family
        listening = socket.socket(
            family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=found.detach()
        )
    except OSError as error:
        raise AgentTraceError(
            f"File descriptor {descriptor} is no socket ({error.strerror})", ""
        ) from None
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def _holder(port: int) -> str:
    """Who listens on *port*, as far as we may know."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - only when it went wrong

    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return f": process {each.pid}, {psutil.Process(each.pid).name()}"
    return ""
