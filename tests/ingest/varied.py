"""A batch with every kind of event, and the rows that come of it."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

NOW = 1_795_219_200_000_000
SECRET = "sk-proj-" + "a1B2" * 12
ITEMS: list[Any] = [
    {
        "id": "whole", "agent_id": "bot", "event_type": "llm_call", "provider": "OpenAI",
        "timestamp": "2026-11-20T12:00:00+02:00", "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06", "operation": "chat", "tokens_in": 1000,
        "tokens_out": 100, "tokens_total": 1200, "cache_read_tokens": 300, "reasoning_tokens": 20,
        "cost_usd": 9.5, "latency_ms": 1500, "ttft_ms": 120.25, "status_code": 200,
        "tags": {"team": "café", "deep": {"list": [1, 2.5, None, True]}, "large": 2**63},
        "source": "my-sdk", "session_id": "s1", "span_id": "any text",
        "trace_id": "5f0C7f80-1111-4222-8333-123456789abc", "parent_span_id": "00f067aa0ba902b7",
    },
    {"id": "same session", "agent_id": "bot", "event_type": "completion", "session_id": "s1",
     "timestamp": 1795168000000, "model": "claude-3-5-sonnet-20241022", "provider": "anthropic",
     "tokens_in": 4000, "tokens_out": 7, "cache_write_tokens": 1000.0, "latency_ms": 0.5},
    {"id": "another agent", "agent_id": "bot2", "event_type": "llm_call", "session_id": "s1",
     "timestamp": 1795167000000, "tokens_in": 5, "latency_ms": 10_000_000},
    {"id": "own price", "agent_id": "bot", "event_type": "llm_call", "session_id": "",
     "timestamp": 1795168800001, "provider": "x", "model": "own", "cost_usd": 0.25, "tags": {}},
    {"id": "failed", "agent_id": "bot", "event_type": "llm_call", "timestamp": 1795168800002,
     "provider": "openai", "model": "gpt-4o", "status_code": 429, "error_type": "rate_limit"},
    {"id": "secret", "agent_id": "bot", "event_type": "llm_call", "timestamp": 1795168800003,
     "error_message": f"key {SECRET}", "tags": {"password": "hunter2Hunter2Hunter2"}},
    {"id": "h", "agent_id": "bot", "event_type": "heartbeat", "timestamp": 1795168800004},
    {"id": "e", "agent_id": "bot", "event_type": "error", "timestamp": 1795168800005,
     "severity": "high", "error_message": f"it was {SECRET}", "trace_id": "t", "session_id": "s2"},
    {"id": "c", "agent_id": "bot", "event_type": "custom", "timestamp": 1795168800006,
     "name": "deployed", "message": "v2 → done", "tags": {"n": 1e22}, "span_id": "s"},
]  # fmt: skip
ITEMS += [ITEMS[0], ITEMS[-1]]
ITEMS += [None, {"agent_id": "bot"}, ITEMS[0] | {"tokens_in": -1}, ITEMS[0] | {"colour": "red"}]

TABLES = (
    "llm_calls", "events", "sessions", "traces", "spans", "rollup_hour", "rollup_day",
    "rollup_model", "rollup_session", "rollup_spend",
)  # fmt: skip


def rows(database: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of `TABLES`, what is NULL left out; the version of the prices is none of it."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        return {table: _rows(db, table) for table in TABLES}


def _rows(db: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    found = [
        {name: _plain(row[name]) for name in row.keys() if row[name] is not None}  # noqa: SIM118
        for row in db.execute(f"select * from {table}")
    ]
    for row in found:
        if row.get("price_source", "").startswith("genai-prices"):
            row["price_source"] = "genai-prices"
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
