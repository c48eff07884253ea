"""How Datasette shows our tables: descriptions, order, facets; and `metadata.yml` made of them.

    scripts/metadata > metadata.yml

The hook gives the same for a database of any name, so the file is there for people to copy and
change; a test says so when the two differ.
"""

from pathlib import Path
from typing import Any

import agenttrace_mitm
from agenttrace_mitm.store import schema

from .canned import CANNED_QUERIES

type Metadata = dict[str, Any]

TITLE = "AgentTrace"
DESCRIPTION = "What AI agents do, cost and break, recorded on the wire on this machine."
TABLES: Metadata = {
    "llm_calls": {
        "description": "One row per exchange with a provider host. Times are UTC.",
        "sort_desc": "started_us",
        "facets": ["provider", "model", "outcome"],
        "label_column": "model",
        "columns": {**schema.CALL_COLUMNS, **schema.GENERATED_COLUMNS},
    },
    "messages": {
        "description": schema.TABLES["messages"],
        "sort_desc": "id",
        "label_column": "role",
    },
    "call_messages": {"description": schema.TABLES["call_messages"]},
    "tool_calls": {
        "description": schema.TABLES["tool_calls"],
        "sort_desc": "id",
        "facets": ["name"],
        "label_column": "name",
    },
    "payloads": {"description": schema.TABLES["payloads"], "size": 10},
    "blind_spots": {"description": schema.TABLES["blind_spots"], "sort_desc": "id"},
    "recorder_events": {"description": schema.TABLES["recorder_events"], "sort_desc": "id"},
    **{name: {"description": said} for name, said in schema.VIEWS.items()},
}


def tables() -> Metadata:
    """Table metadata of one of our databases."""
    return {"tables": TABLES}


def queries() -> Metadata:
    """Canned queries of one of our databases."""
    return {query.name: query.as_metadata() for query in CANNED_QUERIES}


def metadata() -> Metadata:
    """The whole of `metadata.yml`."""
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "databases": {"data": {**tables(), "queries": queries()}},
    }


def metadata_file() -> Path | None:
    """`metadata.yml` of the installed package, or of the checkout."""
    package = Path(agenttrace_mitm.__file__).parent
    places = (package / "share" / "metadata.yml", package.parent / "metadata.yml")
    return next((place for place in places if place.is_file()), None)
