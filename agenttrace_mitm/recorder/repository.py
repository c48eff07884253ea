"""A git repository read, and never written: which commits were made in it since a moment.

Runs git with everything off that a repository's own configuration could have it run: hooks, pager,
external diffs, signature programs, the file monitor, fetching what is missing.  Takes no lock, asks
nothing, and is given up after a while.  A repository that belongs to another user is not read, as
git wants it (`safe.directory`): its configuration would be in force here.
"""

import os
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 10.0
MOST_BYTES = 8 * 1024 * 1024
MOST_COMMITS = 200
MOST_ENTRIES = 1_000

_OFF = (
    "--no-pager", "--no-optional-locks", "--no-replace-objects",
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false",
    "-c", "protocol.allow=never",
)  # fmt: skip
_ENVIRON = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_LOG = (
    "log", "--no-color", "--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-notes",
    "--no-mailmap", "--encoding=UTF-8", "--numstat", "-M", "-z",
    "--format=%x01%H%x00%at%x00%ct%x00%B%x00",
)  # fmt: skip
# Entries of the reflog that stand for a new commit; moving on to one that was there makes none.
_MADE = re.compile(
    r"(?:commit|cherry-pick|revert|am)\b"
    r"|(?:merge|pull|rebase)\b(?![^:]*\((?:start|finish|abort)\))(?![^:]*: Fast-forward$)"
)
_COUNT = re.compile(rb"(\d+|-)\t(\d+|-)\t", re.DOTALL)

type Changed = tuple[str, int | None, int | None]
"""A path, lines added and removed; None for a binary file."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as its repository tells it; times in microseconds, UTC."""

    sha: str
    author_us: int
    committed_us: int
    message: str
    numstat: tuple[Changed, ...]


@dataclass(frozen=True, slots=True)
class Repository:
    """What was read: the commits on its branches that were made here since a moment."""

    root: Path
    name: str
    branch: str
    commits: tuple[Commit, ...]
    since_us: int
    on_branches: tuple[str, ...]
    """All commits since then that a branch or HEAD leads to, also those made elsewhere."""
    whole: bool
    """False when there were more commits than were read."""


def read(folder: Path, since_us: int, named: Sequence[str] = ()) -> Repository | None:
    """The repository around *folder*; also the commits *named*, whatever their time says.

    None where there is none, or git does not want to read it.
    """
    told = _git(folder, "rev-parse", "--path-format=absolute", "--show-toplevel",
                "--git-common-dir", "--abbrev-ref", "HEAD")  # fmt: skip
    lines = (told or b"").decode("utf-8", "surrogateescape").splitlines()
    if len(lines) != 3:
        return None
    root, shared, branch = Path(lines[0]), Path(lines[1]), lines[2]
    since_s = since_us // 1_000_000
    which = (f"--since=@{since_s}", f"-n{MOST_COMMITS}", "HEAD", "--branches", "--")
    told = _git(folder, *_LOG, *which)
    if told is None:
        return None
    found = {commit.sha: commit for commit in _commits(told)}
    made = _made_here(folder)
    kept = [commit for sha, commit in found.items() if made is None or sha in made]
    kept += _apart(folder, named, found)
    name = shared.parent.name if shared.name == ".git" else root.name
    name = name.encode("utf-8", "replace").decode()
    branch = "" if branch == "HEAD" else branch
    whole = len(found) < MOST_COMMITS
    return Repository(root, name, branch, tuple(kept), since_s * 1_000_000, tuple(found), whole)


def _apart(folder: Path, named: Sequence[str], found: dict[str, Commit]) -> Iterator[Commit]:
    """Commits that an output names and that were not found: their times are not of today."""
    for sha in named:
        if not any(one.startswith(sha) for one in found):
            yield from _commits(_git(folder, *_LOG, "--no-walk", f"{sha}^{{commit}}", "--") or b"")


def _made_here(folder: Path) -> set[str] | None:
    """Commits that came to be in this working tree, not by a fetch; None where no log says so."""
    told = _git(folder, "log", "--walk-reflogs", f"-n{MOST_ENTRIES}", "--format=%H %gs", "HEAD")
    if not told:
        return None
    entries = (line.partition(" ") for line in told.decode("utf-8", "replace").splitlines())
    return {sha for sha, _, did in entries if _MADE.match(did)}


def _commits(told: bytes) -> Iterator[Commit]:
    r"""Commits in the output of `_LOG`: \x01 before each, NUL after each of its fields."""
    for each in re.split(rb"(?:^|\0)\x01(?=[0-9a-f]{40})", told)[1:]:
        fields = each.split(b"\0", 4)
        if len(fields) < 5 or not (fields[1].isdigit() and fields[2].isdigit()):
            continue
        sha, author, committed, message, counts = fields
        yield Commit(
            sha.decode(),
            int(author) * 1_000_000,
            int(committed) * 1_000_000,
            message.decode("utf-8", "replace").strip(),
            tuple(_numstat(counts)),
        )


def _numstat(told: bytes) -> Iterator[Changed]:
    r"""`1\t2\tpath\0`, or for a renamed file `1\t2\t\0before\0after\0`."""
    items = iter(told.lstrip(b"\0\n").split(b"\0"))
    for item in items:
        found = _COUNT.match(item.lstrip(b"\n"))
        if not found:
            continue
        path = item.lstrip(b"\n")[found.end() :]
        if not path:
            next(items, b"")
            path = next(items, b"")
        added, removed = (None if n == b"-" else int(n) for n in found.groups())
        yield path.decode("utf-8", "replace"), added, removed


def _git(folder: Path, *words: str) -> bytes | None:
    """What git says in *folder*; None when it fails, lasts too long, or says too much."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = subprocess.Popen(
            ["git", *_OFF, *words],
            cwd=folder,
            env=environ | _ENVIRON,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, ValueError):  # no git, no such folder, a NUL in its name
        return None
    too_late = threading.Timer(TIMEOUT_S, process.kill)
    too_late.start()
    with process:
        assert process.stdout
        told = process.stdout.read(MOST_BYTES)
        if process.stdout.read(1):
            process.kill()
    too_late.cancel()
    return told if process.returncode == 0 else None
