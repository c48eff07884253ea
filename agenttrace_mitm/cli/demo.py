"""`demo`: the product at work, without a key and without a network."""

import asyncio
import shlex
import sys
from typing import TYPE_CHECKING

import click

from ..errors import AgentTraceError
from . import options
from .typed import program, say

if TYPE_CHECKING:
    from ..launch.supervisor import Supervisor
    from ..settings import Settings

QUIET_POLLS = 10


@click.command()
@options.settings("proxy_port", "port", "privacy_tier", "log_level")
@click.option("--no-open", is_flag=True, help="Do not open the pages in a browser.")
@click.option("--exit", "leave", is_flag=True, help="End once the calls are recorded.")
def command(no_open: bool, leave: bool, **given: str | None) -> None:
    """Record two small programs, six agents together, and show what they did.

    The calls are real HTTPS through the real proxy; the five providers are played on this machine.
    The demo keeps its own database and leaves yours alone.

    \b
    agenttrace-mitm demo
    """
    settings = options.load(given)
    browser = settings.open_browser and not no_open and sys.stdout.isatty()
    asyncio.run(_demo(settings, browser=browser, leave=leave))


async def _demo(settings: "Settings", *, browser: bool, leave: bool) -> None:
    from ..demo import stage
    from ..launch import environment
    from ..launch.supervisor import supervised
    from .instance import context, user_environ
    from .start import ready, tell_calls

    environ = user_environ()
    async with (
        stage.staged(settings) as staged,
        supervised(staged, environ, stays=True) as supervisor,
    ):
        if not await ready(supervisor):
            return
        _banner(staged, supervisor)
        ports = {
            "proxy_port": supervisor.daemon.proxy_port,
            "sni_port": supervisor.daemon.sni_port,
        }
        telling = asyncio.create_task(tell_calls(staged, supervisor))
        agent = environment.variables(context(staged, ports), environ)
        if await stage.play({**environ, **agent}, supervisor.stop_asked):
            raise AgentTraceError("An agent of the demo failed", f"See {staged.log_folder}")
        if not supervisor.stop_asked.is_set():
            await _recorded(staged)
            _invite(staged, supervisor, browser=browser, stays=not leave)
        if leave:
            supervisor.request_stop()
        await telling


def _banner(settings: "Settings", supervisor: "Supervisor") -> None:
    """Where everything is, and what works meanwhile: this is another home than the user's."""
    from .. import __version__
    from .instance import login_link

    daemon = supervisor.daemon
    here = f"AGENTTRACE_HOME={shlex.quote(str(settings.home))} {program()}"
    click.echo(f"AgentTrace {__version__} plays a demo: two programs, six agents together,")
    click.echo("call made-up providers.\n")
    click.echo(f"  Pages   {login_link(settings, daemon.web_url or '')}")
    click.echo(f"  Proxy   {daemon.proxy_url}\n")
    click.echo("In another terminal:")
    click.echo(f"  {here} open    another link to its pages")
    click.echo(f"  {here} tail    its calls")
    click.echo(f"  {here} stats   what they would cost\n")
    click.echo(f"They are kept in {settings.database} until the next demo;")
    click.echo("what you record yourself is left alone.\n")


async def _recorded(settings: "Settings") -> None:
    """Wait until the agent's last call has its row and its line: no new one for a second."""
    from ..store import queries

    quiet, seen = 0, 0
    while quiet < QUIET_POLLS:
        await asyncio.sleep(0.1)
        newest = queries.last_number(settings.database)
        quiet = quiet + 1 if newest == seen else 0
        seen = newest


def _invite(settings: "Settings", supervisor: "Supervisor", *, browser: bool, stays: bool) -> None:
    from .instance import login_link

    if not stays:
        return
    link = login_link(settings, supervisor.daemon.web_url or "")
    click.echo(f"\nThat was the demo.  See what they did: {link}")
    say("Ctrl-C ends it.  Then record your own: agenttrace-mitm run -- CMD")
    if browser:
        click.launch(link)
