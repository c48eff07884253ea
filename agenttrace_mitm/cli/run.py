"""`run -- CMD`: one program with its calls recorded, otherwise as if we were not there."""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import AgentTraceError
from . import options

if TYPE_CHECKING:
    from ..launch.control import Client
    from ..settings import Settings

END_S = 3.0
"""How long an instance of ours is waited for: a program left behind may have calls under way."""
AGAIN_S = 0.05
TAKEN_FOR_S = 10.0
"""How long an instance may take from its lock to its socket, and back."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--agent", metavar="NAME", help="Who makes these calls.  [default: guessed]")
@click.option("--session", metavar="ID", help="Session these calls belong to.")
@click.option("--tag", "tags", metavar="K=V", multiple=True, help="Label the calls; repeatable.")
@click.option(
    "--transparent",
    is_flag=True,
    help="Record programs that know no proxy, in a network of their own (Linux).",
)
@click.option("--quiet", is_flag=True, help="No summary at the end.")
@options.settings(*options.OPTIONS)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    agent: str | None,
    session: str | None,
    tags: tuple[str, ...],
    transparent: bool,
    quiet: bool,
    program: tuple[str, ...],
    **given: str | None,
) -> None:
    """Run a program with its LLM calls recorded.

    Starts what is not running and ends it afterwards; what is running has to do what the options
    say.  Input, output, signals and exit code are the program's own; the only addition is one line
    on stderr at the end, and once, before, one that says what is kept.

    \b
    agenttrace-mitm run -- python my_agent.py
    agenttrace-mitm run --agent reviewer --tag branch=main -- claude -p "review this"
    agenttrace-mitm run --transparent -- ./static-go-binary
    """
    from . import notice
    from .instance import user_environ

    settings = options.prepared(given)
    labels = dict(_label(tag) for tag in tags)
    began_us = time.time_ns() // 1000
    client, settings, daemon, opened = _opened(
        settings, given, {"agent": agent, "session": session, "tags": labels}
    )
    environ = user_environ()
    if not quiet and notice.is_due(settings):
        notice.in_a_line(settings)
    try:
        code = None
        if transparent:
            code = _run_transparently(client, settings, opened, program, environ)
        if code is None:
            code = _run(client, settings, opened, program, environ)
        facts = _settled(client, opened["run"])
    finally:
        client.close()
        if daemon and daemon.stdin:
            daemon.stdin.close()
    if daemon and not quiet:
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(END_S)
    if facts is None:
        click.echo("agenttrace-mitm: recording was stopped meanwhile", err=True)
    elif not quiet:
        _summary(facts, opened["run"], began_us)
    context.exit(code)


def _run(
    client: "Client",
    settings: "Settings",
    opened: dict[str, Any],
    program: tuple[str, ...],
    environ: dict[str, str],
) -> int:
    """Run the program with the proxy in its environment; its exit code."""
    from ..launch import environment
    from ..launch.program import run
    from ..launch.strays import Strays
    from .instance import context, recorded_hosts

    def strayed(host: str, reason: str, who: str) -> None:
        with contextlib.suppress(AgentTraceError):  # it went away; that is told elsewhere
            client.ask(op="blind", host=host, reason=reason, client=who)

    chosen = environment.variables(context(settings, opened), environ)
    with Strays(recorded_hosts(settings), strayed):
        return run(program, {**environ, **chosen})


def _run_transparently(
    client: "Client",
    settings: "Settings",
    opened: dict[str, Any],
    program: tuple[str, ...],
    environ: dict[str, str],
) -> int | None:
    """Run the program in a network of its own; None, and a sentence, when there can be none."""
    from dataclasses import replace

    from ..launch import environment, transparent, trust
    from ..launch.program import run
    from .instance import context

    listeners = replace(context(settings, opened), proxied=False, sni_port=None)
    plain = environment.without_proxies(environ)
    chosen = environment.variables(listeners, plain)
    bundle = listeners.replacing(*filter(None, [str(trust.system_bundle() or "")]))
    with transparent.Namespace(program, Path(bundle)) as namespace:

        def connect(path: Path) -> None:
            client.ask(op="open_namespace", run=opened["run"], path=str(path))

        try:
            return run(
                namespace.arguments,
                {**plain, **chosen},
                [namespace.descriptor],
                lambda: namespace.adopt(connect),
            )
        except transparent.ForbiddenError as error:
            click.echo(
                f"agenttrace-mitm: no network of its own: {error.problem}; "
                "programs that ignore proxy variables are not recorded",
                err=True,
            )
            return None


def _label(tag: str) -> tuple[str, str]:
    name, equals, value = tag.partition("=")
    if not (name and equals):
        raise AgentTraceError(f"The label {tag!r} has no value", "Write it as --tag name=value")
    return name, value


def _opened(
    settings: "Settings", given: dict[str, str | None], run: dict[str, Any]
) -> "tuple[Client, Settings, subprocess.Popen[bytes] | None, dict[str, Any]]":
    """A run in the running instance, by its settings, or in one of ours that ends with us.

    Raises `AgentTraceError` when the running one does not do what the command line says.
    """
    from ..launch import control, daemon, state
    from .agreement import agreed
    from .instance import running, settled, user_environ, wait_for_end

    until = time.monotonic() + TAKEN_FOR_S
    while True:
        client, ours = settled(settings), None
        if client is None:
            try:
                ours = daemon.spawn(settings, user_environ(), stay=False)
            except state.TakenError:
                # Another `run` was faster: once its instance listens, it serves both.
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_S)
                continue
            client = running(settings)
        try:
            in_force = settings if ours else agreed(client, settings, given)
            return client, in_force, ours, client.ask(op="open_run", **run)
        except control.EndingError:  # the last who used it left just now
            if ours:
                raise
            with client:
                wait_for_end(client)


def _settled(client: "Client", run: str) -> dict[str, Any] | None:
    """The instance's status, once the run's last calls are written; None where it went away."""
    try:
        settled = client.ask(op="settle", run=run)
    except AgentTraceError:  # a worker has died
        settled = {"settled": False}
    try:
        return client.ask(op="status") | settled
    except AgentTraceError:
        return None


def _summary(facts: dict[str, Any], run: str, began_us: int) -> None:
    """Calls, cost, and where to look, a line on stderr; before it, what keeps it from being true.

    *facts* are the instance's status.
    """
    from ..errors import StoreError
    from ..figures import counted
    from ..frames import UNREACHED
    from ..launch.state import reachable
    from ..store import queries
    from .text import bill, printable

    try:
        found = queries.totals(Path(facts["db"]), began_us - 1_000_000, run=run)
        failed = queries.reports(Path(facts["db"]), UNREACHED, began_us)
    except StoreError as error:
        click.echo(f"agenttrace-mitm: {error.problem}", err=True)
        return
    troubles = facts["troubles"]
    if not (troubles or facts["settled"]):
        troubles = ["the last calls are not written yet"]
    for trouble in troubles:
        click.echo(f"agenttrace-mitm: {printable(trouble)}", err=True)
    if failed:  # whoever it was: who shares the machine with the program shares its network
        click.echo(f"agenttrace-mitm: not reached meanwhile: {printable(failed[-1])}", err=True)
    if not found:
        click.echo("agenttrace-mitm: no LLM calls seen", err=True)
        return
    total = found[0]
    said = [counted(total.calls, "call")]
    if total.cost_nano_usd is not None:
        said.append(bill(total.cost_nano_usd, total.spend_nano_usd))
    if total.unpriced:
        said.append(f"{total.unpriced} without a price")
    if total.errors:
        said.append(f"{total.errors} failed")
    pages = f" → http://{reachable(facts['host'])}:{facts['port']}/" if facts.get("port") else ""
    click.echo(f"agenttrace-mitm: {', '.join(said)}{pages}", err=True)
