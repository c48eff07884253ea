"""`docs/schema.md`, made from the schema itself: every table and view, column by column."""

from sqlite_utils import Database

from .columns import columns_of
from .descriptions import TABLES, VIEWS
from .schema import migrations

_CALLS = {"llm_calls": "one row per exchange with a provider host"}


def tables_and_views() -> str:
    """A section for each, with its columns, their types and meanings."""
    db = Database(memory=True)
    migrations.apply(db)
    return "\n".join(_section(db, *item) for item in {**_CALLS, **TABLES, **VIEWS}.items())


def _section(db: Database, name: str, said: str) -> str:
    # table_info leaves generated columns out.
    types = {row[1]: row[2].lower() for row in db.execute(f"pragma table_xinfo({name})")}
    kind = "View" if name in db.view_names() else "Table"
    lines = [f"## {name}\n", f"{kind}: {said}.\n", "| column | type | meaning |", "|---|---|---|"]
    meanings = columns_of(name, types)
    lines += [f"| `{column}` | {types[column]} | {text} |" for column, text in meanings.items()]
    return "\n".join(lines) + "\n"
