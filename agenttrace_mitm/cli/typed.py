"""Commands of ours as they can be typed here: what is printed works in another terminal.

Texts say `agenttrace-mitm ...`; where that is another program's name on PATH, or nobody's, as in
the terminal of somebody who used `./scripts/start`, it becomes the path of this one.  Where the
command line named a database with --db, so do they.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..errors import AgentTraceError

NAME = "agenttrace-mitm"
# Not within a path, and not our name as the beginning of an error.
_COMMAND = re.compile(rf"(?<![\w./-]){NAME}((?: [a-z][a-z-]*)+)")
_ENDS_IN_COMMAND = re.compile(rf"(?:^|: |See ){NAME} [^,;]*$")
_DATABASE = f"{__name__}.database"
"""In click's `meta`, which all contexts of a command line share."""


def names_database(path: Path) -> None:
    """Remember that the command line names the database *path*, for the commands told of."""
    if context := click.get_current_context(silent=True):
        context.meta[_DATABASE] = path


def program() -> str:
    """What a shell knows this program by, quoted."""
    ours = Path(sys.executable).with_name(NAME)
    if not ours.exists():
        return shlex.join([sys.executable, "-m", "agenttrace_mitm"])
    known = shutil.which(NAME)
    if known and Path(known).resolve() == ours.resolve():
        return NAME
    return shlex.quote(str(ours))


def typed(text: str) -> str:
    """*text* with its commands as a shell knows them, about the database that was named."""
    context = click.get_current_context(silent=True)
    database = context.meta.get(_DATABASE) if context else None
    option = f" --db {shlex.quote(str(database))}" if database else ""

    def retyped(found: re.Match[str]) -> str:
        words: str = found[1]
        end = _end_of_command(words) if option else 0
        return program() + (words[:end] + option + words[end:] if end else words)

    return _COMMAND.sub(retyped, text)


def sentence(remedy: str) -> str:
    """*remedy* with a full stop, unless it ends in a command: that is copied to the line's end."""
    return remedy if _ENDS_IN_COMMAND.search(remedy) else remedy.rstrip(".") + "."


def for_programs(error: "AgentTraceError") -> dict[str, str]:
    """*error* as what `--json` prints in the place of an answer."""
    return {"error": error.problem, "remedy": typed(error.remedy)}


def _end_of_command(words: str) -> int:
    """Where in *words* the command has its name behind it; 0 for one that takes no --db."""
    from . import cli  # which needs this module to tell of its own errors

    command: click.Command | None = cli
    for word in re.finditer(r"[a-z-]+", words):
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), word[0])
        if command and any(one.name == "db" for one in command.params):
            return word.end()
    return 0


def say(text: str, *, err: bool = False) -> None:
    """Print *text*, in which commands of ours are named."""
    click.echo(typed(text), err=err)
