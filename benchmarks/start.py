"""How soon it is there: the first proxied connection after `start`, and what `run` adds."""

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .instance import PYTHON, Instance, upstream
from .report import Row


def run(rounds: int) -> list[Row]:
    """Start *rounds* times over the same home, the first not counted."""
    with tempfile.TemporaryDirectory() as name, upstream(Path(name)) as server:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        ours = Instance(Path(name) / "home", server, proxy_port=port)
        accepted = [_start(ours, port) for _ in range(rounds + 1)][1:]
        ours.start()
        command = [PYTHON, "-m", "agenttrace_mitm", "run", "--", "true"]
        runs = []
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(command, env=ours.environ, check=True)
            runs.append(time.perf_counter() - began)
        ours.stop()
        return [
            Row.of("`start` to the first proxied connection, s", accepted, "<= 1.0"),
            Row.of("`run -- true` with an instance running, s", runs, "<= 0.8"),
        ]


def _start(ours: Instance, port: int) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [PYTHON, "-m", "agenttrace_mitm", "start", "--no-open"],
        env=ours.environ,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _proxied(port):
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(60)


def _proxied(port: int) -> bool:
    """Whether the proxy answers a CONNECT: it accepts before it can."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    except OSError:
        return False
    with contextlib.suppress(OSError), connection:
        connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n")
        return b" 200 " in connection.recv(200)
    return False
