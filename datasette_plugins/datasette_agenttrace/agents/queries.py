"""The list of agents: how each fares, what it costs, and who calls whom.

Sums are those of `sums`; health looks at an agent's last calls only, whatever time was asked for.
"""

import sqlite3
from collections import defaultdict
from typing import Literal

from agenttrace_mitm.model.json import JsonObject
from agenttrace_mitm.store import graph

from .. import sums
from ..asking import Asked, Choices, Value, choices
from ..sums import Figures

NO_AGENT = "(unknown)"
ACTIVE_US = 3_600_000_000
LAST_CALLS = 50
BAD_SHARE = 0.2
MOST = 200

Health = Literal["failing", "active", "quiet"]


class Agent(Figures):
    """An agent; `trend` has the calls of each hour or day that was asked for."""

    agent: str
    health: Health
    last_seen_us: int | None
    trend: tuple[int, ...]


class Edge(Value):
    """How often one agent called another, and what that took."""

    caller: str
    callee: str
    times: int
    failed: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost_nano_usd: int | None
    mean_latency_ms: float | None

    @property
    def waited_ms(self) -> float:
        """How long the caller waited in all."""
        return self.times * (self.mean_latency_ms or 0.0)


class Network(Value):
    """Who called whom; `whole` says whether every such call of the time was looked at."""

    edges: tuple[Edge, ...]
    in_cycles: tuple[str, ...]
    bottlenecks: tuple[str, ...]
    isolated: tuple[str, ...]
    whole: bool


class Agents(Value):
    """The page."""

    asked: Asked
    step: Literal["hour", "day"]
    totals: Figures
    agents: tuple[Agent, ...]
    more: int
    """How many agents there are besides the listed ones."""
    network: Network
    latency_is_exact: bool
    choices: Choices
    anything_recorded: bool


def load(db: sqlite3.Connection, asked: Asked, now_us: int) -> Agents:
    """Everything the list shows."""
    found = sums.load(db, asked, ("agent",))
    trends: dict[str, dict[int, int]] = defaultdict(dict)
    for (place, (name,)), part in found.parts.items():
        trends[name][place] = part.calls
    places = [place for place, _ in sums.places(asked)]
    figures = {name: said for (name,), said in found.by_name().items()}
    names = sorted(
        figures,
        key=lambda one: (-(figures[one]["cost_nano_usd"] or 0), -figures[one]["calls"], one),
    )
    return Agents(
        asked=asked,
        step=asked.step,
        totals=found.all(),
        agents=tuple(
            Agent(
                agent=name or NO_AGENT,
                trend=tuple(trends[name].get(place, 0) for place in places),
                **health(db, name, now_us),
                **figures[name],
            )
            for name in names[:MOST]
        ),
        more=max(len(names) - MOST, 0),
        network=network(db, asked, [name or NO_AGENT for name in names]),
        latency_is_exact=found.exact,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def network(db: sqlite3.Connection, asked: Asked, agents: list[str]) -> Network:
    """Who called whom in the time asked for; with an agent, only what concerns it."""
    found, whole = graph.recent(db, asked.since_us, asked.until_us, agents, asked.agent)
    edges = tuple(
        Edge(
            caller=one.caller, callee=one.callee, times=one.times, failed=one.failed or 0,
            calls=one.calls or 0, tokens_in=one.tokens_in, tokens_out=one.tokens_out,
            cost_nano_usd=one.cost_nano_usd, mean_latency_ms=one.mean_latency_ms,
        )
        for one in found.edges
        if not asked.agent or asked.agent in (one.caller, one.callee)
    )  # fmt: skip
    return Network(
        edges=edges,
        in_cycles=tuple(sorted(found.in_cycles)),
        bottlenecks=tuple(_bottlenecks(edges)),
        isolated=found.isolated,
        whole=whole,
    )


def _bottlenecks(edges: tuple[Edge, ...]) -> list[str]:
    """Agents that others wait for at least half of the time that they wait at all."""
    waited: dict[str, float] = defaultdict(float)
    for edge in edges:
        waited[edge.callee] += edge.waited_ms
    total = sum(waited.values())
    # Where there is only one to wait for, that says nothing.
    return [name for name, ms in waited.items() if len(waited) > 1 and ms * 2 >= total > 0]


_LAST = """
    select max(started_us), sum(outcome in ('error', 'interrupted')), count(*)
    from (
        select started_us, outcome from llm_calls
        where agent_id {is_agent} and kind in ('llm', 'auxiliary') and outcome <> 'in_flight'
        order by started_us desc limit :most
    )
"""


def health(db: sqlite3.Connection, name: str, now_us: int) -> JsonObject:
    """How the agent *name* fares, and when it was last seen."""
    sql = _LAST.format(is_agent="= :name" if name else "is null")
    last_us, failed, calls = db.execute(sql, {"name": name, "most": LAST_CALLS}).fetchone()
    found: Health = "quiet"
    if calls and failed >= BAD_SHARE * calls:
        found = "failing"
    elif last_us is not None and now_us - last_us < ACTIVE_US:
        found = "active"
    return {"last_seen_us": last_us, "health": found}
