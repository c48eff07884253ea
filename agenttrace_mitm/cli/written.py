"""Days and times as people write them on the command line; what is none is wrong usage."""

import math
from datetime import UTC, datetime

import click

DAY_US = 86_400_000_000
LONGEST_S = 10 * 366 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def day_us(said: str, option: str) -> int:
    """The first moment of the UTC day *said*, in microseconds."""
    try:
        day = datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter("a day is written like 2026-11-20", param_hint=option) from None
    return int(day.timestamp()) * 1_000_000


def days_us(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """From the first moment of `--from` to that after the day `--to`; None where not given."""
    since_us = day_us(since, "--from") if since else None
    until_us = day_us(until, "--to") + DAY_US if until else None
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise click.UsageError(f"--from {since} is later than --to {until}.")
    return since_us, until_us


def seconds(said: str, option: str, unit: str) -> float:
    """The seconds of *said*, such as 90s, 15m, 2h or 1d; a bare number is in *unit*."""
    number, unit = (said[:-1], said[-1]) if said[-1:] in _SECONDS else (said, unit)
    try:
        found = float(number) * _SECONDS[unit]
    except ValueError:
        found = math.nan
    if not 0 <= found <= LONGEST_S:  # nor a nan
        raise click.BadParameter("a time is written like 90s, 15m, 2h or 1d", param_hint=option)
    return found
