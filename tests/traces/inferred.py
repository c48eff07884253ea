"""Everything that was inferred of calls, by key: what was told beside what is told again."""

import sqlite3
from collections.abc import Iterator
from typing import Any

TABLES = {
    "llm_calls": ("id",),
    "tool_calls": ("id",),
    "call_messages": ("call_id", "direction", "position", "choice"),
    "sessions": ("session_id",),
    "traces": ("trace_id",),
    "threads": ("thread_id",),
    "spans": ("span_id",),
    "prompts": ("prompt_id",),
    "rollup_hour": ("hour", "provider", "model", "agent_id"),
}

type Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


def rows(db: sqlite3.Connection) -> Rows:
    """The rows of each table by key."""
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    return {
        table: {
            tuple(row[name] for name in key): dict(row)
            for row in cursor.execute(f"select * from {table}")
        }
        for table, key in TABLES.items()
    }


def differences(before: Rows, after: Rows) -> list[str]:
    """Every value that differs, every row that went or came, in words that begin with the table."""
    return [line for table in TABLES for line in _differences(table, before[table], after[table])]


def _differences(table: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys(), key=str):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            yield f"{table} {key} {'came' if one is None else 'went'}"
            continue
        for name in one:
            if one[name] != other[name]:
                yield f"{table} {key} {name}: {one[name]} -> {other[name]}"
