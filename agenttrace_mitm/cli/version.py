"""`version`: which one this is."""

import click

from .. import __version__


@click.command()
def command() -> None:
    """Print the version."""
    click.echo(f"agenttrace-mitm {__version__}")
