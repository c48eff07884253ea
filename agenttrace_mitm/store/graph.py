"""Agents and who called whom: views over calls and spans, and the graph as typed rows.

An agent is whoever the calls name.  It calls another one where the other's agent span stands
below a tool span of its own; each such span is one call from agent to agent.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

AGENTS = """
select coalesce(agent_id, '(unknown)') as agent_id, min(started_us) as first_seen_us,
       max(started_us) as last_seen_us, count(*) as calls,
       count(distinct session_id) as sessions, sum(n_tool_calls) as tool_calls,
       sum(outcome in ('error', 'interrupted')) as failed, sum(tokens_in) as tokens_in,
       sum(tokens_out) as tokens_out, sum(cost_nano_usd) as cost_nano_usd
from llm_calls
where kind in ('llm', 'auxiliary')
group by 1
"""

# One row for each time that an agent started another: what the other one's thread then took.
AGENT_CALLS = """
with started as (
    select a.span_id, a.trace_id, a.thread_id, a.agent_id as callee, t.agent_id as caller,
           t.name as tool, a.started_us, a.ended_us, a.outcome, a.how, a.confidence
    from spans a join spans t on t.span_id = a.parent_span_id
    where a.kind = 'agent' and t.kind = 'tool'
)
select s.caller, s.callee, s.tool, s.span_id, s.trace_id, s.thread_id, s.started_us,
       (s.ended_us - s.started_us) * 0.001 as latency_ms, s.outcome, s.how, s.confidence,
       count(c.id) as calls, sum(c.tokens_in) as tokens_in, sum(c.tokens_out) as tokens_out,
       sum(c.cost_nano_usd) as cost_nano_usd
from started s left join llm_calls c on c.thread_id = s.thread_id and c.trace_id = s.trace_id
group by s.span_id
"""

EDGES = """
select coalesce(caller, '(unknown)') as caller, coalesce(callee, '(unknown)') as callee,
       count(*) as times, sum(outcome = 'error') as failed, sum(calls) as calls,
       coalesce(sum(tokens_in), 0) as tokens_in, coalesce(sum(tokens_out), 0) as tokens_out,
       sum(cost_nano_usd) as cost_nano_usd, avg(latency_ms) as mean_latency_ms
from agent_calls
where started_us >= :since_us
group by 1, 2
order by times desc, caller, callee
"""


# The newest agent spans of a time, and the newest of them that another agent's tool started: what
# a page can look at however many there are.  Those that nothing started are left out by the index,
# in whose order the others are looked at: none after the last that counts is read.
_RECENT_SPANS = 5_000
_RECENT_CALLS = 500
_REACHED = """
select count(*), min(started_us) from (
    select started_us from spans indexed by spans_agents
    where kind = 'agent' and started_us >= :since_us and started_us < :until_us
    order by started_us desc limit :spans
)
"""
_RECENT_EDGES = """
with started as materialized (
    select coalesce(t.agent_id, '(unknown)') as caller, coalesce(s.agent_id, '(unknown)') as callee,
           s.trace_id, s.thread_id, s.outcome, (s.ended_us - s.started_us) * 0.001 as latency_ms
    from spans n indexed by spans_agents cross join spans t on t.span_id = n.parent_span_id
    cross join spans s on s.rowid = n.rowid
    where n.kind = 'agent' and n.started_us >= :since_us and n.started_us < :until_us
      and n.parent_span_id is not null and t.kind = 'tool'
    order by n.started_us desc limit :calls
),
took as materialized (
    select s.*, case when :agent in ('', caller, callee) then (
        select json_array(count(*), sum(tokens_in), sum(tokens_out), sum(cost_nano_usd))
        from llm_calls c where c.thread_id = s.thread_id and c.trace_id = s.trace_id
    ) end as sums
    from started s
)
select caller, callee, count(*) as times, sum(outcome = 'error') as failed,
       coalesce(sum(json_extract(sums, '$[0]')), 0) as calls,
       coalesce(sum(json_extract(sums, '$[1]')), 0) as tokens_in,
       coalesce(sum(json_extract(sums, '$[2]')), 0) as tokens_out,
       sum(json_extract(sums, '$[3]')) as cost_nano_usd, avg(latency_ms) as mean_latency_ms
from took
group by 1, 2
order by times desc, caller, callee
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """How often *caller* called *callee*, and what that took; cost is None where none is known."""

    caller: str
    callee: str
    times: int
    failed: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost_nano_usd: int | None
    mean_latency_ms: float


@dataclass(frozen=True, slots=True)
class Graph:
    """The communication of agents: edges, those on a cycle, and those that call nobody."""

    edges: tuple[Edge, ...]
    in_cycles: frozenset[str]
    isolated: tuple[str, ...]


def create(db: Database) -> None:
    """The views `agents` and `agent_calls`."""
    db.create_view("agents", AGENTS)
    db.create_view("agent_calls", AGENT_CALLS)


def communication(db: sqlite3.Connection, since_us: int = 0) -> Graph:
    """Who called whom since *since_us*."""
    edges = tuple(Edge(*row) for row in db.execute(EDGES, {"since_us": since_us}))
    known = [
        row[0]
        for row in db.execute(
            "select agent_id from agents where last_seen_us >= ? order by 1", (since_us,)
        )
    ]
    linked = {name for edge in edges for name in (edge.caller, edge.callee)}
    isolated = tuple(name for name in known if name not in linked)
    return Graph(edges, frozenset(_in_cycles(edges)), isolated)


def recent(
    db: sqlite3.Connection,
    since_us: int,
    until_us: int,
    agents: Iterable[str] = (),
    agent: str = "",
) -> tuple[Graph, bool]:
    """Who called whom in a time, *agents* being those known; and whether that was all of it.

    Looks at the newest calls from agent to agent only, so that it takes as long for a year.  With
    *agent*, what its own edges took is told, and of the others only that they are there.
    """
    given: dict[str, int | str] = {"since_us": since_us, "until_us": until_us}
    seen, first_us = db.execute(_REACHED, given | {"spans": _RECENT_SPANS}).fetchone()
    since_us = since_us if first_us is None else first_us
    given |= {"since_us": since_us, "calls": _RECENT_CALLS, "agent": agent}
    edges = tuple(Edge(*row) for row in db.execute(_RECENT_EDGES, given))
    whole = seen < _RECENT_SPANS and sum(edge.times for edge in edges) < _RECENT_CALLS
    linked = {name for edge in edges for name in (edge.caller, edge.callee)}
    isolated = tuple(name for name in agents if name not in linked)
    return Graph(edges, frozenset(_in_cycles(edges)), isolated), whole


def _in_cycles(edges: Sequence[Edge]) -> Iterable[str]:
    """Agents that can come back to themselves along the edges."""
    after: dict[str, set[str]] = {}
    for edge in edges:
        after.setdefault(edge.caller, set()).add(edge.callee)
    return (name for name in after if name in _reached(name, after))


def _reached(start: str, after: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(after.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += after.get(name, ())
    return found
