"""Messages to a command: its standard input gets the JSON body, its environment the main fields."""

import contextlib
import json
import os
import shlex
import signal
import subprocess

from ..model import Delivery
from .targets import TIMEOUT_S, NotDelivered


def send(command: str, delivery: Delivery, timeout_s: float = TIMEOUT_S) -> None:
    """Run *command*, without a shell.  Raises `NotDelivered` unless it ends well, in time."""
    body = delivery.body if isinstance(delivery.body, dict) else {}
    said = {
        f"AGENTTRACE_ALERT_{name.upper()}": str(body.get(name) or "")
        for name in ("id", "transition", "rule_type", "message", "subject", "severity")
    }
    try:
        words = shlex.split(command)
        running = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **said},
            start_new_session=os.name == "posix",
        )
    except (OSError, ValueError) as error:
        raise NotDelivered(f"{command.split(maxsplit=1)[0]} cannot be run ({error})") from None
    try:
        _, told = running.communicate(json.dumps(body).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NotDelivered(f"the command did not end within {timeout_s:g} s") from None
    finally:
        _end(running)
    if running.returncode:
        last = told.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise NotDelivered(": ".join([f"exit code {running.returncode}", *last])[:300])


def _end(running: "subprocess.Popen[bytes]") -> None:
    if running.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(running.pid, signal.SIGKILL)
            else:
                running.kill()
        running.wait()
    if running.stderr:
        running.stderr.close()
