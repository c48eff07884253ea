"""Files that are written at once: whoever reads one finds all of it, the old or the new.

What is written goes to a draft beside its place, and takes it when it is complete.  A draft has a
name of its own, so that two writers do not share one, and goes when writing fails; what a kill
leaves of it goes with the next writing of the same file.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ABANDONED_S = 3_600
"""A draft into which nothing was written for so long is nobody's."""


def put(path: Path, content: bytes, mode: int = 0o600, *, durable: bool = True) -> Path:
    """*path*, now with *content*; on the disk when this returns, where it is to be *durable*."""
    with replacing(path, mode, durable=durable) as stream:
        stream.write(content)
    return path


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o600, *, durable: bool = False) -> Iterator[BinaryIO]:
    """What is written to the stream becomes *path* at the end, unless something is raised."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_beginning(path), suffix=_END)  # 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        if mode != 0o600:
            draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sweep(path)


def drafts_of(path: Path) -> list[Path]:
    """The drafts of *path*, abandoned or being written."""
    beginning = _beginning(path)
    with os.scandir(path.parent) as found:
        names = [one.name for one in found]
    return [
        path.with_name(name) for name in names if name.startswith(beginning) and name.endswith(_END)
    ]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep whoever else asks for it out of *folder*, which is made; where there are locks."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            with contextlib.suppress(OSError):  # some network file systems know no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


_END = ".draft"


def _beginning(path: Path) -> str:
    return f".{path.name}-"


def _sweep(path: Path) -> None:
    with contextlib.suppress(OSError):
        for draft in drafts_of(path):
            if time.time() - draft.stat().st_mtime > ABANDONED_S:
                draft.unlink()
