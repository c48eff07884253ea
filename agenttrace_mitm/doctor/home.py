"""The home folder, and what a crash may have left there and elsewhere."""

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..files import drafts_of
from ..launch import control
from ..launch.transparent import FOLDER_PREFIX
from .finding import Finding, Patient

REHEARSAL_PREFIX = "agenttrace-doctor-"
REHEARSAL_LOCK = "doctor.lock"


def folder(patient: Patient) -> Iterator[Finding]:
    """Ours, private, and one can write there."""
    home = patient.settings.home
    if not home.exists():
        above = next(each for each in home.parents if each.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding("home", "note", f"{home} is not there yet; `start` makes it")
        else:
            said = f"{home} cannot be made: {above} cannot be written"
            yield Finding("home", "wrong", said, "Set AGENTTRACE_HOME to a folder of yours")
        return
    if not os.access(home, os.W_OK | os.X_OK):
        remedy = f"Give it back: sudo chown -R $USER {home}; or set AGENTTRACE_HOME"
        yield Finding("home", "wrong", f"{home} cannot be written", remedy)
        return
    mode = home.stat().st_mode & 0o777
    if mode & 0o077:
        said = f"others may look into {home} (mode {mode:o})"
        yield Finding("home", "wrong", said, f"chmod 700 {home}", lambda: home.chmod(0o700))
        return
    yield Finding("home", "ok", f"{home} is yours alone")


def leftovers(patient: Patient) -> Iterator[Finding]:
    """Files of an instance, a rehearsal or a namespace that ended without tidying up."""
    run = patient.settings.run_folder
    found = [*_of_an_instance(run), *_of_rehearsals(), *_of_namespaces()]
    if not found:
        yield Finding("leftovers", "ok", "nothing is left of a crash")
        return
    names = ", ".join(map(str, found))
    yield Finding(
        "leftovers",
        "wrong",
        f"a crash left {names}",
        "agenttrace-mitm doctor --fix",
        lambda: _remove(found),
    )


def _of_an_instance(run: Path) -> list[Path]:
    if not run.is_dir() or _is_locked(run / "daemon.lock"):
        return []
    daemon = run / "daemon.json"
    files = [daemon, *drafts_of(daemon)]
    sockets = [control.path(run), run / "recorder.sock"]
    return [
        *(file for file in files if file.exists()),
        # What a killed supervisor leaves behind may still be writing the last calls.
        *(door for door in sockets if _is_dead(door)),
    ]


def _is_dead(door: Path) -> bool:
    """Whether a socket is there and nobody behind it."""
    if not door.exists():
        return False
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(door))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _is_locked(lock: Path) -> bool:
    """Whether an instance is there, or is just starting."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _of_rehearsals() -> Iterator[Path]:
    """Folders of a `doctor` that is there no more; they hold a copy of the authority's key."""
    for folder in Path(tempfile.gettempdir()).glob(f"{REHEARSAL_PREFIX}*"):
        lock = folder / REHEARSAL_LOCK
        if lock.exists() and lock.stat().st_uid == os.getuid() and not _is_locked(lock):
            yield folder


def _of_namespaces() -> Iterator[Path]:
    """Folders of `run --transparent` at whose socket nobody answers."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        door = folder / "listeners.sock"
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and _is_dead(door):
                yield folder


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_running(run: Path) -> bool:
    """Whether an instance holds the lock of this home."""
    return _is_locked(run / "daemon.lock")
