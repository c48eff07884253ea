"""Commands of ours as they can be typed here: what is printed works in another terminal.

Texts say `agenttrace-mitm ...`; where that is another program's name on PATH, or nobody's, as in
the terminal of somebody who used `./scripts/start`, it becomes the path of this one.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

import click

NAME = "agenttrace-mitm"
# Not within a path, and not our name as the beginning of an error.
_COMMAND = re.compile(rf"(?<![\w./-]){NAME}(?= [a-z])")


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
    """*text* with its commands as a shell knows them."""
    return _COMMAND.sub(lambda _: program(), text)


def say(text: str, *, err: bool = False) -> None:
    """Print *text*, in which commands of ours are named."""
    click.echo(typed(text), err=err)
