"""The addon in somebody's mitmdump."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agenttrace_mitm.capture.inside import Inside
from agenttrace_mitm.store.recorders import recorder_of
from tests.support.fake_upstream import Upstream
from tests.support.proxy import FakeRecorder, answer, closed, post

ROOT = Path(__file__).parents[2]
MITMDUMP = Path(sys.executable).with_name("mitmdump")


READY = """
from pathlib import Path
from mitmproxy import ctx

def running():
    [(_, port)] = ctx.master.addons.get("proxyserver").listen_addrs()
    Path("port.draft").write_text(str(port))
    Path("port.draft").rename("port")
"""
"""A script after ours: mitmproxy listens before any has begun, and what comes then is not seen."""


@contextlib.asynccontextmanager
async def mitmdump(folder, home, upstream, script=ROOT / "addons" / "agenttrace.py"):
    """Somebody's mitmdump once our addon is at work; its process, and the port it found."""
    (folder / "ready.py").write_text(READY)
    process = await asyncio.create_subprocess_exec(
        MITMDUMP,
        "-q",
        *("-s", script, "-s", folder / "ready.py"),
        *("--listen-port", "0", "--listen-host", "127.0.0.1"),
        *("--set", f"confdir={folder / 'theirs'}"),
        *("--set", f"ssl_verify_upstream_trusted_ca={upstream.ca}"),
        cwd=folder,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "AGENTTRACE_HOME": str(home),
            "AGENTTRACE_UPSTREAM_MAP": f'{{"api.openai.com": "{upstream.address}"}}',
        },
    )
    try:
        async with asyncio.timeout(60):
            while not (folder / "port").exists():
                assert process.returncode is None
                await asyncio.sleep(0.1)
        yield process, int((folder / "port").read_text())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_brings_its_recorder(tmp_path, home):
    """Nothing else runs: after mitmdump has ended, the call is in the database."""
    if not MITMDUMP.exists():
        pytest.skip("mitmdump is not installed")
    async with (
        Upstream(tmp_path) as upstream,
        mitmdump(tmp_path, home, upstream) as (process, port),
    ):
        async with asyncio.timeout(60):
            reader, writer = await connected(port, tmp_path)
            writer.write(post(b'{"model":"m"}'))
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    rows = sqlite3.connect(home / "data.db").execute("select model, status_code from llm_calls")
    assert rows.fetchall() == [("m", 200)]


async def test_calls_wait_for_a_recorder_that_is_still_coming_up():
    """mitmdump may be ended before: a busy machine takes longer to start the recorder."""
    done = []

    async def start():
        await asyncio.sleep(0.1)
        done.append("up")

    async def close(patience_s):
        done.append("handed over")

    inside = Inside()
    inside._starting = asyncio.create_task(start())
    inside._handover = SimpleNamespace(close=close)
    await inside.done()
    assert done == ["up", "handed over"]


async def test_commands_see_that_it_records(tmp_path, home):
    """What must not be done beside a recorder is refused, and whom to end is said."""
    if not MITMDUMP.exists():
        pytest.skip("mitmdump is not installed")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environ["AGENTTRACE_HOME"] = str(home)

    async def typed(*arguments):
        """Exit code, and everything that the command says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agenttrace_mitm", *arguments),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, " ".join(said.decode().split())

    async with (
        Upstream(tmp_path) as upstream,
        mitmdump(tmp_path, home, upstream) as (process, port),
    ):
        theirs = f"mitmdump with our addon (pid {process.pid})"
        async with asyncio.timeout(120):
            reader, writer = await connected(port, tmp_path)
            writer.write(post(b'{"model":"m"}'))
            assert (await answer(reader))[1] == b"ok"
            await closed(writer)
            while (
                recorder_of(home / "data.db") is None or not (home / "run/recorder.sock").exists()
            ):
                await asyncio.sleep(0.1)
            while "mitmdump" not in (home / "data.db-recorder").read_text():
                await asyncio.sleep(0.1)
            for refused in (
                ("db", "prune", "--days", "0"),
                ("db", "forget", "--session", "x", "--yes"),
            ):
                code, said = await typed(*refused)
                assert code == 1
                assert f"{theirs} is recording. End mitmdump first" in said
            for command in ("status", "stop"):
                code, said = await typed(command)
                assert code == 1
                assert f"not running, but {theirs} records into" in said
                assert "To stop that, end mitmdump" in said
            code, said = await typed("start", "--no-open", "--proxy-port", "0", "--port", "0")
            assert code == 1
            assert f"{theirs} records here. End mitmdump first" in said
            assert theirs in (await typed("doctor", "--quick"))[1]
            assert (await typed("db", "prune", "--days", "0", "--dry-run"))[0] == 0
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
        code, said = await typed("db", "prune", "--days", "0")
        assert code == 0, said


async def connected(port, tmp_path):
    """A TLS connection to a provider through somebody's mitmdump."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    theirs = ssl.create_default_context(cafile=tmp_path / "theirs" / "mitmproxy-ca.pem")
    await writer.start_tls(theirs, server_hostname="api.openai.com")
    return reader, writer


@pytest.mark.parametrize("place", ["checkout", "wheel"])
async def test_mitmdump(tmp_path, home, place):
    """Same record, their certificates; what streams, streams."""
    if not MITMDUMP.exists():
        pytest.skip("mitmdump is not installed")
    script = ROOT / "addons" / "agenttrace.py"
    if place == "wheel":
        script = Path(shutil.copy(script, tmp_path))
    has_first = asyncio.Event()

    async def stream(exchange):
        await exchange.read_body()
        await exchange.start_chunked()
        await exchange.chunk(b"one")
        await has_first.wait()
        await exchange.chunk(b"two")
        await exchange.chunk(b"")

    recorder = FakeRecorder(home / "run" / "recorder.sock")
    await recorder.start()  # the child finds it, says so, and leaves it alone
    async with (
        Upstream(tmp_path, stream) as upstream,
        mitmdump(tmp_path, home, upstream, script) as (process, port),
    ):
        async with asyncio.timeout(60):
            reader, writer = await connected(port, tmp_path)
            await recorder.until(lambda r: r.hellos)
            writer.write(post(x_agenttrace_agent="me"))
            await reader.readuntil(b"one\r\n")
            has_first.set()
            await reader.readuntil(b"0\r\n\r\n")
            (seen,) = await recorder.finished()
            assert (seen.response, seen.ended.ending) == (b"onetwo", "complete")
            assert seen.opened.caller["agent"] == "me"
            assert upstream.requests[0].header("x-agenttrace-agent") == ""
            await closed(writer)
            process.send_signal(signal.SIGINT)
            await process.wait()
    await recorder.stop()
