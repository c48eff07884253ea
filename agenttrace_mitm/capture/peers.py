"""Who is on the other end of a client connection: the process, the run, what it says of itself."""

import contextlib
import functools
import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mitmproxy import connection

from .. import access
from ..errors import SettingsError
from . import policy
from .process import Lookup
from .program import Process


@dataclass(frozen=True, slots=True)
class Run:
    """What everything that comes in through one listener belongs to."""

    id: str = ""
    agent: str = ""
    session: str = ""
    tags: dict[str, str] = field(default_factory=dict)


NO_RUN = Run()


class Peer:
    """What is known about a client connection."""

    __slots__ = ("address", "agent", "process", "run", "session")

    def __init__(self, address: str, run: Run) -> None:
        self.address = address
        self.run = run
        self.agent = run.agent
        self.session = run.session
        self.process: Process | None = None

    @property
    def process_name(self) -> str:
        """The name of the process, empty while it is not known."""
        return self.process.name if self.process else ""

    @property
    def client(self) -> str:
        """Which client this is, as far as the connection tells."""
        return f"{self.address} {self.run.id}" if self.run.id else self.address

    def caller(self) -> dict[str, str]:
        """The caller fields of an `Opened` frame."""
        told = {
            "address": self.address,
            "agent": self.agent,
            "session": self.session,
            "run_id": self.run.id,
        }
        if self.process:
            told["pid"] = str(self.process.pid)
            told["process"] = self.process.name
            told["cwd"] = self.process.cwd
            told["started"] = self.process.started
            told["started_by"] = self.process.started_by
            told["repository"] = self.process.repository
            told["branch"] = self.process.branch
        return {key: value for key, value in told.items() if value}


class Runs(Protocol):
    """What the addon asks of those around it."""

    def run_of(self, client: connection.Client) -> Run:
        """The run that a client connection belongs to."""
        ...

    def statistics_of(self, client: connection.Client) -> socket.socket | None:
        """A netlink socket of the network that *client* is in, None when that is ours."""
        ...


class NoRuns:
    """There are no runs: everybody comes in through the same door."""

    def run_of(self, client: connection.Client) -> Run:
        """Nobody's."""
        return NO_RUN

    def statistics_of(self, client: connection.Client) -> socket.socket | None:
        """Everybody is in our network."""
        return None


class Peers:
    """The clients that are connected.  With a *token_file*, those of other machines need it."""

    def __init__(self, runs: Runs, lookup: Lookup | None, token_file: Path | None) -> None:
        self._runs = runs
        self._lookup = lookup
        self._token_file = token_file
        self._peers: dict[str, Peer] = {}

    @property
    def wants_token(self) -> bool:
        """Whether there may be clients who have to show the token."""
        return self._token_file is not None

    def of(self, client: connection.Client) -> Peer:
        """What is known about *client*; asking first starts finding out."""
        peer = self._peers.get(client.id)
        if peer is None:
            address = client.peername[0] if client.peername else ""
            peer = self._peers[client.id] = Peer(address, self._runs.run_of(client))
            if self._lookup and client.peername and client.sockname:
                found = functools.partial(setattr, peer, "process")
                statistics = self._runs.statistics_of(client)
                self._lookup.begin(client.peername[:2], client.sockname[:2], found, statistics)
        return peer

    def forget(self, client: connection.Client) -> None:
        """It is gone."""
        self._peers.pop(client.id, None)

    def introduce(self, client: connection.Client, credential: str) -> None:
        """Take agent and session from the proxy user: `agent` or `agent+session`."""
        peer = self.of(client)
        user, _ = policy.basic(credential)
        agent, _, session = user.partition("+")
        peer.agent = agent or peer.agent
        peer.session = session or peer.session

    def is_welcome(self, client: connection.Client, credential: str) -> bool:
        """Whether *client* may use the proxy with that Proxy-Authorization."""
        if self._token_file is None or is_local(client):
            return True
        _, password = policy.basic(credential)
        try:
            token = access.read_or_create_token(self._token_file)
        except SettingsError:
            return False  # mitmproxy would log it and let the stranger in
        return access.is_token(token, password)


def is_local(client: connection.Client) -> bool:
    """Whether *client* is on this machine."""
    host = client.peername[0].partition("%")[0] if client.peername else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or host == client.sockname[0] or _is_ours(host)


def _is_ours(host: str) -> bool:
    """Whether *host* is an address of this machine.

    A connection that `redirect` leads to our loopback keeps the address that it began with.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return True
    return False
