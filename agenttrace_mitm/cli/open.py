"""`open`: a fresh login link."""

import sys

import click

from ..errors import AgentTraceError
from . import options


@click.command()
@click.option("--no-open", is_flag=True, help="Only print the link.")
def command(no_open: bool) -> None:
    """Open the pages, signed in.

    \b
    agenttrace-mitm open
    """
    from ..launch import state
    from .instance import login_link, running

    settings = options.load({})
    with running(settings):
        daemon = state.read(settings.run_folder)
    if daemon is None or daemon.web_url is None:
        raise AgentTraceError("The pages are not up", "See `agenttrace-mitm logs web`")
    link = login_link(settings, daemon.web_url)
    click.echo(link)
    if not no_open and sys.stdout.isatty():
        click.launch(link)
