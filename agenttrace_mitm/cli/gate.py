"""`gate`: a session against limits, for CI: exit code 0 within them, 1 beyond, 2 not known."""

import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, own_files
from .typed import for_programs, say

if TYPE_CHECKING:
    from ..settings import Settings
    from ..store.session_sums import SessionSums


MOST_USD = 1e9


def _dollars(context: click.Context, option: click.Parameter, said: float | None) -> float | None:
    if said is None or 0 <= said < MOST_USD:  # nor a nan
        return said
    raise click.BadParameter("an amount of dollars is written like 2.50")


_FAILURES = re.compile(r"\d{1,15}|\d{1,15}(\.\d+)?%")


def _failures(context: click.Context, option: click.Parameter, said: str | None) -> str | None:
    if said is None or _FAILURES.fullmatch(said):
        return said
    raise click.BadParameter("failures are limited like 3 or 10%")


POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Judged:
    """A limit, what was found, and whether it holds."""

    what: str
    found: str
    limit: str
    holds: bool


@click.command()
@click.option("--session", help="The session to judge.")
@click.option("--last", is_flag=True, help="The session of the newest call.")
@click.option(
    "--max-cost", type=float, callback=_dollars, metavar="USD",
    help="Dollars it may spend: metered calls.",
)  # fmt: skip
@click.option("--max-errors", callback=_failures, metavar="N|N%", help="Calls that may fail.")
@click.option("--max-calls", type=options.NUMBER, metavar="N", help="Calls it may make.")
@click.option("--max-tokens", type=options.NUMBER, metavar="N", help="Tokens, in and out together.")
@click.option(
    "--max-tool-failures", callback=_failures, metavar="N|N%", help="Tool calls that may fail."
)
@click.option(
    "--max-duration", metavar="TIME", help="Such as 90s, 15m or 2h; a number alone is seconds."
)
@click.option(
    "--allow-unpriced", is_flag=True, help="Calls without a price, or usage, do not matter."
)
@click.option(
    "--wait",
    default="5s",
    show_default=True,
    metavar="TIME",
    help="For calls that are still running; then it is not known.  A number alone is seconds.",
)
@options.for_programs()
@options.settings("db")
def command(
    session: str | None,
    last: bool,
    max_cost: float | None,
    max_errors: str | None,
    max_calls: int | None,
    max_tokens: int | None,
    max_tool_failures: str | None,
    max_duration: str | None,
    allow_unpriced: bool,
    wait: str,
    as_json: bool,
    **given: str | None,
) -> None:
    """Judge a session against limits.  Exit code 0 within them, 1 beyond, 2 not known.

    What a subscription or a free tier covers is not spend.  While calls of the session are running,
    nobody knows.

    With GITHUB_STEP_SUMMARY set, the table is added to the summary of the pull request's check.

    \b
    agenttrace-mitm run -- python my_agent.py
    agenttrace-mitm gate --last --max-cost 2 --max-errors 0 --max-tool-failures 10%
    """
    from ..errors import AgentTraceError
    from .written import seconds

    if bool(session) == last:
        raise click.UsageError("Give --session ID or --last.")
    patience_s = seconds(wait, "--wait", unit="s")
    try:
        settings = options.load(given)
        found = _ended(settings.database, session, patience_s)
    except AgentTraceError as error:
        if as_json:
            click.echo(json.dumps({"ok": None, **for_programs(error)}, indent=1))
        say(f"Not judged: {error}", err=True)
        raise SystemExit(2) from None
    judged = [
        *_cost(found, max_cost, allow_unpriced=allow_unpriced),
        *_share("failed calls", found.errors, found.calls, max_errors),
        *_number("calls", found.calls, max_calls),
        *_tokens(found, max_tokens, allow_unknown=allow_unpriced),
        *_share("failed tool calls", found.tool_failures, found.tool_calls, max_tool_failures),
        *_duration(found, max_duration),
    ]
    if not judged:
        raise click.UsageError("Give at least one limit, such as --max-cost 2.")
    holds = all(one.holds for one in judged)
    if as_json:
        answer = {"ok": holds, "session": asdict(found), "limits": [asdict(one) for one in judged]}
        click.echo(json.dumps(answer, indent=1))
    else:
        click.echo(_table(found, judged, holds=holds))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _add_to(Path(summary), _markdown(found, judged, holds=holds), settings)
    raise SystemExit(0 if holds else 1)


