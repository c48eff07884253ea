"""`docs/cli.md` and `docs/settings.md`, made from the commands and the settings themselves."""

import json
from collections.abc import Iterator

import click

from . import cli

WIDTH = 90


def commands() -> str:
    """Every command with its help, in the order of `--help`."""
    pages = (f"## {name}\n\n```\n{text}\n```\n" for name, text in _helps(cli, "agenttrace-mitm"))
    return "\n".join(pages)


def settings() -> str:
    """Every setting: name in `config.json`, variable, option, default, meaning."""
    from ..settings import ENV_PREFIX, described
    from .options import OPTIONS

    lines = ["| `config.json` | variable | option | default | meaning |", "|---|---|---|---|---|"]
    for name, (value, meaning) in described().items():
        option = f"`--{name.replace('_', '-')}`" if name in OPTIONS else ""
        default = "`~/.agenttrace`" if name == "home" else _default(value)
        variable = f"`{ENV_PREFIX}{name.upper()}`"
        lines.append(f"| `{name}` | {variable} | {option} | {default} | {meaning} |")
    return "\n".join(lines)


def _default(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below
            yield from _helps(below, f"{name} {each}")
