"""`traces`: where calls belong, inferred again."""

import sys

import click

from . import options


@click.group()
def command() -> None:
    """Infer again which calls belong together.

    \b
    agenttrace-mitm traces rebuild
    """


@command.command()
@options.settings("db")
def rebuild(**given: str | None) -> None:
    """Infer conversations, tool spans, traces and agents of all stored calls again.

    Doing it twice changes nothing.  Calls that come meanwhile are left alone.

    \b
    agenttrace-mitm traces rebuild
    """
    from ..figures import counted
    from ..retrace import retrace
    from ..traces import Fingerprinter
    from .instance import key_of_recorded

    settings = options.load(given)
    prints = Fingerprinter(key_of_recorded(settings))
    terminal = sys.stderr.isatty()

    def progress(done: int, of: int) -> None:
        if terminal:
            click.echo(f"\r{done:,} of {of:,} calls", nl=done == of, err=True)

    told = retrace(settings.database, prints, progress)
    verb = "has" if told.changed == 1 else "have"
    click.echo(f"{counted(told.calls, 'call')} placed, {told.changed:,} {verb} another place now.")
