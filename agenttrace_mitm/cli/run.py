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
    from . import notice, summary
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
    facts: dict[str, Any] | None = {}
    try:
        code = None
        if transparent:
            code = _run_transparently(client, settings, opened, program, environ)
        if code is None:
            code = _run(client, settings, opened, program, environ)
        with summary.unless_interrupted():
            facts = summary.settled(client, opened["run"])
    finally:
        client.close()
        if daemon and daemon.stdin:
            daemon.stdin.close()
    if not quiet:
        with summary.unless_interrupted():
            facts = summary.ended(daemon, facts) if daemon else facts
            summary.tell(facts, opened["run"], began_us)
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
