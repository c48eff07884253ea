"""Programs below a `run` whose own environment keeps recorded hosts away from the proxy.

`run` takes recorded hosts out of NO_PROXY; a script may put them back for what it starts.  Linux:
the environment that a process began with can be read.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .runtimes.proxy import hidden_by

EVERY_S = 0.5
_PROC = Path("/proc")
HOOKED = {"python": b"PYTHONPATH=", "node": b"NODE_OPTIONS="}
"""Runtimes that our hooks bring to us whatever their variables say, unless they lost these."""

type Seen = Callable[[str, str, str], object]
"""Is told host, reason and program."""


class Strays:
    """Looks at the descendants of this process from time to time, in a thread of its own."""

    def __init__(self, hosts: Collection[str], seen: Seen) -> None:
        self._hosts = tuple(hosts)
        self._seen = seen
        self._known: set[int] = set()
        self._told: set[tuple[str, str]] = set()
        self._ours: set[int] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="strays", daemon=True)

    def __enter__(self) -> Self:
        if Path("/proc/self/task").is_dir():
            # An instance that `run` started has the user's own NO_PROXY, and needs no proxy.
            self._ours = set(children(os.getpid()))
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(EVERY_S):
            for pid in set(descendants(os.getpid(), self._ours)) - self._known:
                self._known.add(pid)
                if (found := judged(pid, self._hosts)) and found not in self._told:
                    self._told.add(found)
                    self._tell(*found)

    def _tell(self, item: str, program: str) -> None:
        hidden = [host for host in self._hosts if hidden_by(item, host)]
        host = hidden[0] if len(hidden) == 1 else item
        self._seen(host, f"{item!r} in NO_PROXY keeps it from the proxy", program)


def judged(pid: int, hosts: Collection[str]) -> tuple[str, str] | None:
    """The NO_PROXY item by which the process *pid* keeps *hosts* from us, and its name."""
    with contextlib.suppress(OSError):
        environ = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        name = (_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip()
        # Not by its name: Node calls itself MainThread.
        program = (_PROC / str(pid) / "exe").readlink().name
        if any(
            program.startswith(each) and _hooked(environ, mark) for each, mark in HOOKED.items()
        ):
            return None
        for each in environ:
            variable, _, value = each.decode("utf-8", "replace").partition("=")
            if variable.upper() == "NO_PROXY":
                for item in filter(None, (hidden_by(value, host) for host in hosts)):
                    return item, name
    return None


def descendants(pid: int, without: Collection[int] = ()) -> Iterator[int]:
    """Processes below *pid*, but for *without* and what is below those."""
    for child in children(pid):
        if child not in without:
            yield child
            yield from descendants(child, without)


def children(pid: int) -> list[int]:
    """The processes that *pid* started."""
    found: list[int] = []
    for file in _PROC.glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text("ascii").split())
    return found


def _hooked(environ: list[bytes], mark: bytes) -> bool:
    return any(each.startswith(mark) and b"launch/hooks" in each for each in environ)
