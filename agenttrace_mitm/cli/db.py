"""`db`: look after the database: prices made anew, stored bytes read again, checks."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, own_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from ..store.revise import Difference

_since = click.option("--since", metavar="DATE", help="Only calls from this UTC day on.")
_NAMES = {
    "agent": "See: agenttrace-mitm stats --by agent",
    "session": "See: agenttrace-mitm sessions list",
    "trace": "See the column trace_id of llm_calls",
}
"""Where the names are that `forget` is given."""
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, write nothing.")


@click.group()
def command() -> None:
    """Look after the database; a running recorder is not in the way.

    \b
    agenttrace-mitm db reprice --dry-run
    """


@command.command()
@_dry_run
@_since
@options.settings("db")
def reprice(dry_run: bool, since: str | None, **given: str | None) -> None:
    """Price stored calls by today's price data and your prices.json.

    \b
    agenttrace-mitm db reprice --dry-run --since 2026-11-01
    """
    from ..pricing.overrides import USER_FILE
    from ..store import revise

    settings = options.load(given)
    prices = settings.home / USER_FILE
    found = revise.reprice(settings.database, prices, _moment(since), dry_run=dry_run)
    _print_differences(found, dry_run=dry_run)


@command.command()
@_dry_run
@_since
@options.settings("db")
def reprocess(dry_run: bool, since: str | None, **given: str | None) -> None:
    """Read stored wire bytes again, with what today's version understands (privacy tier 3).

    \b
    agenttrace-mitm db reprocess --dry-run
    """
    from ..pricing.overrides import USER_FILE
    from ..reprocess import reprocess as read_again
    from .instance import key_of_recorded

    settings = options.load(given)
    prices = settings.home / USER_FILE
    key = key_of_recorded(settings)
    found = read_again(settings.database, prices, key, _moment(since), dry_run=dry_run)
    for column, calls in found.columns.most_common():
        click.echo(f"{column:<22} {calls:>8,}")
    for table, rows in found.rows.most_common():
        click.echo(f"{table:<22} {rows:>8,} rows")
    verb = "would change" if dry_run else "changed"
    click.echo(f"{found.read:,} calls read again, {found.changed:,} {verb}.")


@command.command("rebuild-rollups")
@options.settings("db")
def rebuild_rollups(**given: str | None) -> None:
    """Add up the sums per hour and day again, after you changed calls by hand."""
    from ..store import revise

    revise.rebuild_rollups(options.load(given).database)
    click.echo("The rollups agree with the calls.")


@command.command()
@options.settings("db")
def verify(**given: str | None) -> None:
    """Check the file: SQLite's own checks, links between rows, sums, every stored body."""
    from ..store import revise

    database = options.load(given).database
    found = revise.problems(database)
    for problem in found:
        click.echo(problem)
    if found:
        raise SystemExit(1)
    click.echo(f"{database} is sound.")


@command.command()
@click.option("--requeue", is_flag=True, help="Let the recorder try the dead letters again.")
def spool(requeue: bool) -> None:
    """List what waits for the database, and what it refused, with the reason.

    \b
    agenttrace-mitm db spool --requeue
    """
    from ..store import Spool
    from .text import printable

    waiting = Spool(options.load({}).spool_folder)
    if requeue:
        click.echo(f"{waiting.requeue():,} calls will be tried again.")
    for file in waiting.waiting():
        click.echo(f"{file.name}: waits, {file.stat().st_size:,} bytes")
    letters = waiting.dead_letters()
    for letter in letters:
        click.echo(f"refused: {printable(letter.reason)}")
    if not letters and not waiting.waiting():
        click.echo("Nothing waits, nothing was refused.")


