"""`status`: what runs, and where."""

import json

import click

from . import options
from .typed import for_programs


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(as_json: bool) -> None:
    """Say what is running.  Exit code 1 when nothing is; `running` says so with --json.

    \b
    agenttrace-mitm status --json
    """
    from ..launch import control
    from ..launch.state import reachable
    from .instance import not_running
    from .text import moment, printable, recording, table

    settings = options.load({})
    client = control.connect(settings.run_folder)
    if client is None:
        error = not_running(settings)
        if as_json:
            click.echo(json.dumps({"running": False, **for_programs(error)}, indent=1))
        raise error
    with client:
        facts = client.ask(op="status")
    if as_json:
        click.echo(json.dumps({"running": True, **facts}, indent=1))
        return
    click.echo(
        f"AgentTrace {facts['version']}, pid {facts['pid']}, since {moment(facts['started_us'])}"
    )
    if facts.get("ending"):
        click.echo("Ending: it waits for the calls under way")
    click.echo(f"Proxy     http://{reachable(facts['proxy_host'])}:{facts['proxy_port']}")
    pages = f"http://{reachable(facts['host'])}:{facts['port'] or '?'}/"
    click.echo(f"Pages     {pages}   (`open` logs in)")
    click.echo(f"Database  {facts['db']}, tier {facts['privacy_tier']}\n")
    rows = [
        (name, "up" if process["up"] else "down", process["pid"] or "-", process["restarts"])
        for name, process in facts["processes"].items()
    ]
    click.echo(table(("process", "state", "pid", "restarts"), rows))
    if troubles := facts.get("troubles"):
        click.echo("\n" + "\n".join(f"Trouble   {printable(one)}" for one in troubles))
    if said := recording(facts.get("health", {})):
        click.echo(f"\n{said}")
    if facts["runs"]:
        names = ", ".join(printable(name) or "unnamed" for name in facts["runs"])
        click.echo(f"\nRuns: {names}")
