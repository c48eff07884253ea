"""Changes to the machine as commands make and undo them: say it first, then do it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..launch.changes import Change, Entry, Journal
    from ..settings import Settings

TRUST = ("system-store", "nss", "java-store", "keychain", "root-store")
PROXY = ("gnome-proxy", "networksetup", "internet-settings")


def journal(settings: "Settings") -> "Journal":
    """What was changed on this machine for this home."""
    from ..launch.changes import Journal

    return Journal(settings.installed_folder)


def make(settings: "Settings", changes: "Sequence[Change]", *, dry_run: bool) -> None:
    """Say what *changes* will do, and do it."""
    from ..launch.changes import Machine
    from ..launch.changes import make as make_change

    for change in changes:
        for line in change.will:
            click.echo(f"Will {line}")
    if dry_run:
        return
    machine, notes = Machine.here(), journal(settings)
    for change in changes:
        made = make_change(change, machine, notes)
        click.echo(f"Done: {change.name}." if made else f"Nothing to do: {change.name} has it.")


def undo(settings: "Settings", entries: "Sequence[Entry]", *, dry_run: bool = False) -> None:
    """Say what will be undone, and undo it, the newest first."""
    from ..launch.changes import Machine, rebuild
    from ..launch.changes import undo as undo_change

    machine, notes = Machine.here(), journal(settings)
    for entry in reversed(entries):
        name = rebuild(entry, machine).name
        click.echo(f"Will put {name} back as it was")
        if dry_run:
            continue
        for file in undo_change(entry, machine, notes):
            click.echo(
                f"  {file} was changed by others meanwhile, or is in use: "
                "only our part was taken out"
            )
