"""The log files of the processes: one each, readable by the owner only, bounded in size.

A child writes to its file directly, so that nothing is lost when the supervisor dies; the files
are opened for appending, so cutting one that grew too big needs no word with its writer.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024


def file(folder: Path, name: str) -> Path:
    """The log file of the process *name*."""
    return folder / f"{name}.log"


@contextlib.contextmanager
def opened(folder: Path, name: str) -> Iterator[int]:
    """A descriptor that appends to the log file, created for the owner only."""
    descriptor = os.open(file(folder, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def say(folder: Path, name: str, line: str) -> None:
    """Append our own remark, with the time, to the log of *name*."""
    with opened(folder, name) as descriptor:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(descriptor, f"{stamp} supervisor: {line}\n".encode())


def bound(folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Move the content of each file that is too big to `NAME.log.1` and go on empty."""
    for path in folder.glob("*.log"):
        if path.stat().st_size > max_bytes:
            old = path.with_suffix(".log.1")
            shutil.copyfile(path, old)
            old.chmod(0o600)
            os.truncate(path, 0)
