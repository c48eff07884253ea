"""The user's crontab: one line of ours for a home, marked as such, everything else as it was."""

import shlex
import shutil
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
    log = shlex.quote(str(settings.log_folder / "alerts.log"))
    return f"* * * * * {_home(settings)}{_literal(f'{shlex.join(words)} >{log}')} 2>&1 {MARK}"


def has_line(settings: "Settings") -> bool:
    """Whether a line of ours for this home is in the crontab.  Raises `AgentTraceError`."""
    return any(_is_ours(one, settings) for one in _read().splitlines())


def put(settings: "Settings") -> None:
    """Write our line, in the place of the one before.  Raises `AgentTraceError`."""
    _write([*_others(settings), line(settings)])


def remove(settings: "Settings") -> None:
    """Take our line out, and with the last line the crontab.  Raises `AgentTraceError`."""
    if not has_line(settings):
        return
    if kept := _others(settings):
        _write(kept)
    else:
        _run(["crontab", "-r"])


def _others(settings: "Settings") -> list[str]:
    return [one for one in _read().splitlines() if not _is_ours(one, settings)]


def _is_ours(one: str, settings: "Settings") -> bool:
    """Whether we wrote *one*, for this home: another home's checks are not ours to end."""
    return one.endswith(MARK) and f" {_home(settings)}" in one


def _home(settings: "Settings") -> str:
    return _literal(f"AGENTTRACE_HOME={shlex.quote(str(settings.home))} ")


def _literal(command: str) -> str:
    """*command* as a crontab wants it: a % would begin its standard input."""
    return command.replace("%", r"\%")


def _write(lines: list[str]) -> None:
    _run(["crontab", "-"], "".join(f"{one}\n" for one in lines))


def _read() -> str:
    if shutil.which("crontab") is None:
        return ""  # and nobody's line can be in it
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
