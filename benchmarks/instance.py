"""The things under measurement as processes: the upstream, AgentTrace, mitmdump."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import traffic
from .client import Route

TICKS = os.sysconf("SC_CLK_TCK")
PYTHON = sys.executable


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Upstream:
    """The provider: its port, and the root to trust."""

    port: int
    ca: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def route(self) -> Route:
        """To it, with nothing between."""
        return Route(self.ca, self.address)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    """A provider that runs."""
    process = subprocess.Popen(
        [PYTHON, "-m", "benchmarks.upstream", str(folder / "upstream")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield Upstream(int(process.stdout.readline()), folder / "upstream" / "test-root.pem")
    finally:
        _end(process)


class Instance:
    """`agenttrace-mitm start` in a home of its own; *settings* go to its config.json."""

    def __init__(self, home: Path, upstream: Upstream, **settings: Any) -> None:
        self.home = home
        self.upstream = upstream
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        given = {
            "proxy_port": 0,
            "port": 0,
            "open_browser": False,
            "upstream_ca": str(upstream.ca),
            "upstream_map": {traffic.HOST: f"https://127.0.0.1:{upstream.port}"},
            **settings,
        }
        (home / "config.json").write_text(json.dumps(given))
        self.environ = {**os.environ, "AGENTTRACE_HOME": str(home)}
        for name in ("HTTPS_PROXY", "https_proxy"):
            self.environ.pop(name, None)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Instance":
        """Start, and wait until it says where it is."""
        self._process = subprocess.Popen(
            [PYTHON, "-m", "agenttrace_mitm", "start", "--no-open"],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "stderr").open("wb"),
        )
        said = self.home / "run" / "daemon.json"
        while not said.exists():
            if self._process.poll() is not None:
                raise RuntimeError((self.home / "stderr").read_text())
            time.sleep(0.02)
        self.port = int(json.loads(said.read_text())["proxy_port"])
        return self

    def fake_clock(self) -> None:
        """Let all processes add to their time what `clock` says, in seconds."""
        self.clock.write_text("0")
        ours = str(Path(__file__).parent / "fakeclock")
        self.environ |= {
            "PYTHONPATH": os.pathsep.join(filter(None, (ours, self.environ.get("PYTHONPATH")))),
            "FAKE_CLOCK": str(self.clock),
        }

    @property
    def clock(self) -> Path:
        """The file of `fake_clock`."""
        return self.home / "clock"

    def kill(self) -> None:
        """SIGKILL the process that started the others."""
        if self._process:
            self._process.kill()
            self._process.wait()
        (self.home / "run" / "daemon.json").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it, all calls written."""
        if self._process:
            _end(self._process, signal.SIGTERM)

    def status(self) -> dict[str, Any]:
        """What `status --json` says."""
        said = subprocess.run(
            [PYTHON, "-m", "agenttrace_mitm", "status", "--json"],
            env=self.environ,
            capture_output=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    def pids(self, kind: str) -> list[int]:
        """The processes of one kind: capture, recorder, web."""
        processes = self.status()["processes"].items()
        return [p["pid"] for name, p in processes if name.startswith(kind) and p["pid"]]

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.home / "data.db"

    @property
    def route(self) -> Route:
        """Through it to the upstream."""
        return Route(self.home / "ca" / "bundle.pem", self.upstream.address, self.port)

    def rows(self) -> int:
        """Finished calls in the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            query = "select count(*) from llm_calls where outcome <> 'in_flight'"
            return int(db.execute(query).fetchone()[0])

    def settle(self, rows: int, timeout_s: float = 120.0) -> float:
        """Wait until there are *rows*; how long that took.  Gives up after *timeout_s*."""
        began = time.perf_counter()
        while self.rows() < rows and time.perf_counter() - began < timeout_s:
            time.sleep(0.05)
        return time.perf_counter() - began


@contextlib.contextmanager
def instance(home: Path, upstream: Upstream, **settings: Any) -> Iterator[Instance]:
    """An instance that runs."""
    one = Instance(home, upstream, **settings)
    try:
        yield one.start()
    finally:
        one.stop()


@dataclass(frozen=True)
class Mitmdump:
    """Bare mitmdump: bodies streamed, nothing recorded."""

    pid: int
    route: Route


@contextlib.contextmanager
def mitmdump(folder: Path, upstream: Upstream) -> Iterator[Mitmdump]:
    """A mitmdump that runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    executable = shutil.which("mitmdump", path=str(Path(PYTHON).parent)) or "mitmdump"
    options = {
        "confdir": folder,
        "stream_large_bodies": "1",
        "ssl_verify_upstream_trusted_ca": upstream.ca,
    }
    given = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    process = subprocess.Popen(
        [executable, "-q", "--listen-host", "127.0.0.1", "-p", str(port), *given]
    )
    try:
        while not _listens(port):
            time.sleep(0.02)
        ca = folder / "mitmproxy-ca-cert.pem"
        yield Mitmdump(process.pid, Route(ca, upstream.address, port, named=False))
    finally:
        _end(process)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def _end(process: "subprocess.Popen[bytes]", sign: int = signal.SIGKILL) -> None:
    process.send_signal(sign)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