def _ended(database: Path, session: str | None, patience_s: float) -> "SessionSums":
    """The sums of a session whose calls have all ended.  Raises `StoreError` without one."""
    from ..errors import StoreError
    from ..figures import counted
    from ..store.session_sums import sums

    deadline = time.monotonic() + patience_s
    found = sums(database, session)
    while found.running:
        if time.monotonic() >= deadline:
            are = "is" if found.running == 1 else "are"
            said = f"{counted(found.running, 'call')} {are} still running"
            raise StoreError(f"{said} in session {found.session_id}", "Wait longer with --wait")
        time.sleep(POLL_S)
        found = sums(database, found.session_id)
    return found


def _cost(found: "SessionSums", limit: float | None, *, allow_unpriced: bool) -> list[Judged]:
    from ..figures import counted, exact_usd

    if limit is None:
        return []
    # To the last digit: what is just over the limit must not read like it.
    said = "-" if found.cost_nano_usd is None else exact_usd(found.cost_nano_usd)
    # What has no price may have cost anything.
    known = allow_unpriced or not found.unpriced
    if found.unpriced:
        said += f" and {counted(found.unpriced, 'call')} without a price"
    if found.unmetered_nano_usd:
        said += f"; {exact_usd(found.unmetered_nano_usd)} not metered"
    most = round(limit * 1e9)
    return [Judged("spend", said, exact_usd(most), known and (found.cost_nano_usd or 0) <= most)]


def _number(what: str, found: int, limit: int | None) -> list[Judged]:
    if limit is None:
        return []
    return [Judged(what, f"{found:,}", f"{limit:,}", found <= limit)]


def _tokens(found: "SessionSums", limit: int | None, *, allow_unknown: bool) -> list[Judged]:
    from ..figures import counted
    from .text import count

    if limit is None:
        return []
    known = [number for number in (found.tokens_in, found.tokens_out) if number is not None]
    said = count(sum(known) if known else None)
    if found.without_usage:
        said += f" and {counted(found.without_usage, 'call')} without usage"
    holds = (allow_unknown or not found.without_usage) and sum(known) <= limit
    return [Judged("tokens", said, f"{limit:,}", holds)]


def _share(what: str, failed: int, made: int, limit: str | None) -> list[Judged]:
    if limit is None:
        return []
    share = 100 * failed / made if made else 0.0
    most = float(limit.removesuffix("%"))
    holds = (share if limit.endswith("%") else failed) <= most
    return [Judged(what, f"{failed:,} of {made:,} ({share:.3g}%)", limit, holds)]


def _duration(found: "SessionSums", limit: str | None) -> list[Judged]:
    if limit is None:
        return []
    from .text import duration
    from .written import seconds

    most_s = seconds(limit, "--max-duration", unit="s")
    took, most = duration(found.duration_s * 1000), duration(most_s * 1000)
    return [Judged("duration", took, most, found.duration_s <= most_s)]


def _table(found: "SessionSums", judged: list[Judged], *, holds: bool) -> str:
    from .text import printable, table

    rows = [(one.what, one.found, one.limit, "ok" if one.holds else "BEYOND") for one in judged]
    head = printable(f"Session {found.session_id} of {found.agent_id or '?'}")
    end = "Within its limits." if holds else "Beyond its limits."
    return "\n".join([head, table(("what", "found", "limit", ""), rows), end])


def _markdown(found: "SessionSums", judged: list[Judged], *, holds: bool) -> str:
    mark = "✅" if holds else "❌"
    lines = [f"### {mark} AgentTrace: session `{_plain(found.session_id)}`", ""]
    lines += ["| what | found | limit | |", "|---|---|---|---|"]
    lines += [
        f"| {one.what} | {one.found} | {one.limit} | {'✅' if one.holds else '❌'} |"
        for one in judged
    ]
    return "\n".join([*lines, "", ""])


def _add_to(summary: Path, told: str, settings: "Settings") -> None:
    """Add *told* to the file; where that cannot be, the judgement stands all the same."""
    from ..errors import AgentTraceError

    try:
        own_files.spare_all(settings, summary, "")
        with summary.open("a", encoding="utf-8") as file:
            file.write(told)
    except OSError as error:
        click.echo(f"{summary} of GITHUB_STEP_SUMMARY: {error.strerror}", err=True)
    except AgentTraceError as error:
        click.echo(f"GITHUB_STEP_SUMMARY: {error.problem}", err=True)


def _plain(text: str) -> str:
    """*text* without what Markdown or a table would take for its own."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "-_.:/ ")
