"""`agents`: who made calls."""

import click

from . import options
from .stats import report


@click.command()
@click.option("--days", type=options.PAST_DAYS, default=7, show_default=True, help="How far back.")
@options.for_programs()
@options.settings("db")
def command(days: int, as_json: bool, **given: str | None) -> None:
    """List the agents that made calls, dearest first.

    \b
    agenttrace-mitm agents --days 1
    """
    report(options.load(given), days, "agent", as_json=as_json)
