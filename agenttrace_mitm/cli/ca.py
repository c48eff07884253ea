"""`ca`: the certificate authority that lets the proxy read provider traffic."""

from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..capture.authority import Authority


@click.group()
def command() -> None:
    """The certificate authority: good for provider hosts, and nothing else.

    \b
    agenttrace-mitm ca show
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
    from ..launch import control
    from ..providers.hosts import certificate_names, hosts

    settings = options.load({})
    # As capture asks for it: a host that is switched off keeps its name.
    known = hosts(settings.hosts_added, (), settings.hosts_enabled)
    names = certificate_names(known)
    _print(authority.rotate(settings.ca_folder, names))
    if client := control.connect(settings.run_folder):
        client.close()
        click.echo("Restart the running instance to use it: agenttrace-mitm stop, then start.")


def _print(found: "Authority") -> None:
    click.echo(f"Root         {found.root}")
    click.echo(f"SHA-256      {found.fingerprint}")
    click.echo(f"Good until   {found.expires:%Y-%m-%d}")
    click.echo(f"Good for     {', '.join(found.names)}")
