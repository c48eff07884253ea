"""`doctor`: one line per check, a remedy where something is wrong."""

import json
import os
from typing import TYPE_CHECKING, Any

import click

from . import options
from .typed import say

if TYPE_CHECKING:
    from ..doctor import Finding

MARKS = {"ok": "ok", "note": "note", "wrong": "WRONG", "skipped": "skipped"}
COLOURS = {"ok": "green", "note": "yellow", "wrong": "red", "skipped": None}
WIDTH = 12


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@options.for_programs()
@click.option("--quick", is_flag=True, help="No calls by the runtimes found here.")
@click.option(
    "--only", metavar="RUNTIME", multiple=True, help="Only these make a call; repeatable."
)
def command(fix: bool, as_json: bool, quick: bool, only: tuple[str, ...]) -> None:
    """Look for what is wrong, and for where calls would go unseen.

    Each runtime on PATH makes a real call through a proxy of its own to a provider played on
    this machine.  Exit code 0 when all is right, 1 when something is wrong.

    \b
    agenttrace-mitm doctor
    agenttrace-mitm doctor --fix
    agenttrace-mitm doctor --only node --only java
    """
    from ..doctor import examine
    from ..doctor.runtimes import RUNTIMES

    known = [each.name for each in RUNTIMES]
    if unknown := [name for name in only if name not in known]:
        raise click.BadParameter(f"{unknown[0]}; known are {', '.join(known)}", param_hint="--only")
    found = []
    for finding in examine(_patient(), runtimes=not quick, only=only):
        mended = _mended(finding) if fix and finding.fix else ""
        found.append((finding, mended))
        if not as_json:
            _show(finding, mended)
    wrong = sum(finding.state == "wrong" and mended != "mended" for finding, mended in found)
    if as_json:
        click.echo(json.dumps([_plain(*each) for each in found], indent=1))
    elif wrong:
        can = any(finding.fix and not mended for finding, mended in found)
        hint = "; agenttrace-mitm doctor --fix mends what it can" if can else ""
        say(f"\n{wrong} wrong{hint}.")
    else:
        click.echo("\nAll is right.")
    raise SystemExit(1 if wrong else 0)


def _patient() -> Any:
    from ..doctor import Patient
    from ..launch.changes import Machine
    from .instance import context, user_environ

    settings = options.load({})
    return Patient(settings, Machine.here(), os.environ, user_environ(), context)


def _mended(finding: "Finding") -> str:
    """`mended`, or why it could not be."""
    from ..errors import AgentTraceError

    try:
        assert finding.fix
        finding.fix()
    except AgentTraceError as error:
        return f"{error.problem}. {error.remedy}"
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return "mended"


def _show(finding: "Finding", mended: str) -> None:
    from .text import printable

    mark = "mended" if mended == "mended" else MARKS[finding.state]
    colour = "green" if mark == "mended" else COLOURS[finding.state]
    said = click.style(f"{mark:<8}", fg=colour)
    click.echo(f"{said} {finding.check:<{WIDTH}} {printable(finding.said)}")
    if finding.remedy and mended != "mended" and finding.state != "ok":
        say(f"{'':<8} {'':<{WIDTH}} → {printable(mended or finding.remedy)}")


def _plain(finding: "Finding", mended: str) -> dict[str, object]:
    return {
        "check": finding.check,
        "state": finding.state,
        "said": finding.said,
        "remedy": finding.remedy or None,
        "can_be_mended": finding.fix is not None,
        "mended": mended == "mended",
    }
