"""`stop`: end the running instance."""

import os

import click

from ..errors import AgentTraceError
from . import options
from .typed import say


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
    from ..launch import control, environment
    from . import machine
    from .env import NOWHERE
    from .instance import not_running

    settings = options.load({})
    client = control.connect(settings.run_folder)
    led = environment.SAVED in os.environ
    if client is None:
        raise not_running(settings, NOWHERE if led else "")
    with client:
        told = client.ask(op="stop", now=now)
        if not client.wait_closed(wait_s):
            raise AgentTraceError("Calls are still under way", "Run: agenttrace-mitm stop --now")
    click.echo("Stopped.")
    if any(entry.kind in machine.PROXY for entry in machine.journal(settings).entries()):
        say("The desktop's proxy still leads here: agenttrace-mitm system-proxy disable")
    if told.get("leads_shells") or led:
        say(NOWHERE)
