"""Sessions, traces, threads and spans as rows.

Calls come in the order they end, and may come again.  So every statement widens what is there:
beginnings move back, ends move on, and who came first by the clock names the row.
"""

import sqlite3
from collections.abc import Sequence

from sqlite_utils import Database

from ..model import Placement, StoredSession, StoredSpan, StoredThread, StoredTrace
from ..model.row import Row

_TEXT_KEYS = {
    "sessions": "session_id",
    "traces": "trace_id",
    "threads": "thread_id",
    "spans": "span_id",
}
_MODELS: dict[str, type[Row]] = {
    "sessions": StoredSession,
    "traces": StoredTrace,
    "threads": StoredThread,
    "spans": StoredSpan,
}
_TYPES = {"started_us": int, "ended_us": int, "pid": int, "confidence": float}


def create(db: Database) -> None:
    """The four tables, their indexes, and the agents made of them."""
    for table, key in _TEXT_KEYS.items():
        columns = {name: _TYPES.get(name, str) for name in _MODELS[table].model_fields}
        db.table(table).create(columns, pk=key)
        db.table(table).create_index(["started_us"])
    for table in ("traces", "threads"):
        db.table(table).create_index(["session_id", "started_us"])
    db.table("threads").create_index(["parent_span_id"])
    db.table("spans").create_index(["trace_id", "started_us"])
    db.table("spans").create_index(["parent_span_id"])
    db.table("spans").create_index(["call_id"])


def _insert(table: str, conflict: str) -> str:
    names = list(_MODELS[table].model_fields)
    return (
        f"insert into {table} ({', '.join(names)})"
        f" values ({', '.join(f':{name}' for name in names)})"
        f" on conflict ({_TEXT_KEYS[table]}) do update set {conflict}"
    )


def _first(table: str, *names: str) -> str:
    """The value of the row that began first; one that is known comes before none.

    Of two calls that began at once the one with the lesser id is first, as in `traces rebuild`.
    """
    key = ["started_us", "call_id"] if table == "traces" else ["started_us"]
    new, old = (", ".join(f"{of}.{name}" for name in key) for of in ("excluded", table))
    return ", ".join(
        f"{n} = case when ({new}) < ({old})"
        f" then coalesce(excluded.{n}, {table}.{n}) else coalesce({table}.{n}, excluded.{n}) end"
        for n in names
    )


def _widened(table: str) -> str:
    return (
        f"started_us = min({table}.started_us, excluded.started_us),"
        f" ended_us = max({table}.ended_us, excluded.ended_us)"
    )


INSERT_SESSION = _insert(
    "sessions",
    _first("sessions", "agent_id", "client", "pid", "process", "cwd") + ", " + _widened("sessions"),
)
INSERT_TRACE = _insert(
    "traces",
    _first("traces", "session_id", "thread_id", "call_id", "agent_id", "root_span_id", "name")
    + ", "
    + _widened("traces"),
)
INSERT_THREAD = _insert(
    "threads",
    _first("threads", "session_id", "agent_id", "parent_thread_id", "parent_span_id")
    + ", "
    + _widened("threads"),
)
# A tool's span ends with the first request that brings its result, the others with the last step.
# The first row that has an end also says how it ended; a later end of an operation overrides it.
# How that is known goes with the end; of two that end alike, the surer one tells.
_TOLD = """spans.ended_us is null or spans.kind = 'tool' and (
        excluded.ended_us < spans.ended_us
        or excluded.ended_us = spans.ended_us and excluded.confidence > spans.confidence)"""
# Programs may tell of two calls by one span: what it is then is what the earlier one said.
_EARLIER = """spans.kind = 'llm' and excluded.call_id <> spans.call_id
        and (excluded.started_us, excluded.call_id) < (spans.started_us, spans.call_id)"""
_SAID = ("trace_id", "name", "call_id", "session_id", "agent_id")
INSERT_SPAN = _insert(
    "spans",
    ", ".join(f"{n} = case when {_EARLIER} then excluded.{n} else spans.{n} end" for n in _SAID)
    + f""",
    outcome = case
        when spans.ended_us is null then excluded.outcome
        when excluded.ended_us is null then spans.outcome
        when (spans.kind = 'tool') = (excluded.ended_us < spans.ended_us)
            and excluded.ended_us <> spans.ended_us then excluded.outcome
        when excluded.ended_us = spans.ended_us and {_EARLIER} then excluded.outcome
        else spans.outcome end,
    how = case when {_TOLD} then excluded.how else spans.how end,
    confidence = case when {_TOLD} then excluded.confidence else spans.confidence end,
    ended_us = case
        when spans.ended_us is null then excluded.ended_us
        when excluded.ended_us is null then spans.ended_us
        when spans.kind = 'tool' then min(spans.ended_us, excluded.ended_us)
        else max(spans.ended_us, excluded.ended_us) end,
    parent_span_id = case when {_EARLIER}
        then coalesce(excluded.parent_span_id, spans.parent_span_id)
        else coalesce(spans.parent_span_id, excluded.parent_span_id) end,
    started_us = min(spans.started_us, excluded.started_us)
    """,
)


def write_placements(db: sqlite3.Connection, placements: Sequence[Placement]) -> None:
    """The rows of *placements*, inside the caller's transaction."""
    rows: dict[str, list[dict[str, object]]] = {}
    for placement in placements:
        if placement.session:
            rows.setdefault(INSERT_SESSION, []).append(placement.session.__dict__)
        if placement.trace:
            rows.setdefault(INSERT_TRACE, []).append(placement.trace.__dict__)
        if placement.thread:
            rows.setdefault(INSERT_THREAD, []).append(placement.thread.__dict__)
        for span in placement.spans:
            rows.setdefault(INSERT_SPAN, []).append(span.__dict__)
    for sql, values in rows.items():
        db.executemany(sql, values)