@command.command("slice")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--session", help="The calls of this session.")
@click.option("--trace", help="The calls of this trace.")
@click.option("--call", help="This call.")
@click.option(
    "--tier",
    type=click.Choice(["1", "2", "3"]),
    default="3",
    show_default=True,
    help="How much of it: 1 names, times and figures; 2 what people and tools said; 3 everything.",
)
@options.settings("db")
def slice_(
    target: Path,
    session: str | None,
    trace: str | None,
    call: str | None,
    tier: str,
    **given: str | None,
) -> None:
    """Write one session, trace or call to a database of its own, to hand on.

    It opens in Datasette, with the same tables, and holds nothing else.

    \b
    agenttrace-mitm db slice for-my-colleague.db --session 0f3c... --tier 2
    """
    from ..privacy import Tier
    from ..store import open_database, slicing

    of: list[tuple[slicing.What, str | None]]
    of = [("session", session), ("trace", trace), ("call", call)]
    said = [(what, name) for what, name in of if name]
    if len(said) != 1:
        raise click.UsageError("Give one of --session, --trace and --call.")
    ((what, name),) = said
    tiers: dict[str, Tier] = {"1": 1, "2": 2, "3": 3}
    settings = options.load(given)
    database = settings.database
    own_files.spare_database(settings, target, "Name another file")
    if database.exists():
        open_database(database).close()  # brought up to date
    calls = slicing.cut(database, target, what, name, tiers[tier])
    click.echo(f"{target}: {calls:,} calls, {target.stat().st_size:,} bytes, tier {tier}.")


