"""How Datasette shows our tables: descriptions, order, facets; and `metadata.yml` made of them.

    scripts/metadata        writes that file

The hook gives all of it to a database of any name, so the file is there for people to copy and
change; a test says so when it differs from the code.
"""

from pathlib import Path
from typing import Any

import agenttrace_mitm
from agenttrace_mitm.store import descriptions
from agenttrace_mitm.store.columns import CALLS, COLUMNS

from .canned import CANNED_QUERIES

type Metadata = dict[str, Any]

TITLE = "AgentTrace"
DESCRIPTION = "What AI agents do, cost and break, recorded on the wire on this machine."
BOOKKEEPING = ("_sqlite_migrations", "content_mark", "content_waiting", "holds", "horizon")
"""Tables of which only the recorder makes sense."""
SHOWN: Metadata = {
    "llm_calls": {
        "sort_desc": "started_us",
        "facets": ["provider", "agent_id"],  # each has an index; without, a facet reads every row
        "label_column": "model",
    },
    "messages": {"sort_desc": "id", "label_column": "role"},
    "tool_calls": {"sort_desc": "id", "facets": ["name"], "label_column": "name"},
    "payloads": {"size": 10},
    "media": {"sort_desc": "first_seen_us", "label_column": "mime_type"},
    "blind_spots": {"sort_desc": "id"},
    "recorder_events": {"sort_desc": "id"},
    **{name: {"hidden": True} for name in BOOKKEEPING},
}


# Datasette asks for these hundreds of times for a page, whether a table may be seen, and copies
# what it is given.
_WITHOUT_WORDS = frozenset({"allow", "allow_sql", "plugins", "tables"})


def tables(key: str | None = None) -> Metadata:
    """Table metadata of one of our databases, with what the schema says of tables and columns.

    *key* is what Datasette looks for in it: what cannot hold such words goes without.
    """
    if key in _WITHOUT_WORDS:
        return {"tables": {name: dict(shown) for name, shown in SHOWN.items()}}
    described: Metadata = {
        "llm_calls": {
            "description": "One row per exchange with a provider host. Times are UTC.",
            "columns": dict(CALLS),
        },
        **{
            name: {
                "description": f"{said[:1].upper()}{said[1:]}.",
                "columns": dict(COLUMNS.get(name, {})),
            }
            for name, said in {**descriptions.TABLES, **descriptions.VIEWS}.items()
        },
    }
    names = described | SHOWN
    return {"tables": {name: described.get(name, {}) | SHOWN.get(name, {}) for name in names}}


def queries() -> Metadata:
    """Canned queries of one of our databases."""
    return {query.name: query.as_metadata() for query in CANNED_QUERIES}


def metadata() -> Metadata:
    """The whole of `metadata.yml`; descriptions come from the schema by the hook."""
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "databases": {"data": {"tables": SHOWN, "queries": queries()}},
    }


def metadata_file() -> Path | None:
    """`metadata.yml` of the installed package, or of the checkout."""
    package = Path(agenttrace_mitm.__file__).parent
    places = (package / "share" / "metadata.yml", package.parent / "metadata.yml")
    return next((place for place in places if place.is_file()), None)
