"""`/api/calls`, `/api/traces`, `/api/sessions`, `/api/spans`: rows as they are stored."""

import base64
import json
import sqlite3
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from agenttrace_mitm import clock
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.ingest.handover import NotTaken
from agenttrace_mitm.model import Json, LlmCall, StoredSession, StoredSpan, StoredTrace
from agenttrace_mitm.privacy import Redactor
from agenttrace_mitm.store import recorders
from agenttrace_mitm.store.columns import columns_of
from agenttrace_mitm.store.forgetting import delete_calls
from agenttrace_mitm.store.rows import JSON_COLUMNS

from ..asking import rows_of
from .endpoint import Answer, Call, Endpoint, Refused, Said, unavailable
from .events import way_of
from .times import first_us, last_us

KEYS = {"llm_calls": "id", "traces": "trace_id", "sessions": "session_id", "spans": "span_id"}


class Asked(Said):
    """Which rows, newest first."""

    agent_id: str = ""
    session_id: str = ""
    trace_id: str = ""
    from_: str = Field("", alias="from", description="day or moment, ISO 8601; included")
    to: str = Field("", description="day or moment, ISO 8601; a day is included whole")
    limit: int = Field(100, ge=1, le=1000)
    cursor: str = Field("", max_length=700, description="`next_cursor` of the answer before")


class CallsAsked(Asked):
    """Which calls."""

    provider: str = ""
    model: str = Field("", description="as answered, else as asked")
    kind: Literal["", "llm", "auxiliary", "count", "admin", "telemetry"] = ""
    outcome: Literal["", "ok", "error", "cancelled", "interrupted", "in_flight"] = ""


def _answer(name: str, table: str, model: type[BaseModel]) -> type[BaseModel]:
    """A row of *table* as an answer: the model's columns, each null where it is not known."""
    meanings = columns_of(table, model.model_fields)
    fields: dict[str, Any] = {
        column: (
            Json if column in JSON_COLUMNS else _plain(field.annotation) | None,
            Field(None, description=meanings[column]),
        )
        for column, field in model.model_fields.items()
    }
    return create_model(name, __base__=Answer, **fields)


def _plain(annotation: Any) -> Any:
    for type_ in (bool, int, float, str):
        if annotation is type_ or type_ in getattr(annotation, "__args__", ()):
            return int if type_ is bool else type_
    return int if all(isinstance(one, int) for one in annotation.__args__) else str


RecordedCall = _answer("RecordedCall", "llm_calls", LlmCall)
RecordedTrace = _answer("RecordedTrace", "traces", StoredTrace)
RecordedSession = _answer("RecordedSession", "sessions", StoredSession)
RecordedSpan = _answer("RecordedSpan", "spans", StoredSpan)


def _page(name: str, field: str, row: type[BaseModel]) -> type[BaseModel]:
    fields: dict[str, Any] = {field: (list[row], ...), "next_cursor": (str | None, None)}  # type: ignore[valid-type]  # made above
    return create_model(name, __base__=Answer, **fields)


Calls = _page("Calls", "calls", RecordedCall)
Traces = _page("Traces", "traces", RecordedTrace)
Sessions = _page("Sessions", "sessions", RecordedSession)
Spans = _page("Spans", "spans", RecordedSpan)


def _listing(table: str, field: str, page: type[BaseModel], row: type[BaseModel]) -> Any:
    async def handle(call: Call) -> BaseModel:
        asked: Asked = call.query
        sql, given = _select(table, asked, row)

        def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
            return rows_of(db.execute(sql, given))

        rows = await call.reading(load)
        shown = rows[: asked.limit]
        more = None
        if len(rows) > asked.limit:
            place = json.dumps([shown[-1]["started_us"], shown[-1][KEYS[table]]])
            more = base64.urlsafe_b64encode(place.encode()).decode()
        return page(**{field: [row(**_decoded(one)) for one in shown], "next_cursor": more})

    return handle


def _one(table: str, row: type[BaseModel]) -> Any:
    async def handle(call: Call) -> BaseModel:
        names = ", ".join(row.model_fields)
        sql = f"select {names} from {table} where {KEYS[table]} = ?"

        def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
            return rows_of(db.execute(sql, (call.path["id"],)))

        found = await call.reading(load)
        if not found:
            raise Refused(404, f"There is no such {table.removeprefix('llm_').removesuffix('s')}")
        return row(**_decoded(found[0]))

    return handle


def _select(table: str, asked: Asked, row: type[BaseModel]) -> tuple[str, dict[str, Any]]:
    clauses = []
    for name in ("agent_id", "session_id", "trace_id", "provider", "kind", "outcome"):
        if getattr(asked, name, ""):
            clauses.append(f"{name} = :{name}" if name in row.model_fields else "0")
    if getattr(asked, "model", ""):
        clauses.append("coalesce(response_model, model) = :model")
    # A session or trace that began yesterday and is active today is in today.
    end = "started_us" if table == "llm_calls" else "coalesce(ended_us, started_us)"
    if asked.from_:
        clauses.append(f"{end} >= :since_us")
    if asked.to:
        clauses.append("started_us < :until_us")
    given = asked.model_dump() | {
        "since_us": first_us(asked.from_), "until_us": last_us(asked.to), "limit": asked.limit + 1,
    }  # fmt: skip
    if asked.cursor:
        given["at_us"], given["key"] = _place(asked.cursor)
        clauses.append(f"(started_us, {KEYS[table]}) < (:at_us, :key)")
    where = " and ".join(clauses) or "1"
    names = ", ".join(row.model_fields)
    return (
        f"select {names} from {table} where {where}"
        f" order by started_us desc, {KEYS[table]} desc limit :limit"
    ), given


