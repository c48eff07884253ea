"""`run`'s program: exit codes, signals, terminal."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from agenttrace_mitm.launch import program

RUN = """
import sys
from agenttrace_mitm.launch.program import run
import os
sys.exit(run(sys.argv[1:], os.environ))
"""


def wrapped(*command):
    return [sys.executable, "-c", RUN, *command]


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(code):
    assert program.run(["sh", "-c", f"exit {code}"], os.environ) == code


def test_death_by_signal_is_128_and_the_signal():
    assert program.run(["sh", "-c", "kill -9 $$"], os.environ) == 137


def test_a_program_that_is_not_there_is_said_like_a_shell_would():
    with pytest.raises(program.NotStartedError, match="cannot be run") as caught:
        program.run(["no-such-program"], os.environ)
    assert caught.value.exit_code == 127
    with pytest.raises(program.NotStartedError) as caught:
        program.run(["/etc/passwd"], os.environ)
    assert caught.value.exit_code == 126


def test_standard_streams_pass_through():
    done = subprocess.run(wrapped("cat"), input=b"in\0put", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"in\0put", b"")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_are_passed_on(sign):
    script = f"import signal, sys; signal.signal({int(sign)}, lambda *_: sys.exit(42))"
    code = f"{script}; print('up', flush=True); signal.pause()"
    process = subprocess.Popen(
        wrapped(sys.executable, "-c", code), stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"up\n"
    process.send_signal(sign)
    assert process.wait(10) == 42
    process.stdout.close()


def test_ctrl_c_in_a_terminal_reaches_the_program_once():
    """It is in the foreground group itself; a copy from us would be a second Ctrl-C."""
    code = (
        "import signal, time; n = []; signal.signal(2, lambda *_: n.append(1)); "
        "print('up', flush=True); "
        "[time.sleep(0.05) for _ in range(600) if not n]; "
        "time.sleep(1); print('got', len(n), flush=True)"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        command = wrapped(sys.executable, "-c", code)
        os.execv(command[0], command)
    said = b""
    while b"up" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    deadline = time.monotonic() + 60
    while not said.endswith(b"got 1\r\n") and time.monotonic() < deadline:
        said += os.read(terminal, 1024)
    assert b"got 1" in said
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
