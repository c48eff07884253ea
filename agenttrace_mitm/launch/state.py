"""What is known about a running instance: the lock that makes it the only one, and its facts.

`run/daemon.lock` is held as long as the process lives, so a crash leaves nothing to clean up;
`run/daemon.json` says who it is, for people and for a second `start`.  Of pages alone there may
be several: each `serve` holds a lock on the `run/serve-PID.json` that tells of it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import AgentTraceError
from ..files import put
from ..settings import Settings


@dataclass(frozen=True)
class Daemon:
    """A running instance, as `run/daemon.json` tells it."""

    pid: int
    started_us: int
    home: str
    version: str
    proxy_host: str
    proxy_port: int
    sni_port: int | None
    host: str
    port: int | None

    @property
    def proxy_url(self) -> str:
        """Where programs send their calls."""
        return f"http://{reachable(self.proxy_host)}:{self.proxy_port}"

    @property
    def web_url(self) -> str | None:
        """Where the pages are, once they are up."""
        return f"http://{reachable(self.host)}:{self.port}/" if self.port else None


@dataclass(frozen=True)
class Pages:
    """Pages without recording, as `run/serve-PID.json` tells of them."""

    pid: int
    db: str
    web_url: str


class TakenError(AgentTraceError):
    """Another instance has the lock of this home, and may be starting or ending."""


def reachable(host: str) -> str:
    """An address to connect to for a listener on *host*, ready for a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


def prepare(settings: Settings) -> None:
    """Make the folders of *settings*, for the owner only."""
    try:
        for folder in (settings.home, settings.run_folder, settings.log_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.home.chmod(0o700)
    except OSError as error:
        raise AgentTraceError(
            f"The home folder {settings.home} cannot be used ({error.strerror})",
            "Set AGENTTRACE_HOME to a folder of yours",
        ) from None


@contextlib.contextmanager
def only_one(run_folder: Path) -> Iterator[None]:
    """Hold the lock of this home, or say who holds it."""
    with lock(run_folder / "daemon.lock") as ours:
        if not ours:
            raise already_running(read(run_folder))
        (run_folder / "daemon.json").unlink(missing_ok=True)
        yield
        (run_folder / "daemon.json").unlink(missing_ok=True)


@contextlib.contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Hold the lock in *file*, which is made; False when somebody else holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ours = False
        else:
            ours = True
        yield ours
    finally:
        os.close(descriptor)


def already_running(daemon: Daemon | None) -> TakenError:
    """The error that says who runs, and where."""
    if daemon is None:
        return TakenError("AgentTrace is already starting", "Wait a moment, or stop it")
    pages = f", pages {daemon.web_url}" if daemon.web_url else ""
    return TakenError(
        f"AgentTrace is already running (pid {daemon.pid}, proxy {daemon.proxy_url}{pages})",
        "Use it as it is, or end it with `agenttrace-mitm stop`",
    )


def write(run_folder: Path, daemon: Daemon) -> None:
    """Replace `daemon.json` at once, readable by the owner only."""
    told = json.dumps(asdict(daemon), indent=1).encode()
    put(run_folder / "daemon.json", told, durable=False)


@contextlib.contextmanager
def serving(run_folder: Path, pages: Pages) -> Iterator[None]:
    """Tell of *pages* meanwhile; a crash leaves a file that nobody holds."""
    file = run_folder / f"serve-{pages.pid}.json"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(asdict(pages)).encode())
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def served(run_folder: Path) -> list[Pages]:
    """The pages that are shown without recording, those begun last first."""
    found = [
        (started, pages)
        for file in run_folder.glob("serve-*.json")
        for started, pages in _held(file)
    ]
    return [pages for _, pages in sorted(found, key=lambda each: each[0], reverse=True)]


def _held(file: Path) -> Iterator[tuple[int, Pages]]:
    """What *file* says, and since when, while its process lives; else it is removed."""
    try:
        with file.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield os.fstat(stream.fileno()).st_mtime_ns, Pages(**json.loads(stream.read()))
            else:
                file.unlink(missing_ok=True)
    except (OSError, ValueError, TypeError):
        return  # it has just ended, or is about to begin


def read(run_folder: Path) -> Daemon | None:
    """What `daemon.json` says; None when there is none that we understand."""
    try:
        return Daemon(**json.loads((run_folder / "daemon.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