def _place(cursor: str) -> tuple[int, str]:
    try:
        at_us, key = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not (isinstance(at_us, int) and abs(at_us) < 2**63 and isinstance(key, str)):
            raise ValueError
    except (ValueError, TypeError):
        raise Refused(400, "cursor: not one of ours") from None
    return at_us, key


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in JSON_COLUMNS and value is not None else value
        for name, value in row.items()
    }


# ------------------------------------------------------------------ feedback


class Feedback(Said):
    """What somebody thinks of a trace."""

    score: float | None = Field(None, ge=-1e9, le=1e9)
    label: str | None = Field(None, max_length=100)
    comment: str | None = Field(None, max_length=10_000)


class Stored(Answer):
    """It is stored."""

    id: str


async def _must_be_known(call: Call, trace: str, *tables: str) -> None:
    """Raises `Refused` where none of the *tables*, those of traces and calls among them, has it."""
    known = " union all ".join(
        f"select 1 from {table} where trace_id = :trace"
        for table in ("traces", "llm_calls", *tables)
    )
    if not await call.reading(lambda db: db.execute(known, {"trace": trace}).fetchone()):
        raise Refused(404, "There is no such trace")


async def _feedback(call: Call) -> Stored:
    said: Feedback = call.body
    trace = call.path["id"]
    redactor = Redactor()
    row = (
        new_id(), trace, said.score, said.label and redactor.text(said.label),
        said.comment and redactor.text(said.comment), call.who, clock.now_us(),
    )  # fmt: skip
    await _must_be_known(call, trace)
    sql = "insert into feedback values (?, ?, ?, ?, ?, ?, ?)"
    await call.writing(lambda db: db.execute(sql, row))
    return Stored(id=row[0])


# ------------------------------------------------------------------ removal


class Deleted(Answer):
    """What went, in rows by table."""

    id: str
    deleted: dict[str, int]


async def _delete(call: Call) -> Deleted:
    trace = call.path["id"]
    await _must_be_known(call, trace, "events")
    running = "select 1 from llm_calls where trace_id = ? and outcome = 'in_flight' limit 1"
    if await call.reading(lambda db: db.execute(running, (trace,)).fetchone()):
        raise Refused(409, "A call of it is running", "Wait until it has ended")
    counted = await _removed(call, trace)
    return Deleted(id=trace, deleted={table: n for table, n in counted.items() if n})


async def _removed(call: Call, trace: str) -> dict[str, int]:
    """A recorder does it, who remembers what is stored; without one nobody records meanwhile."""
    try:
        with recorders.alone(call.database, looks=1):
            return await call.writing(lambda db: delete_calls(db, "trace", trace))
    except StoreError as error:
        settings = call.site.settings
        if settings is None:
            raise unavailable(error) from None
    try:
        return await way_of(call, settings).remove(call.database, trace)
    except NotTaken as error:  # it begins or ends, or belongs to another home
        raise unavailable(error) from None


ENDPOINTS = (
    Endpoint("GET", "/api/calls", "read", "Calls, newest first.", Calls,
             _listing("llm_calls", "calls", Calls, RecordedCall), query=CallsAsked),
    Endpoint("GET", "/api/calls/{id}", "read", "A call.", RecordedCall,
             _one("llm_calls", RecordedCall)),
    Endpoint("GET", "/api/traces", "read", "Traces, newest first.", Traces,
             _listing("traces", "traces", Traces, RecordedTrace), query=Asked),
    Endpoint("GET", "/api/traces/{id}", "read", "A trace.", RecordedTrace,
             _one("traces", RecordedTrace)),
    Endpoint("DELETE", "/api/traces/{id}", "admin",
             "Delete a trace's calls and what hangs on them; messages of others stay.",
             Deleted, _delete, others={409: "A call of it is running."}),
    Endpoint("POST", "/api/traces/{id}/feedback", "ingest", "Say what you think of a trace.",
             Stored, _feedback, body=Feedback),
    Endpoint("GET", "/api/sessions", "read", "Sessions, newest first.", Sessions,
             _listing("sessions", "sessions", Sessions, RecordedSession), query=Asked),
    Endpoint("GET", "/api/sessions/{id}", "read", "A session.", RecordedSession,
             _one("sessions", RecordedSession)),
    Endpoint("GET", "/api/spans", "read", "Spans, newest first.", Spans,
             _listing("spans", "spans", Spans, RecordedSpan), query=Asked),
)  # fmt: skip
