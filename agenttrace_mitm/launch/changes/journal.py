"""What was changed on this machine, and how it was before: `installed/` in the home folder.

An entry is written, with copies of every file that will change, before the change begins, and
again when it is complete.  One that says `begun` was cut short.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ...files import put
from .change import Change, Facts, Values

CERTIFICATE = "certificate.pem"


@dataclass(frozen=True, slots=True)
class Saved:
    """A file as it was; `copy` is empty when there was none."""

    path: str
    copy: str = ""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    id: str
    kind: str
    facts: Facts
    state: Literal["begun", "done"]
    values: Values
    files: tuple[Saved, ...]


class Journal:
    """The entries in *folder*, which belong to whoever owns the home folder around it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        found = [self._read(path) for path in self._folder.glob("*/entry.json")]
        return sorted(filter(None, found), key=lambda entry: entry.id)

    def find(self, change: Change) -> Entry | None:
        """The entry of the place that *change* is about."""
        place = _place(change.kind, change.facts)
        return next((e for e in self.entries() if _place(e.kind, e.facts) == place), None)

    def certificate(self, entry_id: str) -> Path:
        """Where the certificate that a change is about is kept."""
        return self._folder / entry_id / CERTIFICATE

    def new_id(self, change: Change) -> str:
        """A name for an entry that is not there yet."""
        taken = [int(each.name.split("-")[0]) for each in self._folder.glob("[0-9]*-*")]
        return f"{max(taken, default=0) + 1:03}-{change.kind}"

    def begin(self, entry_id: str, change: Change) -> Entry:
        """Keep everything that *change* will alter.  After this it may begin."""
        folder = self._folder / entry_id
        self._make(folder)
        files = tuple(_save(path, folder, n) for n, path in enumerate(change.files()))
        entry = Entry(
            entry_id, change.kind, dict(change.facts), "begun", dict(change.values()), files
        )
        self._write(entry)
        self._give_away(folder)
        return entry

    def complete(self, entry: Entry) -> None:
        """The change is made."""
        self._write(replace(entry, state="done"))
        self._give_away(self._folder / entry.id)

    def copy_of(self, entry: Entry, saved: Saved) -> Path:
        """The file as it was before."""
        return self._folder / entry.id / saved.copy

    def forget(self, entry: Entry) -> None:
        """It is undone."""
        folder = self._folder / entry.id
        # First of all: without it, what is left of the folder is rubbish and no change.
        (folder / "entry.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def rubbish(self) -> list[Path]:
        """Folders of changes that never began."""
        return [
            each for each in self._folder.glob("[0-9]*-*") if not (each / "entry.json").exists()
        ]

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give_away(self._folder)

    def _read(self, path: Path) -> Entry | None:
        try:
            said = json.loads(path.read_bytes())
            said["files"] = tuple(Saved(**each) for each in said["files"])
            return Entry(**said)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _write(self, entry: Entry) -> None:
        target = self._folder / entry.id / "entry.json"
        put(target, json.dumps(asdict(entry), indent=1).encode())

    def _give_away(self, folder: Path) -> None:
        """Under sudo, what root writes into somebody's home is to stay theirs."""
        if os.name != "posix" or os.getuid() != 0:
            return
        owner = self._folder.parent.stat()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, empty when there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def put_back(saved: Saved, copy: Path) -> None:
    """Make the file what it was: bytes, mode, owner, time; gone if it was not there."""
    target = Path(saved.path)
    if not saved.copy:
        target.unlink(missing_ok=True)
        return
    if digest(target) != digest(copy):
        put(target, copy.read_bytes(), saved.mode)
    target.chmod(saved.mode)
    with contextlib.suppress(PermissionError):
        os.chown(target, saved.uid, saved.gid)
    os.utime(target, ns=(saved.mtime_ns, saved.mtime_ns))


def _save(path: Path, folder: Path, number: int) -> Saved:
    try:
        found = path.stat()
    except FileNotFoundError:
        return Saved(str(path))
    # Its own name at the end: some tools want to find their files under theirs.
    copy = f"{number}/{path.name}"
    (folder / copy).parent.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / copy)
    return Saved(
        str(path), copy, found.st_mode & 0o7777, found.st_uid, found.st_gid, found.st_mtime_ns
    )


def _place(kind: str, facts: Facts) -> tuple[object, ...]:
    return kind, *sorted((k, v) for k, v in facts.items() if k in PLACE)


PLACE: Iterable[str] = ("database", "keystore", "service")
"""The facts that tell two places of one kind apart."""
