"""`serve`: the pages alone."""

import asyncio
import os
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..settings import Settings


@click.command()
@options.settings("port", "host", "db", "log_level")
def command(**given: str | None) -> None:
    """Show a database without recording.  Ctrl-C ends it; `open` gives another link.

    \b
    agenttrace-mitm serve --db copy.db --port 8081
    """
    from msgspec.structs import replace

    from ..errors import no_database

    settings = replace(options.load(given), alerts=False)
    if not settings.database.exists():
        raise no_database(settings.database)
    asyncio.run(_serve(settings))


async def _serve(settings: "Settings") -> None:
    import signal

    from ..launch import state
    from ..launch.supervisor import PROGRAMS, Supervisor
    from .instance import login_link, user_environ

    state.prepare(settings)
    web = next(program for program in PROGRAMS if program.name == "web")
    alone = type(web)(web.name, web.module, drain_s=web.drain_s)
    supervisor = Supervisor(settings, user_environ(), stays=True, programs=(alone,))
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sign, supervisor.request_stop)
    try:
        await supervisor.start()
        await supervisor.up()
        url = supervisor.daemon.web_url or ""
        click.echo(f"Pages   {login_link(settings, url)}")
        pages = state.Pages(os.getpid(), str(settings.database), url)
        with state.serving(settings.run_folder, pages):
            await supervisor.stop_asked.wait()
    finally:
        await supervisor.stop()
