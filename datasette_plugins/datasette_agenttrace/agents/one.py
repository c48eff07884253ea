"""One agent: what it costs, how it fares, its tools, failures, sessions and neighbours."""

import sqlite3
from collections import defaultdict

from .. import sums
from ..asking import Asked, Value, clauses, rows_of
from ..calls.asked import NONE
from ..costs import queries as costs_queries
from ..costs.queries import Costs
from ..sessions.queries import prompts
from . import queries
from .prompts import Version, versions
from .queries import Health, Network

MOST_CALLS = 2_000
MOST_OF_TOOLS = 1_000  # calls with tool calls: three pages of the file each
SHOWN = 12
MESSAGE = 200  # characters of what a failed call said


class FailedTool(Value):
    """A tool call that failed, and where it is told of: a step of a trace, or else its call."""

    call_id: str
    trace_id: str | None
    span_id: str | None


class Tool(Value):
    """A tool that the agent's models asked for; times are those of calls that were answered."""

    name: str
    calls: int
    failed: int
    unanswered: int
    p50_ms: float | None
    p95_ms: float | None
    last_failed: FailedTool | None


class Failure(Value):
    """A way in which calls failed."""

    status_code: int | None
    error_type: str | None
    outcome: str
    calls: int
    last_us: int
    last_call_id: str
    last_message: str | None
    """The beginning of what the last of them said, where its tier keeps that."""

    @property
    def condition(self) -> dict[str, str]:
        """These calls, as the Calls page is asked for them."""
        return {
            "outcome": self.outcome,
            "error": NONE if self.error_type is None else self.error_type,
            "status": NONE if self.status_code is None else str(self.status_code),
        }


class Session(Value):
    """A session in which the agent took part; `first_prompt` is None where it is not kept."""

    session_id: str
    client: str | None
    started_us: int
    ended_us: int
    first_prompt: str | None


class OneAgent(Value):
    """The page."""

    agent: str
    health: Health
    last_seen_us: int | None
    costs: Costs
    tools: tuple[Tool, ...]
    tools_of_calls: int
    """Of how many calls these tools are: the newest with tool calls."""
    tools_are_all: bool
    failures: tuple[Failure, ...]
    failures_are_all: bool
    """Whether every failed call of the time was looked at; else the newest were."""
    prompts: tuple[Version, ...]
    prompts_are_sampled: bool
    """Whether medians and failed tools of a version are of its newest calls alone."""
    sessions: tuple[Session, ...]
    network: Network


def load(db: sqlite3.Connection, asked: Asked, now_us: int) -> OneAgent:
    """Everything the page of one agent shows."""
    costs = costs_queries.load(db, asked)
    tools, calls = _tools(db, asked) if costs.totals.calls else ((), 0)
    failures, failures_are_all = _failures(db, asked)
    told = versions(db, asked)
    return OneAgent(
        agent=asked.agent,
        costs=costs,
        tools=tools,
        tools_of_calls=calls,
        tools_are_all=calls < MOST_OF_TOOLS,
        failures=failures,
        failures_are_all=failures_are_all,
        prompts=told,
        prompts_are_sampled=any(one.n_newest < one.calls for one in told),
        sessions=_sessions(db, asked),
        network=queries.network(db, asked, []),
        **queries.health(db, asked.agent, now_us),
    )


_TOOLS = """
    with made as materialized (
        select id, trace_id from llm_calls
        where started_us >= :since and started_us < :until and n_tool_calls > 0
          and kind in ('llm', 'auxiliary') {filters}
        order by started_us desc limit :most
    )
    select made.id, made.trace_id, t.span_id, t.started_us, t.name, coalesce(t.is_error, 0),
           t.answered_by_call_id is null, (t.ended_us - t.started_us) * 0.001
    from made join tool_calls t on t.call_id = made.id
"""


def _tools(db: sqlite3.Connection, asked: Asked) -> tuple[tuple[Tool, ...], int]:
    given = sums.parameters(asked) | {"most": MOST_OF_TOOLS}
    calls: set[str] = set()
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    times: dict[str, sums.Samples] = defaultdict(list)
    failures: dict[str, tuple[int, FailedTool]] = {}
    for call_id, trace_id, span_id, at_us, name, failed, open_, ms in db.execute(
        _TOOLS.format(filters=clauses(asked)), given
    ):
        calls.add(call_id)
        if failed and (name not in failures or failures[name][0] < at_us):
            told_at = FailedTool(call_id=call_id, trace_id=trace_id, span_id=span_id)
            failures[name] = at_us, told_at
        for place, more in enumerate((1, failed, open_)):
            counts[name][place] += more
        if ms is not None:
            times[name].append((ms, 1))
    tools = [
        Tool(
            name=name, calls=made, failed=failed, unanswered=open_,
            p50_ms=sums.quantile(times[name], 0.5), p95_ms=sums.quantile(times[name], 0.95),
            last_failed=failures[name][1] if failed else None,
        )
        for name, (made, failed, open_) in counts.items()
    ]  # fmt: skip
    return tuple(sorted(tools, key=lambda one: (-one.calls, one.name))), len(calls)


def _failures(db: sqlite3.Connection, asked: Asked) -> tuple[tuple[Failure, ...], bool]:
    # SQLite takes bare columns from the row with the maximum.
    sql = f"""
        with failed as materialized (
            select id, started_us, status_code, error_type, outcome
            from llm_calls indexed by llm_calls_refused
            where started_us >= :since and started_us < :until
              and outcome in ('error', 'interrupted')
              and kind in ('llm', 'auxiliary') {clauses(asked)}
            order by started_us desc limit :most
        ),
        shown as materialized (
            select status_code, error_type, outcome, count(*) as calls, max(started_us) as last_us,
                   id as last_call_id, (select count(*) from failed) < :most as whole
            from failed group by status_code, error_type, outcome
            order by calls desc limit {SHOWN}
        )
        select s.*, case when c.privacy_tier > 1 then substr(c.error_message, 1, {MESSAGE}) end
               as last_message
        from shown s join llm_calls c on c.id = s.last_call_id
        order by s.calls desc
    """
    given = sums.parameters(asked) | {"most": MOST_CALLS}
    rows = rows_of(db.execute(sql, given))
    whole = [bool(row.pop("whole")) for row in rows]
    return tuple(Failure(**row) for row in rows), all(whole)


def _sessions(db: sqlite3.Connection, asked: Asked) -> tuple[Session, ...]:
    sql = f"""
        with recent as materialized (
            select session_id, started_us from llm_calls
            where started_us >= :since and started_us < :until {clauses(asked)}
            order by started_us desc limit {MOST_CALLS // 4}
        )
        select s.session_id, s.client, s.started_us, s.ended_us
        from (
            select session_id, max(started_us) as last_us from recent
            where session_id is not null group by session_id order by last_us desc limit {SHOWN}
        ) found join sessions s on s.session_id = found.session_id
        order by last_us desc
    """
    rows = rows_of(db.execute(sql, sums.parameters(asked)))
    asked_for = prompts(db, [row["session_id"] for row in rows])
    return tuple(
        Session(**row, first_prompt=asked_for.get(row["session_id"], {}).get("first_prompt"))
        for row in rows
    )
