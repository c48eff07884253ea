"""The supervisor with children that only speak its protocol."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.launch import control, state
from agenttrace_mitm.launch.children import Child, Program
from agenttrace_mitm.launch.supervisor import supervised


async def until(true, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)


def ask(settings, **message):
    def work():
        with control.connect(settings.run_folder) as client:
            return client.ask(**message)

    return asyncio.to_thread(work)


@contextlib.asynccontextmanager
async def running(settings, environ, programs, **given):
    async with supervised(settings, environ, programs=programs, stays=True, **given) as supervisor:
        await supervisor.ready()
        yield supervisor


async def test_all_children_come_up_and_end_in_order(settings, environ, programs, events):
    """Capture ends before the recorder, which still takes what capture held."""
    async with running(settings, environ, programs) as supervisor:
        assert supervisor.daemon.proxy_port == 4001
        assert supervisor.daemon.web_url == "http://127.0.0.1:8081/"
    ended = [name for name, what in events() if what == "end"]
    assert set(ended) == {"recorder", "capture", "web"}
    assert ended.index("capture") < ended.index("recorder")


async def test_what_it_writes_is_for_the_owner_only(settings, environ, programs):
    async with running(settings, environ, programs):
        for path in [*settings.run_folder.rglob("*"), *settings.log_folder.rglob("*")]:
            with contextlib.suppress(FileNotFoundError):  # a draft has got its name meanwhile
                mode = path.stat().st_mode
                allowed = 0o700 if stat.S_ISDIR(mode) else 0o600
                assert stat.S_IMODE(mode) == allowed, path
        assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
        daemon = state.read(settings.run_folder)
        assert daemon.pid == os.getpid()
    assert state.read(settings.run_folder) is None


async def test_who_comes_while_it_ends_is_told_so(settings, environ, programs):
    """They can wait for its end and start another; it would let nobody's program in."""
    async with running(settings, environ, programs) as supervisor:
        assert not (await ask(settings, op="status"))["ending"]
        supervisor.request_stop()
        assert (await ask(settings, op="status"))["ending"]
        for op in ("open_run", "settings", "lead", "stay"):
            with pytest.raises(control.EndingError):
                await ask(settings, op=op)


async def test_it_does_not_end_under_a_run_that_is_being_opened(settings, environ, programs):
    async with supervised(settings, environ, programs=programs, stays=False) as supervisor:
        opening = asyncio.create_task(ask(settings, op="open_run"))  # waits for the children
        await until(lambda: supervisor._opening)
        supervisor.owner_left()
        assert not supervisor.stop_asked.is_set()
        assert (await opening)["run"]
        await until(supervisor.stop_asked.is_set)  # it hung up


async def test_a_child_that_dies_comes_back_and_takes_nobody_along(settings, environ, programs):
    async with running(settings, environ, programs):
        before = (await ask(settings, op="status"))["processes"]
        os.kill(before["web"]["pid"], signal.SIGKILL)
        async with asyncio.timeout(60):
            while True:
                after = (await ask(settings, op="status"))["processes"]
                if after["web"]["up"] and after["web"]["pid"] != before["web"]["pid"]:
                    break
                await asyncio.sleep(0.05)
        assert after["web"]["restarts"] == 1
        for name in ("recorder", "capture"):
            assert after[name] == before[name]


async def test_a_child_whose_death_was_not_heard_of_yet_is_not_up():
    child = Child(Program("web", "standin_web"), {})
    child._up, child._process = True, SimpleNamespace(pid=7, returncode=None)
    assert (child.up, child.pid) == (True, 7)
    child._process.returncode = -signal.SIGKILL
    assert (child.up, child.pid) == (False, None)


async def test_runs_keep_their_ports_when_capture_restarts(
    settings, environ, programs, events, tmp_path
):
    async with running(settings, environ, programs):
        client = await asyncio.to_thread(control.connect, settings.run_folder)
        opened = await asyncio.to_thread(client.ask, op="open_run", agent="a", tags={"k": "v"})
        assert (opened["proxy_port"], opened["sni_port"]) == (5001, 5002)
        status = await ask(settings, op="status")
        assert status["runs"] == ["a"]
        os.kill(status["processes"]["capture"]["pid"], signal.SIGKILL)
        opens = lambda: [what for _, what in events() if what.startswith("open_run")]  # noqa: E731
        await until(lambda: len(opens()) == 2)
        first, second = (
            json.loads(line.partition("open_run")[2].rpartition(" ")[0])
            for line in (tmp_path / "events").read_text().splitlines()
            if "open_run" in line
        )
        assert first["tags"] == {"k": "v", "run": opened["run"]}
        assert second == {**first, "proxy_port": 5001, "sni_port": 5002}
        client.close()
        await until(lambda: any(what.startswith("close_run") for _, what in events()))


