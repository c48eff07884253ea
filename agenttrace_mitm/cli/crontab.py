"""The user's crontab: one line of ours, marked as such, everything else as it was."""

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from ..errors import AgentTraceError

if TYPE_CHECKING:
    from ..settings import Settings

MARK = "# AgentTrace alerts"


def line(settings: "Settings") -> str:
    """The line that checks every minute.  Cron knows neither our PATH nor our home folder."""
    words = [sys.executable, "-m", "agenttrace_mitm", "alerts", "check"]
    if settings.db:
        words += ["--db", str(settings.db)]
    log = settings.log_folder / "alerts.log"
    command = f"AGENTTRACE_HOME={shlex.quote(str(settings.home))} {shlex.join(words)}"
    # A % would begin the command's standard input.
    return f"* * * * * {command} >{shlex.quote(str(log))} 2>&1 {MARK}".replace("%", r"\%")


def change(wanted: str | None) -> None:
    """Put *wanted* in the place of our line; None takes it out.  Raises `AgentTraceError`."""
    kept = [one for one in _read().splitlines() if not one.endswith(MARK)]
    lines = [*kept, wanted] if wanted else kept
    _run(["crontab", "-"], "".join(f"{one}\n" for one in lines))


def _read() -> str:
    try:
        return _run(["crontab", "-l"])
    except AgentTraceError as error:
        if "no crontab for" in str(error):
            return ""
        raise


def _run(words: list[str], given: str | None = None) -> str:
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    except OSError:
        raise AgentTraceError(
            "There is no crontab command here", "Add the line to your scheduler yourself"
        ) from None
    if done.returncode:
        raise AgentTraceError(f"crontab refused: {done.stderr.strip()}")
    return done.stdout
