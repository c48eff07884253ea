"""How values look in a terminal: money, counts, durations, tables, one line per call."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from .. import figures

if TYPE_CHECKING:
    from ..store.queries import RecentCall

COLOURS = {"ok": "green", "error": "red", "cancelled": "yellow", "interrupted": "yellow"}


def money(nano_usd: int | None) -> str:
    """Dollars; `-` for what has no price, which is not the same as nothing."""
    return "-" if nano_usd is None else figures.usd(nano_usd)


def bill(cost_nano_usd: int | None, spend_nano_usd: int | None) -> str:
    """Spend, and beside it the list price of what a subscription or a free tier covers."""
    covered = (cost_nano_usd or 0) - (spend_nano_usd or 0)
    if not covered:
        return money(cost_nano_usd)
    said = f"{money(covered)} not metered"
    return f"{money(spend_nano_usd)}, {said}" if spend_nano_usd else said


def count(number: int | None) -> str:
    """A number with thousands separated; `-` when unknown."""
    return "-" if number is None else f"{number:,}"


def duration(milliseconds: float | None) -> str:
    """A time span as on the pages; `-` when unknown."""
    return "-" if milliseconds is None else figures.duration(milliseconds)


def moment(at_us: int | None) -> str:
    """Local date and time; `-` when unknown."""
    return "-" if at_us is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at_us / 1e6))


def call_line(call: "RecentCall", *, colour: bool) -> str:
    """A call in one line: when, what, how much, how long, how it went, whose."""
    clock = time.strftime("%H:%M:%S", time.localtime(call.started_us / 1e6))
    # An error inside a stream began with 200, which is none.
    status = str(call.status_code) if (call.status_code or 0) >= 400 else ""
    outcome = call.outcome if call.outcome != "error" else f"error {status}".strip()
    tokens = f"{count(call.tokens_in):>9} > {count(call.tokens_out):<7}"
    said = f"{outcome:<11}"
    if colour:
        said = click.style(said, fg=COLOURS.get(call.outcome))
        clock = click.style(clock, dim=True)
    line = (
        f"{clock}  {printable(call.provider):<10} {printable(call.model or '?'):<28} {tokens}"
        f" {money(call.cost_nano_usd):>9} {duration(call.latency_ms):>8}  {said}"
        f" {printable(call.agent_id or '')}"
    )
    return line.rstrip()


def recording(health: Mapping[str, Mapping[str, float]]) -> str:
    """How recording fares since the processes started; empty while none of them has told."""
    from ..health import together

    known = together(health.values())
    if not known:
        return ""
    told = {name: f"{number:,.0f}" for name, number in known.items()}
    bulk = {name: figures.size(number) for name, number in known.items()}
    waiting = known.get("held_calls", 0) + known.get("spooled_calls", 0)
    lag = f"{known.get('lag_seconds', 0):.1f} s"
    return (
        f"Passed    {told.get('proxied_calls', 0)} calls, {bulk.get('request_bytes', 0)} sent,"
        f" {bulk.get('response_bytes', 0)} received\n"
        f"Recorded  {told.get('committed_calls', 0)} calls, lag {lag}\n"
        f"Waiting   {waiting:,.0f} calls, {bulk.get('held_bytes', 0)} in memory,"
        f" {bulk.get('spool_bytes', 0)} in the spool\n"
        f"Dropped   {told.get('dropped_calls', 0)} calls, {bulk.get('dropped_bytes', 0)} of content"
    )


def printable(text: str) -> str:
    """*text* without control characters: a model's name must not move somebody's cursor."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows below their column names; numbers to the right."""
    body = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    columns = [printable(name) for name in columns]
    widths = [max(map(len, column)) for column in zip(columns, *body, strict=True)]
    right = [all(_is_number(row[i]) for row in body) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(columns), line(["-" * width for width in widths]), *map(line, body)])


def _is_number(cell: str) -> bool:
    return (
        cell in ("", "-")
        or cell.lstrip(f"<$-{figures.MINUS}").replace(",", "").replace(".", "").isdigit()
    )
