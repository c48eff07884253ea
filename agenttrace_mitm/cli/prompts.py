"""`prompts`: what agents are told before anything is said, version by version."""

import click

from . import options


@click.group()
def command() -> None:
    """System prompts and tool sets of agents: versions, how each fared, what changed.

    A version begins when an agent sends another system prompt or other tools; dates, folders and
    the like set aside.

    \b
    agenttrace-mitm prompts list
    agenttrace-mitm prompts diff 3f2a 9c01
    """


@command.command("list")
@click.option("--agent", help="Only this agent's.")
@options.settings("db")
def list_(agent: str | None, **given: str | None) -> None:
    """List versions, the latest of each agent first.

    Median and 95th percentile are the latency of answered calls: a refusal is quick.

    \b
    agenttrace-mitm prompts list --agent claude-code
    """
    from ..store.prompts import versions
    from ..store.queries import reading
    from .text import count, duration, moment, money, printable, table

    with reading(options.load(given).database) as db:
        found = versions(db, agent)
    if not found:
        click.echo(printable(f"No prompts of {agent}.") if agent else "No prompts yet.")
        return
    rows = [
        (
            one.prompt_id[:12],
            one.agent_id,
            one.version,
            moment(one.first_seen_us),
            moment(one.last_seen_us),
            count(one.calls),
            "-" if one.error_rate is None else f"{one.error_rate:.1%}",
            money(one.cost_nano_usd),
            duration(one.p50_ms),
            duration(one.p95_ms),
            one.n_tools,
            one.changed,
        )
        for one in found
    ]
    columns = (
        "prompt", "agent", "version", "first", "last", "calls", "failed", "cost", "p50", "p95",
        "tools", "changed",
    )  # fmt: skip
    click.echo(table(columns, rows))
    click.echo("\np50, p95: latency of answered calls.")


@command.command()
@click.argument("prompt_id", metavar="ID")
@options.settings("db")
def show(prompt_id: str, **given: str | None) -> None:
    """Print a version: the system prompt, then each tool.  The beginning of its id is enough.

    \b
    agenttrace-mitm prompts show 3f2a
    """
    from ..store.prompts import wording
    from ..store.queries import reading

    with reading(options.load(given).database) as db:
        found = wording(db, prompt_id)
    _print(found.text if found.is_kept else "Its words are not kept.")


@command.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@options.settings("db")
def diff(before: str, after: str, **given: str | None) -> None:
    """Print how version B differs from A, as a unified diff.

    \b
    agenttrace-mitm prompts diff 3f2a 9c01
    """
    from ..store.prompts import difference, wording
    from ..store.queries import reading

    with reading(options.load(given).database) as db:
        told = difference(wording(db, before), wording(db, after))
    _print(told or "They say the same.")


def _print(text: str) -> None:
    from .text import printable

    click.echo("\n".join(printable(line.expandtabs()) for line in text.splitlines()))
