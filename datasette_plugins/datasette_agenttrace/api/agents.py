"""`/api/agents`: who calls, who beats, and two ways to say that one is there."""

import sqlite3
from typing import Any, Literal

from pydantic import Field

from agenttrace_mitm import clock
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.ingest.events import Batch
from agenttrace_mitm.model import Json

from ..asking import rows_of
from .endpoint import Answer, Call, Endpoint, Refused, Said
from .events import hand_over, moment

QUIET_US = 10 * 60_000_000
BAD_SHARE = 0.2
HOUR_US = 3_600_000_000

AGENTS = """
    with recursive called (agent) as (
        select min(agent_id) from llm_calls
        union all
        select (select min(agent_id) from llm_calls where agent_id > called.agent)
        from called where called.agent is not null
    ),
    told (agent) as (
        select min(agent_id) from events
        union all
        select (select min(agent_id) from events where agent_id > told.agent)
        from told where told.agent is not null
    ),
    known (agent_id) as (
        select agent from called where agent is not null
        union select agent from told where agent is not null
    )
    select agent_id,
           (select max(started_us) from llm_calls c where c.agent_id = known.agent_id)
               as last_call_us,
           (select max(at_us) from events e
            where e.agent_id = known.agent_id and e.type = 'heartbeat') as last_heartbeat_us,
           (select count(*) from llm_calls c where c.agent_id = known.agent_id) as total_calls,
           (select count(*) from events e where e.agent_id = known.agent_id) as total_events,
           (select sum(outcome in ('error', 'interrupted')) * 1.0 / count(*) from llm_calls c
            where c.agent_id = known.agent_id and c.started_us >= :hour_ago
              and c.outcome <> 'in_flight') as failed_share
    from known
"""


_KNOWN = """
    select exists (select 1 from llm_calls where agent_id = :agent)
        or exists (select 1 from rollup_day where agent_id = :agent)
        or exists (select 1 from events where agent_id = :agent)
"""


async def must_be_known(call: Call, agent: str) -> None:
    """404 for an agent that never was; one whose calls are gone is in the sums."""
    [known] = await call.reading(lambda db: db.execute(_KNOWN, {"agent": agent}).fetchone())
    if not known:
        raise Refused(404, "There is no such agent")


class Agent(Answer):
    """An agent.  `status` goes by the last ten minutes and the failures of the last hour."""

    agent_id: str
    status: Literal["healthy", "degraded", "down", "unknown"]
    last_seen_at: str | None
    last_heartbeat_at: str | None
    total_calls: int
    total_events: int


class Agents(Answer):
    """A page of them."""

    agents: list[Agent]
    total: int


class AgentsAsked(Said):
    """Which agents."""

    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=10**9)
    search: str = Field("", max_length=200, description="part of the name")
    status: Literal["", "healthy", "degraded", "down", "unknown"] = ""


class Registered(Said):
    """Somebody says that they are there."""

    agent_id: str = Field(min_length=1, max_length=256)
    name: str | None = Field(None, max_length=256)
    tags: dict[str, Json] | None = None


class Noted(Answer):
    """It was noted."""

    status: Literal["ok"] = "ok"
    id: str


async def _agents(call: Call) -> Agents:
    asked: AgentsAsked = call.query
    found = await _all(call)
    chosen = [
        one
        for one in found
        if asked.search.lower() in one.agent_id.lower() and asked.status in ("", one.status)
    ]
    page = chosen[asked.offset : asked.offset + asked.limit]
    return Agents(agents=page, total=len(chosen))


async def _one(call: Call) -> Agent:
    for one in await _all(call):
        if one.agent_id == call.path["id"]:
            return one
    raise Refused(404, "There is no such agent")


async def _all(call: Call) -> list[Agent]:
    now_us = clock.now_us()

    def load(db: sqlite3.Connection) -> list[dict[str, Any]]:
        return rows_of(db.execute(AGENTS, {"hour_ago": now_us - HOUR_US}))

    return [_agent(row, now_us) for row in await call.reading(load)]


def _agent(row: dict[str, Any], now_us: int) -> Agent:
    seen_us = max(row["last_call_us"] or 0, row["last_heartbeat_us"] or 0)
    status: Literal["healthy", "degraded", "down", "unknown"] = "healthy"
    if not seen_us:
        status = "unknown"
    elif now_us - seen_us > QUIET_US:
        status = "down"
    elif (row["failed_share"] or 0) >= BAD_SHARE:
        status = "degraded"
    beat_us = row["last_heartbeat_us"]
    return Agent(
        agent_id=row["agent_id"],
        status=status,
        last_seen_at=moment(seen_us) if seen_us else None,
        last_heartbeat_at=moment(beat_us) if beat_us else None,
        total_calls=row["total_calls"],
        total_events=row["total_events"],
    )


async def _register(call: Call) -> Noted:
    return await _note(call, "registered")


async def _heartbeat(call: Call) -> Noted:
    return await _note(call, "heartbeat")


async def _note(call: Call, type_: str) -> Noted:
    said: Registered = call.body
    settings = call.site.settings
    if settings is None:
        raise Refused(503, "There is no recorder here", wait_ms=5000)
    now_us = clock.now_us()
    id_ = new_id(now_us)
    event = {
        "id": id_, "at_us": now_us, "agent_id": said.agent_id, "type": type_, "name": said.name,
        "tags": said.tags, "received_us": now_us,
    }  # fmt: skip
    await hand_over(call, settings, Batch((), (event,), ()))
    return Noted(id=id_)


ENDPOINTS = (
    Endpoint("GET", "/api/agents", "read", "Agents, by name.", Agents, _agents, query=AgentsAsked),
    Endpoint("GET", "/api/agents/{id}", "read", "An agent.", Agent, _one),
    Endpoint(
        "POST", "/api/agents/register", "ingest", "Say that an agent is there.", Noted, _register,
        body=Registered,
    ),
    Endpoint(
        "POST", "/api/agents/heartbeat", "ingest", "A sign of life.", Noted, _heartbeat,
        body=Registered,
    ),
)  # fmt: skip
