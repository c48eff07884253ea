"""What is no place to write an export to: the database and the home folder, and other databases.

Goes in: a file that the user names to be written.  Raises `AgentTraceError` where it is one of
these, whichever links lead to it; what is recorded would be gone without a question.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AgentTraceError

if TYPE_CHECKING:
    from ..settings import Settings

BESIDE = ("", "-wal", "-shm", "-journal", "-recorder")
"""The database, and what SQLite and recorders keep beside it under its name."""

_SQLITE = b"SQLite format 3\0"


def spare_all(settings: "Settings", target: Path, remedy: str) -> None:
    """Refuse the database's files as *target*, any other's, and whatever is in the home folder."""
    spare_database(settings, target, remedy)
    file = Path(os.path.realpath(target))
    if any(same(folder, settings.home) for folder in (file, *file.parents)):
        raise AgentTraceError(
            f"{target} is in {settings.home}, where AgentTrace keeps its own files", remedy
        )
    for end in BESIDE:
        if file.name.endswith(end) and _is_database(file.parent / file.name.removesuffix(end)):
            what = "belongs to" if end else "is"
            raise AgentTraceError(f"{target} {what} an SQLite database", remedy)


def spare_database(settings: "Settings", target: Path, remedy: str) -> None:
    """Refuse the database's files as *target*, also those that are not there at the moment."""
    database = Path(os.path.realpath(settings.database))
    if any(same(target, database.with_name(database.name + end)) for end in BESIDE):
        raise AgentTraceError(f"{target} belongs to the database {settings.database}", remedy)


def _is_database(file: Path) -> bool:
    """Whether SQLite wrote *file*, whoever's it is; nothing is read from a pipe or a device."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return stream.read(len(_SQLITE)) == _SQLITE
    except OSError:  # nobody may look
        return False


def same(one: Path, other: Path) -> bool:
    """Whether both are one file: by name, or by inode where a file has several names."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except OSError:  # one of them is not there, or nobody may look
        return False
