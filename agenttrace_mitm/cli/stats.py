"""`stats`: what was used, by model."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..settings import Settings

DAY_US = 86_400_000_000


@click.command()
@click.option("--days", type=options.PAST_DAYS, default=7, show_default=True, help="How far back.")
@click.option(
    "--by",
    type=click.Choice(["model", "provider", "agent", "project", "session"]),
    default="model",
    show_default=True,
    help="One line for each.",
)
@click.option(
    "--estimates", is_flag=True, help="Count estimates where a provider reported no usage."
)
@options.for_programs()
@options.settings("db")
def command(days: int, by: str, estimates: bool, as_json: bool, **given: str | None) -> None:
    """Calls, tokens and spend; what a subscription or a free tier covers is not metered.

    \b
    agenttrace-mitm stats --days 30 --by provider
    """
    report(options.load(given), days, by, estimates=estimates, as_json=as_json)


def report(
    settings: "Settings", days: int, by: str, *, estimates: bool = False, as_json: bool
) -> None:
    """Print the totals of the last *days*, a line for each value of *by*."""
    from ..clock import now_us
    from ..figures import counted
    from ..store import queries
    from .text import count, moment, money, table

    found = queries.totals(settings.database, now_us() - days * DAY_US, by=by, estimates=estimates)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in found], indent=1))
        return
    if not found:
        click.echo(f"No calls in the last {counted(days, 'day')}.")
        return
    covered = [(line.cost_nano_usd or 0) - (line.spend_nano_usd or 0) for line in found]
    columns = [by, "calls", "failed", "tokens in", "tokens out", "spend", "unpriced", "last"]
    rows = [
        [
            line.name,
            count(line.calls),
            count(line.errors),
            count(line.tokens_in),
            count(line.tokens_out),
            money(line.spend_nano_usd),
            count(line.unpriced),
            moment(line.last_us),
        ]
        for line in found
    ]
    if any(covered):
        for row, said in zip([columns, *rows], ["not metered", *map(money, covered)], strict=True):
            row.insert(6, said)
    click.echo(table(columns, rows))
