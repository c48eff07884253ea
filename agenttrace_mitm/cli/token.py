"""`token`: the access token of pages and API."""

import click

from . import options


@click.group()
def command() -> None:
    """The access token of pages and API.

    \b
    curl -H "authorization: Bearer $(agenttrace-mitm token show)" http://127.0.0.1:8080/
    """


@command.command()
def show() -> None:
    """Print the token."""
    from .. import access

    click.echo(access.read_or_create_token(options.load({}).token_file))


@command.command()
def reset() -> None:
    """Make a new token.  Browsers and programs have to sign in again."""
    from .. import access

    click.echo(access.reset_token(options.load({}).token_file))
