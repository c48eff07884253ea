"""`env`: the variables of `run`, for the shell one is in."""

import os
import shlex

import click

from . import options

UNDO = 'eval "$(agenttrace-mitm env --unset)"'
NOWHERE = f"Shells that ran `env` still lead here, and reach nothing until each runs: {UNDO}"
"""Said once there is no proxy any more."""


@click.command()
@click.option("--unset", is_flag=True, help="Print what undoes it, exactly.")
@options.settings("proxy_host")
def command(unset: bool, **given: str | None) -> None:
    """Print what records everything that this shell starts.

    \b
    eval "$(agenttrace-mitm env)"
    eval "$(agenttrace-mitm env --unset)"
    """
    from msgspec.structs import replace

    from ..launch import environment
    from .instance import context, running, user_environ

    if unset:
        for name, value in environment.saved(os.environ).items():
            click.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
        if environment.SAVED in os.environ:
            click.echo(f"unset {environment.SAVED}")
        return
    settings = options.load(given)
    with running(settings) as client:
        facts = client.ask(op="lead")
    if given["proxy_host"] is None:
        settings = replace(settings, proxy_host=facts["proxy_host"])
    for name, value in environment.variables(context(settings, facts), user_environ()).items():
        click.echo(f"export {name}={shlex.quote(value)}")
