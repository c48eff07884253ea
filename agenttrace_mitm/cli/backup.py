"""`backup`: a copy of the database while it is written to."""

import sys
from pathlib import Path

import click

from . import options, own_files


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@options.settings("db")
def command(target: Path, **given: str | None) -> None:
    """Copy the database to a new file, also while calls are recorded, and check the copy.

    \b
    agenttrace-mitm backup agenttrace-2026-11-28.db
    """
    from ..store.exporting import backup

    def tell(done: int, pages: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{100 * done // max(pages, 1):3d} %", nl=False, err=True)

    settings = options.load(given)
    own_files.spare_database(settings, target, "Name another file")
    backup(settings.database, target, tell)
    click.echo(f"{target}: {target.stat().st_size:,} bytes, checked.")
    if settings.fingerprint_file.exists():
        click.echo(f"To go on with it in another home, take {settings.fingerprint_file} along.")
