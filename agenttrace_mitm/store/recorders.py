"""Who records into a database: a lock beside it, `data.db-recorder`, which every recorder shares.

A recorder remembers what it has stored, so whoever takes rows away by himself must be alone.  The
lock ends with its process, however that ends; the file stays, and says who took it last.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..errors import StoreError

try:
    import fcntl
except ImportError:  # Windows: no recorder runs there, but pages are shown
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

OURS = "agenttrace-mitm"
PATIENCE_S = 45.0
"""How long a recorder waits for somebody who is alone; who starts it waits a minute."""
LOOKS, BETWEEN_LOOKS_S = 5, 0.02
"""Somebody else who only looks is gone at the next look."""


class Recorder(msgspec.Struct, frozen=True):
    """A recorder: its process, its home, and the program that started it."""

    pid: int
    home: str
    program: str
    program_pid: int

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to `agenttrace-mitm`, else to a mitmproxy with our addon."""
        return self.program == OURS

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        if self.is_ours:
            return f"the recorder of {self.home} (pid {self.pid})"
        return f"{self.program} with our addon (pid {self.program_pid})"

    @property
    def remedy(self) -> str:
        """How to get rid of it."""
        if not self.pid:
            return "Try again in a moment"
        if self.is_ours:
            return f"Wait until it has finished, or stop the AgentTrace of {self.home}"
        return f"End {self.program} first"


_NOT_SAID = Recorder(0, "", OURS, 0)


class Share:
    """A recorder's part of the lock, held until the process ends."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def tell(self, recorder: Recorder) -> None:
        """Say who it is, to those who look."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, msgspec.json.encode(recorder) + b"\n", 0)

    def close(self) -> None:
        """Give it up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def share(database: Path, patience_s: float = PATIENCE_S) -> Share:
    """Take part in the lock of *database*.

    Raises `StoreError` when somebody is alone for longer than *patience_s*.  Where there can be no
    such lock, calls are recorded all the same.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = _opened(database)
    except OSError as error:
        log.warning("%s cannot be locked (%s)", database, error)
        return Share(None)
    until = time.monotonic() + patience_s
    while not _locked(descriptor, shared=True):
        if time.monotonic() > until:
            os.close(descriptor)
            raise StoreError(
                f"something is being forgotten in {database}", "Start again once that is done"
            )
        time.sleep(BETWEEN_LOOKS_S)
    return Share(descriptor)


@contextlib.contextmanager
def alone(database: Path, looks: int = LOOKS) -> Iterator[None]:
    """Keep recorders out of *database*.

    Raises `StoreError` while one works on it, or somebody else is alone, at each of some *looks*.
    """
    try:
        descriptor = _opened(database)
    except OSError:  # no file can be made here, neither by a recorder nor by us
        yield
        return
    try:
        if not _found_free(descriptor, looks):
            found = _told(descriptor) or _NOT_SAID
            raise StoreError(f"{found} works on {database}", found.remedy)
        yield
    finally:
        os.close(descriptor)


def recorder_of(database: Path) -> Recorder | None:
    """Who records into *database*; None when nobody does."""
    try:
        descriptor = os.open(_place(database), os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _found_free(descriptor, LOOKS) else _told(descriptor) or _NOT_SAID
    finally:
        os.close(descriptor)


def _place(database: Path) -> Path:
    return database.with_name(f"{database.name}-recorder")


def _opened(database: Path) -> int:
    return os.open(_place(database), os.O_RDWR | os.O_CREAT, 0o600)


def _found_free(descriptor: int, looks: int) -> bool:
    for look in range(looks):
        if look:
            time.sleep(BETWEEN_LOOKS_S)
        if _locked(descriptor, shared=False):
            return True
    return False


def _locked(descriptor: int, *, shared: bool) -> bool:
    """Whether the lock could be taken; it is let go when the file is closed."""
    if fcntl is not None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # some network file systems know no locks
            log.warning("a database cannot be locked (%s)", error)
    return True


def _told(descriptor: int) -> Recorder | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(os.pread(descriptor, 10_000, 0), type=Recorder)
    return None
