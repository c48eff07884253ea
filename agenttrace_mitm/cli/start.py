"""`start`: the three processes in the foreground, and a line for each call."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from . import options
from .typed import program, say

if TYPE_CHECKING:
    from ..launch.control import Client
    from ..launch.state import Daemon
    from ..launch.supervisor import Supervisor
    from ..settings import Settings

MOST_LINES = 200
"""For one look: more nobody reads, and to write them takes time from programs that are recorded."""


@click.command()
@options.settings(*options.OPTIONS)
@click.option("--no-open", is_flag=True, help="Do not open the pages in a browser.")
@click.option("--no-git", is_flag=True, help="Do not ask git which commits a session made.")
@click.option("--reset-token", is_flag=True, help="Make a new access token; old links end.")
@click.option("--detach", is_flag=True, help="Go on in the background; `stop` ends it.")
def command(
    no_open: bool, no_git: bool, reset_token: bool, detach: bool, **given: str | None
) -> None:
    """Record LLM calls through the proxy and show them.  Ctrl-C ends it.

    \b
    agenttrace-mitm start
    agenttrace-mitm start --privacy-tier 1 --no-open
    """
    from .. import access
    from .agreement import agreed
    from .instance import settled

    if no_git:
        given |= {"git": "no"}
    settings = options.prepared(given)
    browser = settings.open_browser and not no_open and sys.stdout.isatty()
    running = settled(settings)
    if running and not detach:
        running.close()
    elif running:
        # Before anything is changed: it may refuse.
        settings = agreed(running, settings, given)
    if reset_token:
        access.reset_token(settings.token_file)
    if detach:
        _in_background(settings, running, browser=browser)
    else:
        asyncio.run(_in_foreground(settings, browser=browser))


async def _in_foreground(settings: "Settings", *, browser: bool) -> None:
    from ..launch.supervisor import supervised
    from .env import NOWHERE
    from .instance import user_environ

    def goodbye() -> None:
        click.echo("\nFinishing the calls under way; Ctrl-C again cuts them short.", err=True)

    environ = user_environ()
    async with supervised(settings, environ, stays=True, on_signal=goodbye) as supervisor:
        if not await ready(supervisor):
            return
        banner(settings, supervisor.daemon, browser=browser)
        await tell_calls(settings, supervisor)
    if supervisor.leads_shells:
        say(NOWHERE, err=True)


async def ready(supervisor: "Supervisor") -> bool:
    """Wait until all processes are up; False when the end was asked for before."""
    up = asyncio.ensure_future(supervisor.ready())
    stop = asyncio.ensure_future(supervisor.stop_asked.wait())
    await asyncio.wait({up, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not up.done():
        up.cancel()
        return False
    await up
    return True


def _in_background(settings: "Settings", running: "Client | None", *, browser: bool) -> None:
    """Let the *running* instance stay, or start one; *settings* are those in force."""
    from ..launch import daemon, state
    from .instance import user_environ

    if running:
        with running:
            running.ask(op="stay")
    else:
        daemon.spawn(settings, user_environ(), stay=True)
    if facts := state.read(settings.run_folder):
        banner(settings, facts, browser=browser)


def banner(settings: "Settings", daemon: "Daemon", *, browser: bool) -> None:
    """Say where everything is, and what is kept."""
    from .. import __version__
    from . import notice
    from .instance import login_link

    link = login_link(settings, daemon.web_url) if daemon.web_url else "not up yet"
    click.echo(f"AgentTrace {__version__} is recording.\n")
    click.echo(f"  Pages   {link}")
    click.echo(f"  Proxy   {daemon.proxy_url}\n")
    one, shell = f"{program()} run -- python my_agent.py", f'eval "$({program()} env)"'
    click.echo(f"  {one}   records one program")
    click.echo(f"  {shell:<{len(one)}}   records this shell\n")
    keeps = f"{settings.retention_days} days" if settings.retention_days else "until you delete it"
    tier = settings.privacy_tier
    click.echo(f"Keeps tier {tier} ({notice.TIERS[tier]}),")
    click.echo(f"content for {keeps}, in {settings.database}.")
    if notice.is_due(settings):
        notice.at_length(settings)
    click.echo()
    if browser:
        click.launch(link)


async def tell_calls(settings: "Settings", supervisor: "Supervisor") -> None:
    """A line per call until the end is asked for, or of many at once how many, and the last."""
    from ..errors import StoreError
    from ..scheduling import give_way
    from .follow import POLL_S, Follower
    from .tail import colourful
    from .text import call_line

    follower = Follower(settings.database, most=MOST_LINES)
    colour = colourful()
    while not supervisor.stop_asked.is_set():
        try:
            calls = await asyncio.to_thread(follower.poll)
        except StoreError:
            calls = []  # busy or being replaced: the next look finds them
        try:
            if follower.passed_over:
                click.echo(f"... {follower.passed_over:,} calls before these")
            for call in calls:
                click.echo(call_line(call, colour=colour), color=colour)
                give_way()
        except OSError:  # nobody reads them any more: calls are recorded all the same
            await supervisor.stop_asked.wait()
            return
        try:
            async with asyncio.timeout(POLL_S):
                await supervisor.stop_asked.wait()
        except TimeoutError:
            continue
