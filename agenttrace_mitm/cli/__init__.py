"""The command line: one file per command group, each listed below.

Commands import their work when they run, so that `--help` answers at once.  Our own errors
become one sentence and a remedy on stderr, exit code 1.
"""

import contextlib
import errno
import json
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..errors import AgentTraceError
from . import options
from .typed import for_programs, say, sentence

# Each names a module here; its `command` is the command of that name.
COMMANDS = (
    "start",
    "run",
    "demo",
    "env",
    "status",
    "stop",
    "open",
    "tail",
    "stats",
    "agents",
    "sessions",
    "prompts",
    "query",
    "traces",
    "alerts",
    "gate",
    "export",
    "backup",
    "db",
    "hosts",
    "ca",
    "system-proxy",
    "redirect",
    "doctor",
    "uninstall",
    "token",
    "logs",
    "serve",
    "version",
)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Commands(click.Group):
    """The group: commands in the order of use, errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order above, not the alphabet's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module when it is asked for."""
        if cmd_name not in COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command: click.Command = import_module(f".{module}", __name__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Ask what was meant by a command that there is not: click knows only what is loaded."""
        name = args[0]
        known = name in COMMANDS or name.startswith("-") or ctx.resilient_parsing
        if not known and (meant := get_close_matches(name, COMMANDS)):
            ctx.fail(f"No such command {name!r}.  Did you mean: {', '.join(meant)}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say what went wrong in one sentence and what to do about it.

        Programs that asked for JSON get an object with both on standard output as well.
        """
        try:
            return super().invoke(ctx)
        except AgentTraceError as error:
            if options.wants_json(ctx):
                click.echo(json.dumps(for_programs(error), indent=1))
            say(f"agenttrace-mitm: {error.problem}.", err=True)
            if error.remedy:
                say(sentence(error.remedy), err=True)
            ctx.exit(getattr(error, "exit_code", 1))
        except OSError as error:
            if error.errno not in FULL:
                raise
            click.echo(f"agenttrace-mitm: {error.strerror}: not all could be written.", err=True)
            with contextlib.suppress(OSError):
                sys.stdout.close()  # or Python would try to write the rest again
            ctx.exit(1)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Everything stays on this machine, in ~/.agenttrace.  Settings: docs/settings.md",
)
@click.version_option(__version__, "-V", "--version", message="agenttrace-mitm %(version)s")
def cli() -> None:
    """See what AI agents do, cost and break: LLM calls recorded on the wire.

    \b
    agenttrace-mitm start                      record, and show the pages
    agenttrace-mitm run -- python my_agent.py  record one program
    """


def main() -> None:
    """All of it, as the console scripts run it."""
    cli(prog_name="agenttrace-mitm")
