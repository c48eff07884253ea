"""`docs/cli.md`, `settings.md` and `schema.md`, made from what they describe."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from . import cli

if TYPE_CHECKING:
    from sqlite_utils import Database

WIDTH = 90


def commands() -> str:
    """Every command with its help, in the order of `--help`."""
    pages = (f"## {name}\n\n```\n{text}\n```\n" for name, text in _helps(cli, "agenttrace-mitm"))
    return "\n".join(pages)


def settings() -> str:
    """Every setting: name in `config.json`, variable, option, default, meaning."""
    from ..settings import ENV_PREFIX, Settings
    from .options import OPTIONS

    lines = ["| `config.json` | variable | option | default | meaning |", "|---|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        option = f"`--{name.replace('_', '-')}`" if name in OPTIONS else ""
        value = field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]  # ours take nothing
        default = "`~/.agenttrace`" if name == "home" else _default(value)
        variable = f"`{ENV_PREFIX}{name.upper()}`"
        lines.append(f"| `{name}` | {variable} | {option} | {default} | {field.description} |")
    return "\n".join(lines)


def schema() -> str:
    """Every table and view of the database with its columns, their types and meanings."""
    from sqlite_utils import Database

    from ..store.schema import TABLES, VIEWS, migrations

    db = Database(memory=True)
    migrations.apply(db)
    calls = {"llm_calls": "one row per exchange with a provider host"}
    sections = [_relation(db, *item) for item in {**calls, **TABLES, **VIEWS}.items()]
    return "\n".join(sections)


def _relation(db: "Database", name: str, said: str) -> str:
    from ..store.columns import columns_of

    # table_info leaves generated columns out.
    found = db.execute(f"pragma table_xinfo({name})").fetchall()
    types = {row[1]: row[2].lower() for row in found if row[1] != "rank"}
    kind = "View" if name in db.view_names() else "Table"
    lines = [f"## {name}\n", f"{kind}: {said}.\n", "| column | type | meaning |", "|---|---|---|"]
    meanings = columns_of(name, types)
    lines += [f"| `{col}` | {types[col]} | {text} |" for col, text in meanings.items()]
    return "\n".join(lines) + "\n"


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
