"""`query`: SQL on the database, reading only."""

import csv
import json
import sys
from decimal import Decimal

import click

from . import options


@click.command()
@click.argument("sql")
@click.option(
    "-p",
    "--param",
    "values",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="The value of :NAME in the SQL; repeat it.",
)
@options.for_programs("A JSON list of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header line.")
@options.settings("db")
def command(
    sql: str, values: tuple[tuple[str, str], ...], as_json: bool, as_csv: bool, **given: str | None
) -> None:
    """Run SQL, reading only.  Tables and columns: docs/schema.md; examples: docs/questions.md.

    \b
    agenttrace-mitm query "select model, count(*), sum(cost_usd) from llm_calls group by 1"
    agenttrace-mitm query "select * from llm_calls where id = :call_id" -p call_id 01a2...
    """
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")

    from ..store import queries
    from .text import printable, table

    columns, rows = queries.select(options.load(given).database, sql, dict(values))
    if as_json:
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps(objects, indent=1, default=_text))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        # A file gets what is stored; a terminal would obey what a model wrote.
        on_screen = sys.stdout.isatty()
        writer.writerows(
            [printable(v) if on_screen and isinstance(v, str) else v for v in row] for row in rows
        )
    else:
        click.echo(table(columns, [[_plain(value) for value in row] for row in rows]))


def _plain(value: object) -> object:
    """A number of a table without the digits that binary fractions add, or an exponent."""
    if isinstance(value, float) and 1e-12 <= abs(value) < 1e12:
        return f"{Decimal(f'{value:.12g}'):f}"
    return value


def _text(value: object) -> str:
    """Bytes in JSON: their length, as content is not text."""
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
