"""Who is on this machine, and so needs no token."""

import pytest
from mitmproxy import connection

from agenttrace_mitm.capture import peers

STRANGER = "203.0.113.9"


@pytest.mark.parametrize(
    ("theirs", "ours", "local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("192.0.2.4", "192.0.2.4", True),
        ("127.0.0.7", "127.0.0.1", True),
        (STRANGER, "192.0.2.4", False),
        # Led to our loopback by somebody's address translation: still a stranger.
        (STRANGER, "127.0.0.1", False),
        ("not an address", "127.0.0.1", False),
    ],
)
def test_by_address(theirs, ours, local):
    """Loopback, or the address that it came in on."""
    client = connection.Client(peername=(theirs, 50_000), sockname=(ours, 4000))
    assert peers.is_local(client) is local


def test_by_an_address_of_this_machine(monkeypatch):
    """A connection that was led to us keeps the address that it began with."""
    monkeypatch.setattr(peers, "_is_ours", lambda host: host == "192.0.2.4")
    client = connection.Client(peername=("192.0.2.4", 50_000), sockname=("127.0.0.1", 4000))
    assert peers.is_local(client)


def test_the_system_says_which_are_ours():
    """Where nobody else can be."""
    assert peers._is_ours("127.0.0.1")
    assert not peers._is_ours(STRANGER)
