"""Our commands below Datasette's: `datasette agenttrace alerts check`."""

from typing import Any

from agenttrace_mitm.cli import cli as commands


def register(cli: Any) -> None:
    """Add them to Datasette's; each imports its work when it is run."""
    cli.add_command(commands, "agenttrace")
