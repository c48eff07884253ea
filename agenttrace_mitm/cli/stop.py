"""`stop`: end the running instance."""

import click

from ..errors import AgentTraceError
from . import options


@click.command()
@click.option("--now", is_flag=True, help="Cut calls under way short.")
@click.option(
    "--wait", "wait_s", metavar="SECONDS", default=600.0, help="Patience.  [default: 600]"
)
def command(now: bool, wait_s: float) -> None:
    """End recording and pages, after the calls under way.

    \b
    agenttrace-mitm stop
    """
    from . import machine
    from .instance import running

    settings = options.load({})
    with running(settings) as client:
        client.ask(op="stop", now=now)
        if not client.wait_closed(wait_s):
            raise AgentTraceError("Calls are still under way", "Run: agenttrace-mitm stop --now")
    click.echo("Stopped.")
    if any(entry.kind in machine.PROXY for entry in machine.journal(settings).entries()):
        click.echo("The desktop's proxy still leads here: agenttrace-mitm system-proxy disable")
