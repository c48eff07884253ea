"""`sessions`: what agents did, prompt by prompt."""

import contextlib
import shlex
from typing import TYPE_CHECKING

import click

from . import options
from .typed import say

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from ..traces.stories import Commit, Prompt, Ref, Step, Story

WIDTH = 100


@click.group()
def command() -> None:
    """What agents were asked, what they did, what it cost.

    \b
    agenttrace-mitm sessions list
    agenttrace-mitm sessions show ID
    """


@command.command("list")
@click.option(
    "--most", type=options.MOST, default=20, show_default=True, help="How many, the latest first."
)
@click.option("--from", "since", metavar="DATE", help="Begun on this UTC day or later.")
@click.option("--to", "until", metavar="DATE", help="Begun until this UTC day, included.")
@click.option("--agent", help="Only this agent's, as the list names it.")
@options.settings("db")
def list_(
    most: int, since: str | None, until: str | None, agent: str | None, **given: str | None
) -> None:
    """List sessions, the latest first.

    \b
    agenttrace-mitm sessions list --agent claude-code --from 2026-11-01
    """
    from ..store.queries import reading
    from ..store.sessions import sessions
    from .text import bill, count, duration, moment, printable, table
    from .written import days_us

    since_us, until_us = days_us(since, until)
    with reading(options.load(given).database) as db:
        found = sessions(db, since_us or 0, most, until_us=until_us, agent=agent)
    if not found:
        asked = {"--from": since, "--to": until, "--agent": agent}
        filters = " ".join(f"{option} {said}" for option, said in asked.items() if said is not None)
        click.echo(printable(f"No session fits {filters}.") if filters else "No sessions yet.")
        return
    rows = [
        (
            one.session_id,
            one.agent,
            moment(one.started_us),
            duration((one.ended_us - one.started_us) / 1000),
            count(one.prompts),
            count(one.calls),
            bill(one.cost_nano_usd, one.spend_nano_usd),
            count(one.commits),
            " ".join((one.first_prompt or "").split())[:50],
        )
        for one in found
    ]
    columns = (
        "session",
        "agent",
        "began",
        "took",
        "prompts",
        "calls",
        "spend",
        "commits",
        "first prompt",
    )
    click.echo(table(columns, rows))


@command.command()
@click.argument("session_id", metavar="ID")
@click.option("--diff", is_flag=True, help="Show the changes of files as well.")
@options.for_programs()
@options.settings("db")
def show(session_id: str, diff: bool, as_json: bool, **given: str | None) -> None:
    """Tell a session: prompts, commands, changes, commits, replies, cost and time.

    The beginning of its id is enough.

    \b
    agenttrace-mitm sessions show ID --diff
    """
    from ..store.queries import reading
    from ..store.sessions import session_of, story

    with reading(options.load(given).database) as db:
        told = story(db, session_of(db, session_id))
    assert told
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(told).decode())
        return
    _print(told, diff=diff)


def _print(told: "Story", *, diff: bool) -> None:
    from ..figures import counted
    from . import text
    from .text import count, moment, printable

    click.echo(f"{printable(told.agent_id or told.client)}  {moment(told.started_us)}  {told.cwd}")
    for number, prompt in enumerate(told.prompts, 1):
        _print_prompt(number, prompt, diff=diff)
    between = [one for one in told.commits if not any(one in p.commits for p in told.prompts)]
    if between:
        click.echo("\nBetween the prompts")
    for commit in between:
        click.echo(f"   {_commit(commit)}")
    bill = told.bill
    click.echo(
        f"\n{counted(bill.calls, 'call')} ({told.aside.calls:,} aside),"
        f" {count(bill.tokens_in)} tokens in, {count(bill.tokens_out)} out,"
        f" {text.bill(bill.cost_nano_usd, bill.spend_nano_usd)}"
    )
    click.echo(
        f"{counted(len(told.files_touched), 'file')} touched,"
        f" +{told.lines_added} -{told.lines_removed};"
        f" {counted(told.tool_failures, 'tool failure')}, {counted(told.compactions, 'compaction')}"
    )
    if told.commits:
        made = told.agent_commits
        added = [one.lines_added for one in made if one.lines_added is not None]
        removed = [one.lines_removed for one in made if one.lines_removed is not None]
        lines = f", +{sum(added)} -{sum(removed)}" if added and removed else ""
        click.echo(f"{counted(len(made), 'commit')}{lines}")


