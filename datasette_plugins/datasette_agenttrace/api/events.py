"""`/api/events`: events taken, and everything that happened, newest first."""

import base64
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal
from weakref import WeakKeyDictionary

from pydantic import Field

from agenttrace_mitm import clock
from agenttrace_mitm.ingest.events import MOST, Batch, Event, EventResult, read
from agenttrace_mitm.ingest.handover import Handover, NotTaken
from agenttrace_mitm.model import Json
from agenttrace_mitm.settings import Settings

from ..asking import rows_of
from ..site import Datasette
from .endpoint import Answer, Call, Endpoint, Refused, Said, unavailable
from .times import first_us, last_us

type SomeEvents = Annotated[list[Event], Field(min_length=1, max_length=MOST)]


class Events(Said):
    """Several events."""

    events: list[Event] = Field(min_length=1, max_length=MOST)


class Taken(Answer):
    """What became of the events."""

    status: Literal["ok", "partial", "error"]
    event_ids: list[str]
    results: list[EventResult]


class Bucket:
    """How many events one token may still send: refilled evenly, a minute's worth at most.

    A batch that is larger than what a minute allows is taken from a full bucket and owed.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._at = clock()

    def take(self, number: int) -> int:
        """Take *number*; 0, or the milliseconds until they can be taken."""
        now = self._clock()
        refill = (now - self._at) * self._per_minute / 60
        self._left, self._at = min(self._left + refill, self._per_minute), now
        wanted = min(number, self._per_minute)
        if self._left >= wanted:
            self._left -= number
            return 0
        return int((wanted - self._left) * 60_000 / self._per_minute) + 1


_buckets: WeakKeyDictionary[Datasette, dict[str, Bucket]] = WeakKeyDictionary()
_ways: WeakKeyDictionary[Datasette, Handover] = WeakKeyDictionary()


async def _take(call: Call) -> tuple[int, Taken]:
    settings = call.site.settings
    if settings is None:
        raise Refused(
            503, "There is no recorder here", "Send events to agenttrace-mitm start", 5000
        )
    items = _items(call.body)
    buckets = _buckets.setdefault(call.datasette, {})
    bucket = buckets.setdefault(call.who, Bucket(settings.ingest_per_minute))
    if wait_ms := bucket.take(len(items)):
        raise Refused(429, "Too many events", "Wait, then send them again", wait_ms)
    batch = read(items, clock.now_us())
    await hand_over(call, settings, batch)
    status: dict[int, Literal["ok", "partial", "error"]] = {200: "ok", 207: "partial", 400: "error"}
    ids = [one.id for one in batch.results if one.id]
    results = list(batch.results)
    return batch.status, Taken(status=status[batch.status], event_ids=ids, results=results)


async def hand_over(call: Call, settings: Settings, batch: Batch) -> None:
    """Returns once *batch* is stored; 503 when it cannot be now."""
    try:
        await way_of(call, settings).give(batch)
    except NotTaken as error:
        raise unavailable(error) from None


def way_of(call: Call, settings: Settings) -> Handover:
    """The way to the recorder, one for all requests."""
    way = _ways.get(call.datasette)
    if way is None:
        way = _ways[call.datasette] = Handover(settings.recorder_socket)
    return way


def _items(body: Any) -> list[Json]:
    """One event, a list of them, or a list under `events`."""
    if isinstance(body, dict) and "events" in body:
        if len(body) > 1:
            raise Refused(400, "events: nothing else may stand beside it")
        body = body["events"]
    items = body if isinstance(body, list) else [body]
    if not items or len(items) > MOST:
        raise Refused(400, f"events: one to {MOST:,} at a time")
    return items


# ------------------------------------------------------------------ reading


class EventsAsked(Said):
    """Which events."""

    agent_id: str = Field("", description="of this agent")
    event_type: Literal["", "llm_call", "heartbeat", "error", "custom", "registered"] = ""
    provider: str = ""
    model: str = Field("", description="as answered, else as asked")
    session_id: str = ""
    trace_id: str = ""
    outcome: str = Field("", description="ok, error, cancelled, interrupted or in_flight")
    search: str = Field("", max_length=200, description="in model, provider, error and message")
    from_: str = Field("", alias="from", description="day or moment, ISO 8601; included")
    to: str = Field("", description="day or moment, ISO 8601; a day is included whole")
    limit: int = Field(100, ge=1, le=10_000)
    cursor: str = Field("", max_length=200, description="`next_cursor` of the answer before")


class Happened(Answer):
    """A call or an event."""

    id: str
    event_type: str
    agent_id: str | None
    timestamp: str
    at_us: int
    provider: str | None
    model: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_total: int | None
    cost_usd: float | None
    latency_ms: float | None
    ttft_ms: float | None
    status_code: int | None
    outcome: str | None
    error_message: str | None
    tags: Json
    source: str
    session_id: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None


class ManyHappened(Answer):
    """A page of them, newest first."""

    events: list[Happened]
    next_cursor: str | None


_CALLS = """
    select id, 'llm_call' as event_type, agent_id, started_us as at_us, provider,
           coalesce(response_model, model) as model, tokens_in, tokens_out,
           coalesce(tokens_total, tokens_in + tokens_out) as tokens_total, cost_usd, latency_ms,
           ttft_ms, status_code, outcome, error_message, tags, source, session_id, trace_id,
           span_id, parent_span_id
    from llm_calls where kind in ('llm', 'auxiliary')
