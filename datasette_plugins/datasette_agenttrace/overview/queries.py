"""What the Overview shows: spend against the time before, and what wants attention now.

Spend windows begin at a UTC midnight and end now; the window before ends as much earlier, so that
a morning is held against a morning.  They know the filters of the page, not its time.
"""

import sqlite3
from collections.abc import Sequence

from pydantic import computed_field

from agenttrace_mitm.alerts.words import about
from agenttrace_mitm.health import Health, total, troubles, waiting
from agenttrace_mitm.store.rollups import OF_A_CALL

from .. import sums
from ..asking import DAY_US, HOUR_US, Asked, Value, rows_of
from ..costs import queries as costs_queries
from ..costs.queries import Costs

WINDOWS = {"today": 1, "7 days": 7, "30 days": 30}
TOP = 6
SHOWN = 8


class Window(Value):
    """Spend from a midnight until now, and in the same time before; None where nobody knows it."""

    name: str
    cost_nano_usd: int | None
    before_nano_usd: int | None

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def change(self) -> float | None:
        """How much more than before, as a share of it; None where nothing was spent before."""
        if not self.before_nano_usd or self.cost_nano_usd is None:
            return None
        return self.cost_nano_usd / self.before_nano_usd - 1


class TopAgent(Value):
    """An agent with its spend."""

    agent: str
    calls: int
    failed: int
    unpriced: int
    cost_nano_usd: int | None
    tokens_in: int | None
    tokens_out: int | None


class RunningCall(Value):
    """A call whose end is not seen yet."""

    id: str
    started_us: int
    provider: str
    model: str | None
    agent_id: str | None


class FiringNow(Value):
    """A rule that holds now."""

    id: str
    rule: str
    subject: str
    severity: str
    message: str
    started_us: int
    acknowledged: bool


class Blind(Value):
    """Connections to a provider that could not be read."""

    host: str | None
    reason: str | None
    client: str | None
    """Who it was, the last of them where there were several."""
    times: int
    last_us: int


class RecorderEvent(Value):
    """What the recorder wants known."""

    at_us: int
    kind: str | None
    detail: str | None


class Fares(Value):
    """How recording fares, as its processes say; None is what none of them said."""

    up: int
    processes: int
    restarts: int
    committed_calls: float | None
    lag_seconds: float | None
    waiting_calls: int | None
    held_calls: float | None
    spooled_calls: float | None
    dropped_calls: float | None
    dropped_bytes: float | None
    spool_bytes: float | None
    passed_bytes: float | None
    troubles: tuple[str, ...] = ()
    """What keeps calls from being recorded now."""


_TOLD = (
    "committed_calls", "lag_seconds", "held_calls", "spooled_calls", "dropped_calls",
    "dropped_bytes", "spool_bytes",
)  # fmt: skip


class Overview(Value):
    """The page."""

    windows: tuple[Window, ...]
    costs: Costs
    agents: tuple[TopAgent, ...]
    running: tuple[RunningCall, ...]
    firing: tuple[FiringNow, ...]
    blind_spots: tuple[Blind, ...]
    events: tuple[RecorderEvent, ...]
    fares: Fares | None = None
    """None where nothing records into this database now."""


def load(
    db: sqlite3.Connection, asked: Asked, now_us: int, said: Sequence[Health] = ()
) -> Overview:
    """Everything the page shows; *said* is what the processes said, however long ago."""
    return Overview(
        windows=tuple(_window(db, asked, name, days, now_us) for name, days in WINDOWS.items()),
        costs=costs_queries.load(db, asked),
        agents=_agents(db, asked),
        running=_running(db, now_us),
        firing=_firing(db),
        blind_spots=_blind_spots(db, asked),
        events=_events(db, asked),
        fares=_fares(said),
    )


def _fares(all_said: Sequence[Health]) -> Fares | None:
    said = [one for one in all_said if one.is_fresh]
    if not said:
        return None
    parts = [part for one in said for part in one.parts.values()]
    sent, received = total(said, "request_bytes"), total(said, "response_bytes")
    return Fares(
        up=sum(1 for part in parts if part.get("up")),
        processes=len(parts),
        restarts=int(sum(part.get("restarts", 0) for part in parts)),
        passed_bytes=None if sent is None or received is None else sent + received,
        waiting_calls=waiting(said),
        troubles=tuple(troubles(all_said)),
        **{name: total(said, name) for name in _TOLD},
    )


