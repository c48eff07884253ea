"""Running somebody's program as if we were not there: terminal, signals, exit code.

The program stays in our process group, so job control and Ctrl-C reach it as from a shell.
Signals that were sent to us alone are passed on.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from ..errors import AgentTraceError

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class NotStartedError(AgentTraceError):
    """The program could not be started; `exit_code` is what a shell would say."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__(f"{command} cannot be run ({error.strerror})", "Check its name and mode")
        self.exit_code = 127 if isinstance(error, FileNotFoundError) else 126


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Sequence[int] = (),
    begun: Callable[[], None] = lambda: None,
) -> int:
    """Run *command* to its end; its exit code, or 128 plus the signal that ended it.

    It inherits *descriptors*.  *begun* is called once the process is there; when it raises, the
    process is waited for all the same.
    """
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, frame: FrameType | None) -> None:
        # A terminal sends Ctrl-C to the program itself: once is enough.
        if child and not (number in FROM_TERMINAL and _in_foreground()):
            child.send_signal(number)

    # Handlers, not SIG_IGN: the program would inherit that.
    before = {sign: signal.signal(sign, forward) for sign in (*FORWARDED, *FROM_TERMINAL)}
    try:
        child = _started(command, environ, descriptors)
        try:
            begun()
        finally:
            code = child.wait()
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    return 128 - code if code < 0 else code


def _started(
    command: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[int]
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(command, env=dict(environ), pass_fds=descriptors)
    except OSError as error:
        raise NotStartedError(command[0], error) from None


def _in_foreground() -> bool:
    """Whether our process group is the one that the terminal's keys reach."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
