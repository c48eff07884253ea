"""`open`: a fresh login link."""

import sys
from typing import TYPE_CHECKING

import click

from ..errors import AgentTraceError
from . import options

if TYPE_CHECKING:
    from ..settings import Settings


@click.command()
@click.option("--no-open", is_flag=True, help="Only print the link.")
def command(no_open: bool) -> None:
    """Open the pages of `start`, or else of `serve`, signed in.

    \b
    agenttrace-mitm open
    """
    from .instance import login_link

    settings = options.load({})
    link = login_link(settings, _pages(settings))
    click.echo(link)
    if not no_open and sys.stdout.isatty():
        click.launch(link)


def _pages(settings: "Settings") -> str:
    """Where the pages are: of the running instance, or of the last `serve`."""
    from ..launch import control, state
    from .instance import not_running

    if client := control.connect(settings.run_folder):
        client.close()
        daemon = state.read(settings.run_folder)
        if daemon is None or daemon.web_url is None:
            raise AgentTraceError("The pages are not up", "See `agenttrace-mitm logs web`")
        return daemon.web_url
    served = state.served(settings.run_folder)
    if not served:
        raise not_running(settings)
    click.echo(f"serve shows {served[0].db} (pid {served[0].pid})", err=True)
    return served[0].web_url