async def test_a_run_may_begin_while_capture_is_started_again(settings, environ, programs):
    async with running(settings, environ, programs):
        before = (await ask(settings, op="status"))["processes"]["capture"]
        os.kill(before["pid"], signal.SIGKILL)
        opened = await ask(settings, op="open_run", agent="a")
        assert opened["proxy_port"]
        after = (await ask(settings, op="status"))["processes"]["capture"]
        assert (after["restarts"], after["up"]) == (1, True)


async def test_a_run_comes_in_through_every_worker(settings, environ, programs, events):
    """Several capture processes share the ports of a run, and a new one learns of them."""
    settings = replace(settings, workers=2)
    opens = lambda: [what for _, what in events() if what.startswith("open_run")]  # noqa: E731
    async with running(settings, environ, programs) as supervisor:
        client = await asyncio.to_thread(control.connect, settings.run_folder)
        await asyncio.to_thread(client.ask, op="open_run", agent="a")
        assert len(opens()) == 2
        processes = (await ask(settings, op="status"))["processes"]
        assert {"capture", "capture-2"} <= set(processes)
        os.kill(processes["capture-2"]["pid"], signal.SIGKILL)
        await until(lambda: len(opens()) == 3)
        assert supervisor.processes["capture"] == processes["capture"]
        client.close()
        await until(lambda: sum("close_run" in what for _, what in events()) == 2)
    ended = [name for name, what in events() if what == "end"]
    assert ended[-1] == "recorder"
    assert ended.count("capture") == 2


async def test_a_child_that_cannot_start_stops_everything_with_its_words(
    settings, environ, programs, events
):
    environ["STANDIN_FAIL"] = "capture"
    with pytest.raises(AgentTraceError, match="Port 4000 is in use"):
        async with running(settings, environ, programs):
            pass
    assert control.connect(settings.run_folder) is None
    assert not control.path(settings.run_folder).exists()


async def test_a_second_instance_says_who_runs(settings, environ, programs):
    async with running(settings, environ, programs):
        with pytest.raises(AgentTraceError, match=f"already running .pid {os.getpid()}"):
            async with running(settings, environ, programs):
                pass
        assert await ask(settings, op="status")


async def test_nonsense_on_the_control_socket_is_answered(settings, environ, programs):
    async with running(settings, environ, programs):
        with pytest.raises(AgentTraceError, match="understands"):
            await ask(settings, op="dance")


async def test_stop_is_obeyed(settings, environ, programs):
    async with running(settings, environ, programs) as supervisor:
        await ask(settings, op="stop")
        await asyncio.wait_for(supervisor.stop_asked.wait(), 10)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_though_nobody_can_be_told(settings, environ, programs, sign):
    """A terminal that is closed takes its words with it, not the end."""

    def goodbye():
        raise BrokenPipeError

    async with running(settings, environ, programs, on_signal=goodbye) as supervisor:
        os.kill(os.getpid(), sign)
        await asyncio.wait_for(supervisor.stop_asked.wait(), 10)


def test_a_home_with_a_long_path_still_has_a_control_socket(tmp_path):
    """Socket addresses hold about 100 bytes; homes can be deeper."""
    deep = tmp_path.joinpath(*["deep-folder"] * 12)
    deep.mkdir(parents=True)

    async def work():
        async def status(message):
            return {"fine": True}

        async def over():
            pass

        server = await control.serve(deep, lambda: control.Conversation({"status": status}, over))
        with await asyncio.to_thread(control.connect, deep) as client:
            assert await asyncio.to_thread(client.ask, op="status") == {"fine": True}
        server.close()

    asyncio.run(work())


DAEMON = """
import sys
from agenttrace_mitm.launch import daemon
from agenttrace_mitm.launch.children import Program
names = ("recorder", "capture", "web")
sys.exit(daemon.main([Program(name, "standin_" + name) for name in names]))
"""


@pytest.fixture
def daemon(settings, environ):
    """A daemon process over stand-ins, started with stdin open."""
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
        start_new_session=True,
    )
    process.stdin.write(json.dumps(settings.told()).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["ready"] is True
    yield process
    with contextlib.suppress(OSError):
        process.stdin.close()
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_daemon_ends_with_its_owner(daemon, events):
    daemon.stdin.close()
    assert daemon.wait(10) == 0
    assert ["recorder", "end"] in events()


def test_a_daemon_stays_while_somebody_elses_run_goes_on(daemon, settings):
    client = control.connect(settings.run_folder)
    client.ask(op="open_run", agent="other")
    daemon.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.wait(0.5)
    client.close()
    assert daemon.wait(10) == 0


def test_children_drain_when_the_supervisor_is_killed(daemon, events):
    """Their pipes close; that is all it takes."""
    daemon.kill()
    daemon.wait()
    deadline = time.monotonic() + 60
    while not {("recorder", "end"), ("capture", "end")} <= set(map(tuple, events())):
        assert time.monotonic() < deadline, events()
        time.sleep(0.05)
