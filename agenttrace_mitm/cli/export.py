"""`export`: calls as a file for other programs."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from . import options, own_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..store.exporting import Export


ELSEWHERE = "Name another file with -o"


@click.command()
@click.argument("format_", metavar="FORMAT", type=click.Choice(["csv", "json", "jsonl", "har", "parquet"]))  # noqa: E501  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; else standard output.")
@click.option("--from", "since", metavar="DATE", help="From this UTC day on.")
@click.option("--to", "until", metavar="DATE", help="Until this UTC day, included.")
@click.option("--agent", help="Only calls of this agent.")
@click.option("--provider", help="Only calls to this provider.")
@click.option("--model", help="Only calls that this model answered.")
@click.option("--session", help="Only calls of this session.")
@options.settings("db")
def command(
    format_: str,
    output: Path | None,
    since: str | None,
    until: str | None,
    agent: str | None,
    provider: str | None,
    model: str | None,
    session: str | None,
    **given: str | None,
) -> None:
    """Write calls as csv, json, jsonl, har or parquet, oldest first.

    \b
    agenttrace-mitm export csv --from 2026-11-01 --to 2026-11-30 -o november.csv
    """
    from ..export import BY_NAME
    from ..store.exporting import Chosen, Export
    from .written import days_us

    since_us, until_us = days_us(since, until)
    chosen = Chosen(
        agent=agent, provider=provider, model=model, session=session,
        since_us=since_us, until_us=until_us,
    )  # fmt: skip
    settings = options.load(given)
    if output is not None:
        own_files.spare_all(settings, output, ELSEWHERE)
    with Export(settings.database, chosen) as export:
        if output is None:
            if format_ == "parquet" and sys.stdout.isatty():
                raise click.UsageError("Parquet is not for a terminal: give -o FILE.")
            for piece in BY_NAME[format_].pieces(export):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        else:
            _write(export, format_, output)
    asked = {
        "--from": since, "--to": until, "--agent": agent, "--provider": provider,
        "--model": model, "--session": session,
    }  # fmt: skip
    click.echo(_told(export.count, asked, output), err=True)


def _told(count: int, asked: "Mapping[str, str | None]", output: Path | None) -> str:
    """How many calls were written, and where; of none, what they would have had to fit."""
    from ..figures import counted
    from .text import printable

    filters = " ".join(f"{option} {said}" for option, said in asked.items() if said is not None)
    told = counted(count, "call") + (f" in {output}" if output else "")
    return printable(told if count or not filters else f"{told}: none fits {filters}")


def _write(export: "Export", format_: str, output: Path) -> None:
    """Write all of it to *output*.  Raises `StoreError` where that cannot be written."""
    from ..errors import StoreError
    from ..export import BY_NAME

    pieces = BY_NAME[format_].pieces(export)
    try:
        if (file := _file_of(output)) is None:
            with output.open("wb") as stream:
                _with_progress(export, pieces, stream)
        else:
            _write_file(export, pieces, file)
    except OSError as error:
        raise StoreError(f"{output} cannot be written ({error.strerror})", ELSEWHERE) from None


def _file_of(output: Path) -> Path | None:
    """The file that *output* is, or will be, behind any links; None for a pipe or a device."""
    try:
        is_file = stat.S_ISREG(output.stat().st_mode)
    except FileNotFoundError:
        is_file = True
    file = Path(os.path.realpath(output))
    # /dev/stdout may be a file without a name: deleted, or of another namespace.
    return file if is_file and file.exists() == output.exists() else None


def _write_file(export: "Export", pieces: "Iterator[bytes]", file: Path) -> None:
    """Whole or not at all, readable by its owner only: there are prompts in it."""
    from ..files import replacing

    with replacing(file) as stream:
        _with_progress(export, pieces, stream)


def _with_progress(export: "Export", pieces: "Iterator[bytes]", stream: BinaryIO) -> None:
    shown = click.progressbar(pieces, length=export.count + 1, file=sys.stderr, label="Exporting")
    with shown as every:
        for piece in every:
            stream.write(piece)