def _print_prompt(number: int, prompt: "Prompt", *, diff: bool) -> None:
    from .text import bill, duration, printable

    click.echo(f"\n{number}. {_line(prompt.text)}")
    for step in prompt.steps:
        click.echo(f"   {_step(step)}")
        for change in step.action.changes if diff else ():
            lines = change.diff.split("\n")
            click.echo("\n".join(f"      {printable(line)}" for line in lines))
    for commit in prompt.commits:
        click.echo(f"   {_commit(commit)}")
    for ref in prompt.refs:
        click.echo(f"   {_ref(ref)}")
    if prompt.reply:
        click.echo(f"   > {_line(prompt.reply)}")
    times = prompt.times
    said = bill(prompt.bill.cost_nano_usd, prompt.bill.spend_nano_usd)
    retried = f", before retries {duration(times.retry_us / 1000)}" if times.retry_us else ""
    click.echo(
        f"   {said}; model {duration(times.model_us / 1000)},"
        f" tools {duration(times.tool_us / 1000)}{retried}, idle {duration(times.idle_us / 1000)}"
    )


def _step(step: "Step") -> str:
    action = step.action
    told = [action.kind if action.kind != "other" else action.tool, _line(action.target)]
    if action.exit_code is not None:
        told.append(f"[exit {action.exit_code}]")
    elif action.failed:
        told.append("[failed]")
    told += [f"+{change.added} -{change.removed}" for change in action.changes]
    told += [f"{status or '-'}: {what}" for what, status in action.plan]
    return ("  " if step.in_sub_agent else "") + " ".join(filter(None, told))


def _commit(commit: "Commit") -> str:
    from .text import printable

    counts = commit.lines_added, commit.lines_removed
    told = [
        "commit",
        commit.sha[:7],
        f"({printable(commit.branch)})" if commit.branch else "",
        _line(commit.message.partition("\n")[0]),
        "" if None in counts else "+{} -{}".format(*counts),
        "" if commit.is_of_agent else "[meanwhile, by no tool call]",
        "[replaced since]" if commit.replaced else "",
    ]
    return " ".join(filter(None, told))


def _ref(ref: "Ref") -> str:
    from .text import printable

    return f"{'new ' if ref.made else ''}{ref.kind.replace('_', ' ')} {printable(ref.name)}"


def _line(text: str) -> str:
    from .text import printable

    words = " ".join(printable(text.replace("\n", " ")).split())
    return words if len(words) <= WIDTH else words[: WIDTH - 1] + "…"


@command.command()
@click.argument("session_id", required=False)
@click.option("--note", help="Why.")
@options.settings("db")
def hold(session_id: str | None, note: str | None, **given: str | None) -> None:
    """Let retention leave a session alone; without an id, list those on hold.

    \b
    agenttrace-mitm sessions hold 0f3c... --note "for the audit"
    """
    from ..clock import now_us
    from ..errors import AgentTraceError
    from ..store import aging
    from .text import moment, printable

    with _writing(given) as db:
        if session_id is None:
            held = list(aging.held(db))
            for id_, since_us, why in held:
                click.echo(f"{id_}  since {moment(since_us)}  {printable(why or '')}".rstrip())
            if not held:
                click.echo("No session is on hold.")
        elif not aging.hold(db, session_id, now_us(), note):
            raise AgentTraceError(
                f"There is no session {session_id}", "See: agenttrace-mitm sessions list"
            )
        else:
            quoted = shlex.quote(session_id)
            say(f"{session_id} stays until: agenttrace-mitm sessions release {quoted}")


@command.command()
@click.argument("session_id")
@options.settings("db")
def release(session_id: str, **given: str | None) -> None:
    """Let retention have a session again.

    \b
    agenttrace-mitm sessions release 0f3c...
    """
    from ..errors import AgentTraceError
    from ..store import aging

    with _writing(given) as db:
        if not aging.release(db, session_id):
            raise AgentTraceError(
                f"{session_id} is not on hold", "See: agenttrace-mitm sessions hold"
            )
    click.echo(f"{session_id} goes when its time comes.")


@contextlib.contextmanager
def _writing(given: "dict[str, str | None]") -> "Iterator[sqlite3.Connection]":
    from ..errors import no_database
    from ..store import open_database

    database = options.load(given).database
    if not database.exists():
        raise no_database(database)
    with contextlib.closing(open_database(database).conn) as db:
        yield db
