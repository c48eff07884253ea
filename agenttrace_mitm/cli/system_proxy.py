"""`system-proxy`: the desktop's own proxy setting, for programs that nobody starts with `run`."""

import click

from . import options
from .typed import say


@click.group()
def command() -> None:
    """The desktop's proxy: record programs that are started by clicking.

    Programs also have to trust our root: see `ca install`.

    \b
    agenttrace-mitm system-proxy enable
    agenttrace-mitm system-proxy disable
    """


@command.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def enable(dry_run: bool) -> None:
    """Point the desktop's proxy at the running instance (GNOME; macOS: untested)."""
    from ..errors import AgentTraceError
    from ..launch import state
    from ..launch.changes import Machine, desktop_proxy
    from . import machine
    from .instance import running

    settings = options.load({})
    with running(settings) as client:
        facts = client.ask(op="status")
    if not facts["stays"]:
        raise AgentTraceError(
            "The running instance ends with its `run`, and the desktop would be without a network",
            "Start one that stays: agenttrace-mitm start",
        )
    host, port = state.reachable(facts["proxy_host"]).strip("[]"), facts["proxy_port"]
    machine.make(settings, desktop_proxy(Machine.here(), host, port), dry_run=dry_run)
    if not dry_run:
        say("Before you end AgentTrace for good: agenttrace-mitm system-proxy disable")


@command.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def disable(dry_run: bool) -> None:
    """Put the desktop's proxy back exactly as it was."""
    from . import machine

    settings = options.load({})
    entries = [each for each in machine.journal(settings).entries() if each.kind in machine.PROXY]
    machine.undo(settings, entries, dry_run=dry_run)
    if not entries:
        click.echo("The desktop's proxy was not changed by us.")


@command.command()
def status() -> None:
    """Say whether the desktop's proxy leads to us.  Exit code 1 when it does not."""
    from ..launch.changes import Machine, rebuild
    from . import machine

    entries = machine.journal(options.load({})).entries()
    ours = [each for each in entries if each.kind in machine.PROXY]
    for entry in ours:
        change = rebuild(entry, Machine.here())
        address = f"{entry.facts['host']}:{entry.facts['port']}"
        if change.is_applied():
            click.echo(f"On: {change.name} leads to {address}.")
        else:
            click.echo(f"Changed since: {change.name} no longer leads to {address}.")
            raise SystemExit(1)
    if not ours:
        click.echo("Off: the desktop's proxy was not changed by us.")
        raise SystemExit(1)
