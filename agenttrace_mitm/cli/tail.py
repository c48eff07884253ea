"""`tail`: calls as they happen."""

import os
import sys
import time

import click

from . import options


def colourful() -> bool:
    """Whether stdout wants colours: a terminal, and nobody said NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@click.command()
@click.option(
    "-n",
    "--last",
    type=options.NUMBER,
    default=10,
    show_default=True,
    help="Begin with so many old calls.",
)
@click.option("--no-follow", is_flag=True, help="Do not wait for further calls.")
@options.settings("db")
def command(last: int, no_follow: bool, **given: str | None) -> None:
    """Follow the calls, one line each.

    \b
    agenttrace-mitm tail -n 50
    """
    from .follow import POLL_S, Follower
    from .text import call_line

    follower = Follower(options.load(given).database, last=last)
    colour = colourful()
    try:
        while True:
            for call in follower.poll():
                click.echo(call_line(call, colour=colour), color=colour)
            if no_follow:
                return
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return
