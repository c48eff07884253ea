"""The sockets that outlive the workers."""

import os
import socket

import pytest
from msgspec.structs import replace

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.launch.ports import ProxyPorts


def port_of(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def ports(settings):
    kept = []

    def opened(**changes):
        kept.append(ProxyPorts(replace(settings, **changes)))
        return kept[-1]

    yield opened
    for each in kept:
        each.close()


def test_connections_wait_while_nobody_serves_them(ports):
    """Proxy and SNI port are open from the start, whether a worker is up or not."""
    for descriptor in ports().open().values():
        socket.create_connection(("127.0.0.1", port_of(descriptor)), timeout=5).close()


def test_workers_have_sockets_of_their_own_on_the_same_ports(ports):
    shared = ports(workers=2)
    first, second = shared.open(), shared.open()
    assert set(first.values()).isdisjoint(second.values())
    for name in ("proxy_fd", "sni_fd"):
        assert port_of(first[name]) == port_of(second[name])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_of_another_instance_is_taken(ports, workers):
    """Sharing is for workers of one instance: two instances would get half the calls each."""
    taken = port_of(ports(workers=2).open()["proxy_fd"])
    with pytest.raises(AgentTraceError, match=str(taken)):
        ports(workers=workers, proxy_port=taken).open()
