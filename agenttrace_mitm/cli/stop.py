"""`stop`: end the running instance."""

import os

import click

from ..errors import AgentTraceError
from . import options
from .typed import say


@click.command()
@click.option("--now", is_flag=True, help="Cut calls under way short.")
@click.option(
    "--wait",
    default="10m",
    show_default=True,
    metavar="TIME",
    help="Patience, such as 30s or 10m; a number alone is seconds.",
)
def command(now: bool, wait: str) -> None:
    """End recording and pages, after the calls under way.

    \b
    agenttrace-mitm stop
    """
    from ..launch import control, environment
    from . import machine
    from .env import NOWHERE
    from .instance import not_running
    from .written import seconds

    wait_s = seconds(wait, "--wait", unit="s")
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
