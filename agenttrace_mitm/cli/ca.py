"""`ca`: the certificate authority that lets the proxy read provider traffic."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from . import options
from .typed import say

if TYPE_CHECKING:
    from ..capture.authority import Authority


@click.group()
def command() -> None:
    """The certificate authority: good for provider hosts, and nothing else.

    \b
    agenttrace-mitm ca show
    agenttrace-mitm ca install --nss
    """


@command.command()
def show() -> None:
    """Say where it is, what it may sign, and until when."""
    from ..capture import authority

    _print(authority.describe(options.load({}).ca_folder))


@command.command()
def rotate() -> None:
    """Make a new one.  Whatever was told to trust the old one has to be told again."""
    from ..capture import authority
    from ..hosts import certificate_names, hosts
    from ..launch import control

    settings = options.load({})
    # As capture asks for it: a host that is switched off keeps its name.
    known = hosts(settings.hosts_added, (), settings.hosts_enabled)
    names = certificate_names(known)
    _print(authority.rotate(settings.ca_folder, names))
    if client := control.connect(settings.run_folder):
        client.close()
        say("Restart the running instance to use it: agenttrace-mitm stop, then start.")


WHERE = ("system", "nss", "java")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


def _places(function: Callable[..., None]) -> Callable[..., None]:
    texts = {
        "system": "The system's store (on Linux as root; macOS: the user's, untested).",
        "nss": "Firefox, and Chromium on Linux (needs certutil).",
        "java": "The cacerts of each Java.",
    }
    for name in reversed(WHERE):
        function = click.option(f"--{name}", is_flag=True, help=texts[name])(function)
    return function


@command.command()
@_places
@_dry_run
def install(dry_run: bool, **places: bool) -> None:
    """Let this machine trust our root.  `run` and `env` do not need it; system-proxy does.

    \b
    agenttrace-mitm ca install --nss
    agenttrace-mitm ca install --system --dry-run
    """
    from ..capture import authority
    from ..launch.changes import Machine, trust_stores
    from . import machine

    chosen = [name for name in WHERE if places[name]]
    if not chosen:
        raise click.UsageError("Say where: --system, --nss, --java.  Nothing is done by default.")
    settings = options.load({})
    root = authority.describe(settings.ca_folder).root
    machine.make(settings, trust_stores(Machine.here(), chosen, root), dry_run=dry_run)


@command.command()
@_places
@_dry_run
def uninstall(dry_run: bool, **places: bool) -> None:
    """Put the trust stores back exactly as they were; without an option, all of them.

    \b
    agenttrace-mitm ca uninstall
    """
    from . import machine

    settings = options.load({})
    kinds = {
        "system": ("system-store", "keychain", "root-store"),
        "nss": ("nss",),
        "java": ("java-store",),
    }
    chosen = [kind for name in WHERE if places[name] for kind in kinds[name]] or machine.TRUST
    entries = [each for each in machine.journal(settings).entries() if each.kind in chosen]
    machine.undo(settings, entries, dry_run=dry_run)
    if not entries:
        click.echo("Our root is in none of them.")


def _print(found: "Authority") -> None:
    click.echo(f"Root         {found.root}")
    click.echo(f"SHA-256      {found.fingerprint}")
    click.echo(f"Good until   {found.expires:%Y-%m-%d}")
    click.echo(f"Good for     {', '.join(found.names)}")