@command.command()
@click.option("--agent", help="Everything of this agent.")
@click.option("--session", help="Everything of this session.")
@click.option("--trace", help="Everything of this trace.")
@click.option("--text", help="This text, wherever it stands; figures stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.settings("db")
def forget(
    agent: str | None,
    session: str | None,
    trace: str | None,
    text: str | None,
    yes: bool,
    **given: str | None,
) -> None:
    """Remove all that is left of an agent, a session, a trace or a text, from the file's bytes too.

    AgentTrace must not be recording.  Backups and alert rules are yours to look after.

    \b
    agenttrace-mitm db forget --session 0f3c...

    Exit code 1 when nothing has that name.
    """
    from ..errors import StoreError
    from ..store import Spool, damage, forgetting, recorders

    all_ = (("agent", agent), ("session", session), ("trace", trace), ("text", text))
    said = [pair for pair in all_ if pair[1]]
    if len(said) != 1:
        raise click.UsageError("Give one of --agent, --session, --trace and --text.")
    settings = options.load(given)
    other = _nobody_records(settings)
    ((what, name),) = said
    assert name
    if not yes:
        click.confirm(f"Forget the {what} {name!r}? It cannot be undone.", abort=True)
    spool = None if other else Spool(settings.spool_folder)
    with recorders.alone(settings.database):
        if what == "text":
            counted = forgetting.forget_text(settings.database, spool, name)
        else:
            counted = forgetting.forget_calls(settings.database, spool, what, name)
    for table, number in counted.items():
        click.echo(f"{table:<18} {number:>8,}")
    if counted:
        click.echo("Forgotten.")
    elif what == "text":
        click.echo("It stands nowhere.")
    if other:
        click.echo(f"What waits in {settings.spool_folder} is for {other}, and was left alone.")
    for file in damage.set_aside_of(settings.database):
        click.echo(f"{file} was set aside as damaged and not looked at: delete it.")
    if not counted and what != "text":
        raise StoreError(f"There is no {what} {name!r}: nothing was forgotten", _NAMES[what])


@command.command()
@click.option(
    "--days",
    type=options.DAYS,
    help="Older content goes, all of it with 0; --retention-days when not given.",
)
@click.option("--max-size", metavar="SIZE", help="Oldest content goes until this, such as 2GB.")
@click.option("--dry-run", is_flag=True, help="Say what would go by age, write nothing.")
@options.settings("db", "retention_days", "metadata_days")
def prune(days: int | None, max_size: str | None, dry_run: bool, **given: str | None) -> None:
    """Let old content go now; figures stay.  AgentTrace must not be recording.

    Without --days and --max-size, what the settings do not keep goes, as it does every hour while
    AgentTrace records: `retention_days`, `retention_agents`, `max_bytes`.  Calls older than
    --metadata-days, or than `metadata_agents` says, go altogether, their sums stay; sessions on
    hold stay whole.  Exit code 1 where a file stays larger than --max-size.

    \b
    agenttrace-mitm db prune --days 14 --dry-run
    agenttrace-mitm db prune --max-size 2GB
    """
    from contextlib import nullcontext

    from ..clock import now_us
    from ..store import Keeping, recorders
    from ..store.pruning import prune as let_go

    settings = options.load(given)
    most = None if max_size is None else _bytes(max_size)
    by_settings = days is None and most is None
    if not dry_run:
        _nobody_records(settings)
    with nullcontext() if dry_run else recorders.alone(settings.database):
        found = let_go(
            settings.database,
            now_us(),
            days=(settings.retention_days or None) if by_settings and dry_run else days,
            max_bytes=most,
            dry_run=dry_run,
            keeping=Keeping(
                settings.retention_days if by_settings else 0,
                settings.retention_agents if by_settings else {},
                settings.metadata_days,
                settings.max_bytes if by_settings else 0,
                settings.metadata_agents,
            ),
        )
    verb = "would go" if dry_run else "went"
    click.echo(f"{found.payloads:,} payloads and {found.messages:,} messages {verb}.")
    if found.calls or settings.metadata_days or settings.metadata_agents:
        click.echo(f"{found.calls:,} calls {verb}.")
    if dry_run:
        click.echo("Nothing was written. Messages that a kept conversation goes on from stay.")
        _tell_size(found.size_before, most or settings.max_bytes)
    else:
        click.echo(f"{found.size_before:,} bytes before, {found.size_after:,} now.")
        if most and found.size_after and found.size_after > most:
            over = f"{found.size_after - most:,} bytes more than {most:,}"
            click.echo(f"{over}: calls stay, and all of the last day and of holds.", err=True)
            raise SystemExit(1)


def _tell_size(size: int, most: int) -> None:
    if most and size > most:
        click.echo(f"{size:,} bytes, {size - most:,} too many: after that, the oldest days go.")
    elif most:
        click.echo(f"{size:,} bytes, and {most:,} may stay: nothing goes by size.")


def _nobody_records(settings: "Settings") -> Path | None:
    """Raise an error while anybody records into the database: he remembers what is stored.

    And without a database, before a lock is made beside it.  An instance that is ending is waited
    for.  Gives the database of the running instance of this home where that is another one.
    """
    from ..errors import AgentTraceError, no_database
    from ..launch import control
    from ..store import recorders
    from .instance import settled

    if not settings.database.exists():
        raise no_database(settings.database)
    other = None
    if client := settled(settings):
        with client, contextlib.suppress(control.EndingError):  # it has just gone
            other = Path(client.ask(op="status")["db"])
            if own_files.same(other, settings.database):
                raise AgentTraceError("AgentTrace is recording", "First: agenttrace-mitm stop")
    if found := recorders.recorder_of(settings.database):
        raise AgentTraceError(f"{found} is recording", found.remedy)
    return other


def _bytes(said: str) -> int:
    from ..settings import bytes_of

    try:
        if (found := bytes_of(said)) > 0:
            return found
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--max-size") from None
    raise click.BadParameter("a file is larger than nothing", param_hint="--max-size")


def _moment(day: str | None) -> int:
    """Microseconds of the first moment of *day*, 0 when none is given."""
    from .written import day_us

    return 0 if day is None else day_us(day, "--since")


def _print_differences(found: "Sequence[Difference]", *, dry_run: bool) -> None:
    from .text import count, money, table

    if not found:
        click.echo("Every price is what it would be today.")
        return
    columns = ("provider", "model", "calls", "before", "after", "newly priced", "no price now")
    rows = [
        (
            one.provider,
            one.model,
            count(one.calls),
            money(one.before_nano_usd),
            money(one.after_nano_usd),
            count(one.newly_priced),
            count(one.no_longer_priced),
        )
        for one in found
    ]
    click.echo(table(columns, rows))
    if dry_run:
        click.echo("Nothing was written: without --dry-run it is.")
