"""How many clients may be connected."""

import resource

import pytest
from mitmproxy import connection

from agenttrace_mitm.capture import crowd
from agenttrace_mitm.capture.addon import AgentTrace
from agenttrace_mitm.capture.gate import Gate
from agenttrace_mitm.capture.handover import Handover
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post


async def test_beyond_the_bound_new_ones_are_closed(tmp_path):
    """Those that are connected stay; when one has gone there is room for another."""
    addon = AgentTrace(Gate({}), Handover(tmp_path / "nobody.sock"), most_clients=2)
    clients = [
        connection.Client(peername=("127.0.0.1", 50_000 + n), sockname=("127.0.0.1", 4000))
        for n in range(4)
    ]
    for client in clients[:3]:
        addon.client_connected(client)
    assert [bool(client.error) for client in clients[:3]] == [False, False, True]
    addon.client_disconnected(clients[2])
    addon.client_disconnected(clients[0])
    addon.client_connected(clients[3])
    assert not clients[3].error
    figures = addon.figures()
    assert (figures["connections"], figures["refused_connections"]) == (2, 1)


@pytest.mark.parametrize(
    ("soft", "hard", "clients", "raised"),
    [
        (1024, 4096, (4096 - 128) // 2, 4096),
        (1024, resource.RLIM_INFINITY, (65_536 - 128) // 2, 65_536),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, (65_536 - 128) // 2, None),
        (200, 200, 36, None),
        (64, 64, 1, None),
    ],
)
def test_the_bound_follows_the_system(monkeypatch, soft, hard, clients, raised):
    """The limit of open files is raised as far as it goes."""
    seen = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: seen.append(limits))
    assert crowd.most_clients() == clients
    assert seen == ([(raised, hard)] if raised else [])


async def test_a_crowd_leaves_others_in_peace(tmp_path):
    """With room for 36 clients: forty come, four are closed, and who is connected can call."""
    async with Upstream(tmp_path) as upstream, Capture(upstream, files=200) as capture:
        reader, writer = await capture.connect()
        tunnels = []
        refused = 0
        for _ in range(39):
            try:
                tunnels.append(await capture.tunnel("api.openai.com"))
            except (OSError, EOFError):
                refused += 1
        assert refused == 4
        writer.write(post())
        assert (await answer(reader))[1] == b"ok"
        await capture.recorder.until(
            lambda r: any(n.kind == "connections_refused" for n in r.notes)
        )
        for _, other in tunnels:
            await closed(other)
        await closed(writer)
