"""What a process is: the program it runs, since when, who started it, in which repository.

Comes in: a process id.  Goes out: a `Process`.  Reads /proc and the files of .git, and starts
nothing.  What cannot be read stays empty.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_INTERPRETER = re.compile(r"(python|node|nodejs|ruby|php|perl|java|bun|deno)[\d.]*$")
_VALUED = frozenset(
    # Options whose next argument is theirs; the script comes later.
    ("-X", "-W", "-r", "--require", "--import", "--loader", "-C", "-I", "-cp", "-classpath", "-d")
)
_INLINE = frozenset(("-c", "-e", "-p", "--eval", "--print", "-pe"))
_VERBS = frozenset(("run", "x", "exec"))  # of bun and deno
_GENERIC = frozenset(("index", "cli", "main", "__main__", "app", "server"))
_FOLDERS = frozenset(("dist", "src", "bin", "lib", "build", "out", "bundle", "cjs", "esm"))
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "fish"))
_WRAPPERS = frozenset(("env", "sudo", "su", "login", "init", "systemd", "tmux", "timeout", "xargs"))
_OURS = frozenset(("agenttrace", "agenttrace-mitm", "agenttrace_mitm"))
_PASSED_OVER = _SHELLS | _WRAPPERS | _OURS
_ANCESTORS = 16
_FOLDERS_UP = 40
_FRESH_S = 3.0
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Process:
    """Who is on the other end of a connection.  `started` is in clock ticks since the boot."""

    pid: int
    name: str
    cwd: str = ""
    started: str = ""
    started_by: str = ""
    repository: str = ""
    branch: str = ""


class Processes:
    """Descriptions of processes, looked up again when they are a few seconds old."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[int, tuple[float, Process]] = {}

    def of(self, pid: int) -> Process:
        """What there is to know about the process *pid*.  Raises `OSError` when it is gone."""
        now = self._clock()
        at, known = self._known.get(pid, (-_FRESH_S, None))
        if known and now - at < _FRESH_S and _is_still(known):
            return known
        self._known = {k: v for k, v in self._known.items() if now - v[0] < _FRESH_S}
        found = described(pid)
        self._known[pid] = now, found
        return found


def _is_still(known: Process) -> bool:
    """Whether its number is not another process's by now; one that has just ended is still it."""
    try:
        return known.started == _stat(known.pid)[0]
    except OSError:
        return True


def described(pid: int) -> Process:
    """What there is to know about the process *pid*.  Raises `OSError` when it is gone.

    Its name comes first: a program that ends meanwhile is still called after itself.
    """
    name = name_of(pid)
    started, parent, cwd = "", 0, ""
    with contextlib.suppress(OSError):
        started, parent = _stat(pid)
        cwd = str((_PROC / str(pid) / "cwd").readlink())
    repository, branch = repository_of(Path(cwd)) if cwd else ("", "")
    return Process(pid, name, cwd, started, _starter(parent), repository, branch)


def name_of(pid: int) -> str:
    """The name of the program: a script's own, where an interpreter runs one."""
    folder = _PROC / str(pid)
    name = (folder / "comm").read_text("utf-8", "replace").strip()
    with contextlib.suppress(OSError), (folder / "cmdline").open("rb") as file:
        arguments = file.read(_MOST_BYTES).decode("utf-8", "replace").split("\0")
        return script(arguments) or name
    return name


def script(arguments: list[str]) -> str:
    """The script that the command line *arguments* has an interpreter run; empty if none."""
    if not _INTERPRETER.match(interpreter := arguments[0].rpartition("/")[2]):
        return ""
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _INLINE:
            return interpreter
        if argument == "-m":
            return next(rest, "").removesuffix(".__main__") or interpreter
        if argument == "-jar":
            return next(rest, "").rpartition("/")[2] or interpreter
        if argument in _VALUED:
            next(rest, None)
        elif argument and not argument.startswith("-") and argument not in _VERBS:
            return _named(argument)
    return interpreter


def _named(path: str) -> str:
    """The file's name, or its package's where files of that name are everywhere."""
    *folders, file = path.split("/")
    if file.partition(".")[0] in _GENERIC:
        return next((each for each in reversed(folders) if each and each not in _FOLDERS), file)
    return file


def _starter(pid: int) -> str:
    """The nearest ancestor that is no shell or the like."""
    with contextlib.suppress(OSError):
        for _ in range(_ANCESTORS):
            if pid <= 1:
                break
            if (name := name_of(pid)) not in _PASSED_OVER:
                return name
            _, pid = _stat(pid)
    return ""


def _stat(pid: int) -> tuple[str, int]:
    """When the process started, and its parent."""
    # The second field is a name in parentheses, which may hold anything.
    fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return fields[19], int(fields[1])


def repository_of(folder: Path) -> tuple[str, str]:
    """Name and branch (or short commit) of the git repository around *folder*; empty if none."""
    with contextlib.suppress(OSError, ValueError):
        for each in [folder, *folder.parents][:_FOLDERS_UP]:
            git = each / ".git"
            if git.is_dir():
                return each.name, _branch(git)
            if git.is_file():
                return _linked(each, git)
    return "", ""


def _linked(folder: Path, pointer: Path) -> tuple[str, str]:
    """A worktree or a submodule: `.git` is a file that says where its data is."""
    git = folder / _short(pointer).removeprefix("gitdir:").strip()
    name = folder.name
    with contextlib.suppress(OSError):
        # A worktree belongs to the repository whose data it shares.
        shared = Path(os.path.normpath(git / _short(git / "commondir").strip()))
        name = shared.parent.name if shared.name == ".git" else name
    return name, _branch(git)


def _branch(git: Path) -> str:
    head = _short(git / "HEAD").strip()
    if head.startswith("ref:"):
        return head.removeprefix("ref:").strip().removeprefix("refs/heads/")
    return head[:12]


def _short(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")
