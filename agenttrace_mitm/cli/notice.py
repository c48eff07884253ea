"""What is kept, said once: by the first `start` at length, by the first `run` in a line.

That it was said is a file of its own: a database may be there before anything was started.
"""

import contextlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..settings import Settings

TIERS = {
    1: "metadata: models, tokens, cost, times and outcomes; no content",
    2: "conversation: prompts and tool calls as well; no model replies",
    3: "full: prompts, replies, tool calls and the bytes on the wire",
}


def is_due(settings: "Settings") -> bool:
    """Whether nobody has been told yet, in this home."""
    return not settings.notice_file.exists()


def is_said(settings: "Settings") -> None:
    """Remember that it was."""
    with contextlib.suppress(OSError):  # then it is said again
        settings.notice_file.touch(mode=0o600)


def at_length(settings: "Settings") -> None:
    """What the first `start` says, below what is kept now."""
    click.echo("Credentials are removed before anything is written; nothing leaves this machine.")
    click.echo("Choose what is kept with --privacy-tier, or for every start from now on in")
    click.echo(f"{settings.home / 'config.json'}:")
    for tier, meaning in TIERS.items():
        click.echo(f'  {{"privacy_tier": {tier}}}   {meaning}')
    is_said(settings)


def in_a_line(settings: "Settings") -> None:
    """What the first `run` says, on standard error."""
    days = f" for {settings.retention_days} days" if settings.retention_days else ""
    click.echo(
        f"agenttrace-mitm: keeps tier {settings.privacy_tier} ({TIERS[settings.privacy_tier]})"
        f"{days}, in {settings.database}; see --privacy-tier (said once)",
        err=True,
    )
    is_said(settings)
