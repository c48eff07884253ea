"""`token`: the access token of pages and API."""

import click

from . import options
from .typed import say

NONE = "There are none: agenttrace-mitm token create --help"


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


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "ingest", "admin"]),
    default=("read",),
    show_default=True,
    help="What it is good for; repeat it.",
)
@options.settings("db")
def create(name: str, scopes: tuple[str, ...], **given: str | None) -> None:
    """Make a named token for a program.  It is printed this once.

    \b
    agenttrace-mitm token create my-agent --scope ingest
    """
    from ..store import open_database, tokens

    database = options.load(given).database
    open_database(database).close()
    click.echo(tokens.create(database, name, scopes))


@command.command("list")
@options.settings("db")
def list_(**given: str | None) -> None:
    """List the named tokens, without the tokens themselves."""
    from ..store import open_database, tokens
    from .text import moment, table

    database = options.load(given).database
    if not database.exists():
        say(NONE)
        return
    open_database(database).close()
    rows = [
        (
            one.name,
            ", ".join(one.scopes),
            moment(one.created_us),
            moment(one.used_us),
            moment(one.revoked_us) if one.revoked_us else "in force",
        )
        for one in tokens.all_tokens(database)
    ]
    if not rows:
        say(NONE)
        return
    click.echo(table(("name", "scopes", "made", "used", "revoked"), rows))


@command.command()
@click.argument("name")
@options.settings("db")
def revoke(name: str, **given: str | None) -> None:
    """Put a named token out of force."""
    from ..errors import no_database
    from ..store import tokens

    database = options.load(given).database
    if not database.exists():
        raise no_database(database)
    tokens.revoke(database, name)
    click.echo(f"Token {name!r} is good for nothing any more.")
