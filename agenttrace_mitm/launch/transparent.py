"""Outside `run --transparent`: start CMD in a network of its own, whose listeners are the proxy's.

`namespace.py` does what has to be done inside.  We take the listening sockets that it made, give
them to whichever capture worker asks, also after a restart, and let the program begin.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import AgentTraceError
from . import trust
from .program import NotStartedError

INSIDE = Path(__file__).with_name("namespace.py")
MOST_DESCRIPTORS = 253
START_WITHIN_S = 10.0
FOLDER_PREFIX = "agenttrace-listeners-"


class ForbiddenError(AgentTraceError):
    """There can be no namespace here; nothing was started."""


class Namespace:
    """A program's network, from before the program starts until it has ended.

    Use it as a context manager; `arguments` start the program, `adopt` is to be called once they
    were.
    """

    def __init__(self, command: Sequence[str], bundle: Path) -> None:
        self._command = command
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._ours, self._theirs = socket.socketpair()
        self._handed: list[int] = []
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._bundle = bundle

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread, which close() would not
        for each in (self._door, self._ours, self._theirs):
            each.close()
        for descriptor in self._handed:
            os.close(descriptor)
        for file in self._folder.iterdir():
            file.unlink()
        self._folder.rmdir()

    @property
    def path(self) -> Path:
        """The socket at which the listeners are handed out."""
        return self._folder / "listeners.sock"

    @property
    def descriptor(self) -> int:
        """The file that the program's process has to inherit."""
        return self._theirs.fileno()

    @property
    def arguments(self) -> list[str]:
        """What to run in place of the command."""
        options = {"uid": os.getuid(), "gid": os.getgid(), "mounts": list(self._mounts())}
        python = [sys.executable, "-E", "-S", "-s", "-P", str(INSIDE)]
        return [*python, str(self.descriptor), json.dumps(options), *self._command]

    def adopt(self, connect: Callable[[Path], object]) -> None:
        """Take the listeners, *connect* the proxy to them, and let the program begin.

        Raises `ForbiddenError` when the kernel does not allow it, `NotStartedError` like a shell.
        """
        self._theirs.close()
        self._ours.settimeout(START_WITHIN_S)
        try:
            line, descriptors, _, _ = socket.recv_fds(self._ours, 4096, MOST_DESCRIPTORS)
        except OSError:
            line, descriptors = b"", []
        said = json.loads(line or b'{"error": "its set-up did not finish"}')
        if "error" in said:
            raise ForbiddenError(said["error"])
        self._handed = descriptors
        self._hand_out()
        connect(self.path)
        self._ours.settimeout(None)
        self._ours.send(b"\n")
        if failed := self._ours.recv(4096):  # nothing: it was closed because the program began
            number = json.loads(failed)["errno"]
            raise NotStartedError(self._command[0], OSError(number, os.strerror(number)))

    def _hand_out(self) -> None:
        self._door.bind(str(self.path))
        self.path.chmod(0o600)
        self._door.listen(8)
        threading.Thread(target=self._serve, name="listeners", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                worker, _ = self._door.accept()
            except OSError:
                return  # closed: the program has ended
            with worker, contextlib.suppress(OSError):
                socket.send_fds(worker, [b"\n"], self._handed)

    def _mounts(self) -> Iterator[tuple[str, str]]:
        """What looks different from inside: the name server, and the system's roots."""
        resolver = self._folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n", encoding="ascii")
        for source, targets in (
            (resolver, ("/etc/resolv.conf",)),
            (self._bundle, trust.SYSTEM_BUNDLES),
        ):
            real = dict.fromkeys(os.path.realpath(each) for each in targets)
            yield from ((str(source), each) for each in real if Path(each).is_file())


def why_not() -> str | None:
    """Why there can be no namespace here, None when there can."""
    if sys.platform != "linux":
        return "namespaces are Linux's"
    with Namespace(["true"], Path(os.devnull)) as namespace:
        process = subprocess.Popen(namespace.arguments, pass_fds=[namespace.descriptor])
        try:
            namespace.adopt(lambda _: None)
        except ForbiddenError as error:
            return error.problem
        finally:
            process.wait()
    return None