_SPENT = """
    select sum(cost_nano_usd), sum(unpriced) from {source}
    and kind in ('llm', 'auxiliary') and coalesce(billing, '') in ('metered', ''){filters}
"""


def spent(db: sqlite3.Connection, asked: Asked, since_us: int, until_us: int) -> int | None:
    """Nano-dollars from the midnight *since_us* until *until_us*: days, hours, then calls.

    Of *asked* only the filters count.  None where there were calls and nobody knows the price of
    any.
    """
    hour = until_us // HOUR_US
    day = hour // 24
    given = {
        "since": since_us // DAY_US, "day": day, "midnight": day * 24, "hour": hour,
        "last": hour * HOUR_US, "until": until_us, **asked.filters,
    }  # fmt: skip
    filters = sums.of_rollups(asked)
    sources = (
        f"{sums.rollup_of_days(asked)} where day >= :since and day < :day",
        "rollup_hour where hour >= :midnight and hour < :hour",
        f"({OF_A_CALL} and started_us >= :last and started_us < :until) where true",
    )
    asking = (_SPENT.format(source=one, filters=filters) for one in sources)
    found = [db.execute(sql, given).fetchone() for sql in asking]
    known = [cost for cost, _ in found if cost is not None]
    nobody_knows = not known and any(unpriced for _, unpriced in found)
    return None if nobody_knows else sum(known)


def _window(db: sqlite3.Connection, asked: Asked, name: str, days: int, now_us: int) -> Window:
    since = (now_us // DAY_US - days + 1) * DAY_US
    earlier = days * DAY_US
    return Window(
        name=name,
        cost_nano_usd=spent(db, asked, since, now_us),
        before_nano_usd=spent(db, asked, since - earlier, now_us - earlier),
    )


def _agents(db: sqlite3.Connection, asked: Asked) -> tuple[TopAgent, ...]:
    sql = f"""
        select agent_id as agent, sum(calls) as calls, sum(failed) as failed,
               sum(unpriced) as unpriced,
               sum(case when billing in ('metered', '') then cost_nano_usd end) as cost_nano_usd,
               sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out
        {{calls}}
        group by agent_id order by cost_nano_usd desc, calls desc limit {TOP}
    """
    rows = db.execute(sums.from_rollups(sql, asked, ("agent",)), sums.parameters(asked))
    return tuple(TopAgent(**row) for row in rows_of(rows))


def _running(db: sqlite3.Connection, now_us: int) -> tuple[RunningCall, ...]:
    rows = db.execute(
        f"""
        select id, started_us, provider, coalesce(response_model, model) as model, agent_id
        from llm_calls indexed by llm_calls_running
        where outcome = 'in_flight' and started_us >= :since and kind in ('llm', 'auxiliary')
        order by started_us desc limit {SHOWN}
        """,
        {"since": now_us - DAY_US},
    )
    return tuple(RunningCall(**row) for row in rows_of(rows))


def _firing(db: sqlite3.Connection) -> tuple[FiringNow, ...]:
    """Those that nobody knows of first; none where the file has no alerts, as one to share."""
    if not db.execute(
        "select 1 from sqlite_master where type = 'table' and name = 'alert_firings'"
    ).fetchone():
        return ()
    rows = db.execute(
        f"""
        select id, rule_name as rule, subject, severity, message, started_us,
               acknowledged_us is not null as acknowledged
        from alert_firings where resolved_us is null
        order by acknowledged, severity, started_us desc limit {SHOWN}
        """
    )
    return tuple(FiringNow(**row | {"subject": about(row["subject"])}) for row in rows_of(rows))


def _blind_spots(db: sqlite3.Connection, asked: Asked) -> tuple[Blind, ...]:
    rows = db.execute(
        f"""
        -- SQLite takes the bare column from the row with the maximum.
        select host, reason, client, count(*) as times, max(at_us) as last_us from blind_spots
        where at_us >= :since and at_us < :until
        group by host, reason order by last_us desc limit {SHOWN}
        """,
        {"since": asked.since_us, "until": asked.until_us},
    )
    return tuple(Blind(**row) for row in rows_of(rows))


def _events(db: sqlite3.Connection, asked: Asked) -> tuple[RecorderEvent, ...]:
    rows = db.execute(
        f"""
        select at_us, kind, detail from recorder_events
        where at_us >= :since and at_us < :until order by id desc limit {SHOWN}
        """,
        {"since": asked.since_us, "until": asked.until_us},
    )
    return tuple(RecorderEvent(**row) for row in rows_of(rows))
