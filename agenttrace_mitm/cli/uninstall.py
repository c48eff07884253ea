"""`uninstall`: everything outside the home folder as it was before the first `start`."""

import shutil
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..settings import Settings

PATIENCE_S = 30.0
WORKING = ("ca", "run", "demo", "token", "notice")
"""What is of no use without the program; all else in the home folder is data."""


@click.command()
@click.option("--data", is_flag=True, help="Delete what was recorded and all settings as well.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting data.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(data: bool, yes: bool, dry_run: bool) -> None:
    """Put this machine back exactly as it was: trust stores, system proxy, crontab, processes.

    What was recorded is kept unless you say --data.  The program itself is removed by what
    installed it: pip uninstall agenttrace-mitm

    \b
    agenttrace-mitm uninstall --dry-run
    agenttrace-mitm uninstall --data
    """
    from . import machine

    settings = options.load({})
    if data and not (yes or dry_run):
        click.confirm(f"Delete {settings.database} and all of {settings.home}?", abort=True)
    # The desktop first: without the proxy behind it there would be no network.
    machine.undo(settings, machine.journal(settings).entries(), dry_run=dry_run)
    untouched = _take_out_of_crontab(settings, dry_run=dry_run)
    _stop(settings, dry_run=dry_run)
    _delete(settings, data=data, dry_run=dry_run)
    if untouched:
        click.echo(untouched)
    elif not dry_run:
        click.echo("This machine is as it was before.")
    else:
        click.echo("Nothing else would be changed.")
    if not dry_run and not data and settings.database.exists():
        click.echo(f"What was recorded is still in {settings.home}; --data deletes it.")


def _take_out_of_crontab(settings: "Settings", *, dry_run: bool) -> str:
    """Take out what `alerts install-cron` put in; what is to be done by hand when we cannot."""
    from ..errors import AgentTraceError
    from ..launch import crontab

    try:
        if crontab.has_line(settings):
            click.echo("Will take the line of `alerts install-cron` out of your crontab")
            if not dry_run:
                crontab.remove(settings)
    except AgentTraceError as error:
        return f"{error.problem}: a line that ends in `{crontab.MARK}` is yours to take out."
    return ""


def _stop(settings: "Settings", *, dry_run: bool) -> None:
    from ..errors import AgentTraceError
    from ..launch import control
    from .env import NOWHERE

    client = control.connect(settings.run_folder)
    if client is None:
        return
    with client:
        if dry_run:
            click.echo(f"Will end what is running, pid {client.ask(op='status')['pid']}")
            return
        told = client.ask(op="stop")
        if not client.wait_closed(PATIENCE_S):
            raise AgentTraceError(
                "AgentTrace is still waiting for calls under way",
                "Run `agenttrace-mitm stop --now`, then `uninstall` again",
            )
    if told.get("leads_shells"):
        click.echo(NOWHERE)


def _delete(settings: "Settings", *, data: bool, dry_run: bool) -> None:
    database = [
        settings.database.with_name(settings.database.name + s)
        for s in ("", "-wal", "-shm", "-recorder")
    ]
    doomed = [*database, settings.home] if data else [settings.home / name for name in WORKING]
    for path in doomed:
        if not path.exists():
            continue
        click.echo(f"{'Will delete' if dry_run else 'Deleted'} {path}")
        if dry_run:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