"""
_EVENTS = """
    select id, type as event_type, agent_id, at_us, null as provider, null as model,
           null as tokens_in, null as tokens_out, null as tokens_total, null as cost_usd,
           null as latency_ms, null as ttft_ms, null as status_code, null as outcome,
           message as error_message, tags, 'sdk' as source, session_id, trace_id, span_id,
           null as parent_span_id
    from events where 1
"""
_PLACE = {"calls": "started_us", "events": "at_us"}
_OF_CALLS = {
    "agent_id": "agent_id = :agent_id",
    "provider": "provider = :provider",
    "model": "coalesce(response_model, model) = :model",
    "session_id": "session_id = :session_id",
    "trace_id": "trace_id = :trace_id",
    "outcome": "outcome = :outcome",
    "search": "(model like :like escape '\\' or provider like :like escape '\\'"
    " or error_message like :like escape '\\')",
}
_OF_EVENTS = {
    "agent_id": "agent_id = :agent_id",
    "event_type": "type = :event_type",
    "session_id": "session_id = :session_id",
    "trace_id": "trace_id = :trace_id",
    "search": "(name like :like escape '\\' or message like :like escape '\\')",
}


def selecting(asked: EventsAsked, *, limited: bool) -> tuple[str, dict[str, Any]]:
    """The query for what was asked, newest first, and its parameters."""
    given = {name: getattr(asked, name) for name in {*_OF_CALLS, *_OF_EVENTS}}
    escaped = asked.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    given |= {
        "like": f"%{escaped}%",
        "since_us": first_us(asked.from_),
        "until_us": last_us(asked.to),
        "limit": asked.limit + 1,
    }
    at_us, id_ = _place(asked.cursor)
    given |= {"cursor_us": at_us, "cursor_id": id_}
    sources = []
    if asked.event_type in ("", "llm_call"):
        sources.append(_source(_CALLS, "started_us", _OF_CALLS, asked, limited))
    if asked.event_type != "llm_call" and not (asked.provider or asked.model or asked.outcome):
        sources.append(_source(_EVENTS, "at_us", _OF_EVENTS, asked, limited))
    if not sources:
        sources = [f"select * from ({_EVENTS}) where 0"]
    sql = " union all ".join(f"select * from ({source})" for source in sources)
    sql += " order by at_us desc, id desc"
    return (f"{sql} limit :limit" if limited else sql), given


def _source(
    select: str, place: str, filters: dict[str, str], asked: EventsAsked, limited: bool
) -> str:
    said = [clause for name, clause in filters.items() if getattr(asked, name)]
    if asked.from_:
        said.append(f"{place} >= :since_us")
    if asked.to:
        said.append(f"{place} < :until_us")
    if asked.cursor:
        said.append(f"({place}, id) < (:cursor_us, :cursor_id)")
    where = "".join(f" and {clause}" for clause in said)
    return f"{select}{where} order by {place} desc, id desc" + (" limit :limit" if limited else "")


async def _happened(call: Call) -> ManyHappened:
    asked: EventsAsked = call.query
    sql, given = selecting(asked, limited=True)

    def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
        return rows_of(db.execute(sql, given))

    rows = await call.reading(load)
    shown = rows[: asked.limit]
    more = f"{shown[-1]['at_us']} {shown[-1]['id']}" if len(rows) > asked.limit else None
    return ManyHappened(
        events=[happened(row) for row in shown],
        next_cursor=base64.urlsafe_b64encode(more.encode()).decode() if more else None,
    )


def happened(row: dict[str, Any]) -> Happened:
    """A row of the query, as it is answered."""
    tags = json.loads(row["tags"]) if row["tags"] else None
    return Happened(**(row | {"tags": tags, "timestamp": moment(row["at_us"])}))


def moment(at_us: int) -> str:
    """ISO 8601, UTC, with milliseconds."""
    seconds, micros = divmod(at_us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros // 1000:03}Z"


def _place(cursor: str) -> tuple[int, str]:
    if not cursor:
        return 0, ""
    try:
        at_us, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        place = int(at_us)
        if not -(2**63) <= place < 2**63:
            raise ValueError
    except ValueError:
        raise Refused(400, "cursor: not one of ours") from None
    return place, id_


ENDPOINTS = (
    Endpoint(
        "POST", "/api/events", "ingest",
        "Tell of calls and events. One that is wrong costs itself alone; an id makes a repeat"
        " harmless; calls are priced here.",
        Taken, _take, body=Event | SomeEvents | Events, judges_body=True,
        others={207: "Some were wrong", 400: "All were wrong, or it is no list of events",
                429: "Too many; see retry_after_ms"},
    ),
    Endpoint(
        "GET", "/api/events", "read", "Calls and events, newest first.", ManyHappened, _happened,
        query=EventsAsked,
    ),
)  # fmt: skip
