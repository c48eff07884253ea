"""What the calls of a trace or a session took, and which of these the filters of a page are about.

Sums are over the kinds `llm` and `auxiliary`, as on the Costs page: spend is what was metered, or
is not known to be otherwise; what a subscription or a free tier covered is told apart.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from agenttrace_mitm.store.counting import FAILED, UNPRICED

from .asking import DAY_US, FILTERS, NAMED, Asked, Value, rows_of
from .dated import dated, dates

FEW = 2_000  # calls that a filter finds, up to which one looks at these instead of at the list

_IN_TIME = "started_us >= :since and started_us < :until"

type Key = Literal["trace_id", "session_id"]


class Bill(Value):
    """Sums over calls; `cost_nano_usd` is spend, None where nothing has a price."""

    calls: int = 0
    running: int = 0
    failed: int = 0
    unpriced: int = 0
    cost_nano_usd: int | None = None
    unmetered_nano_usd: int | None = None
    tokens_in: int | None = None
    cache_read_tokens: int | None = None
    tokens_out: int | None = None
    tool_calls: int = 0


_OF_A_CALL: Mapping[str, str] = {
    "calls": "1",
    "running": "outcome = 'in_flight'",
    "failed": FAILED,
    "unpriced": UNPRICED,
    "cost_nano_usd": "case when coalesce(billing, 'metered') = 'metered' then cost_nano_usd end",
    "unmetered_nano_usd": "case when billing <> 'metered' then cost_nano_usd end",
    "tokens_in": "tokens_in",
    "cache_read_tokens": "cache_read_tokens",
    "tokens_out": "tokens_out",
    "tool_calls": "coalesce(n_tool_calls, 0)",
}
CALL = ", ".join(_OF_A_CALL.values())
"""What a call adds to each field of a bill, for those who read its row anyway: see `summed`."""
SUMS = ", ".join(f"sum({said}) as {name}" for name, said in _OF_A_CALL.items())
"""The fields of a bill, of some calls: at least one."""
SUMS_FOR_PEOPLE = """\
count(c.id) as calls, sum(c.outcome in ('error', 'interrupted')) as failed,
       sum(c.n_tool_calls) as tool_calls, sum(c.tokens_in) as tokens_in,
       sum(c.tokens_out) as tokens_out,
       sum(case when coalesce(c.billing, 'metered') = 'metered' then c.cost_nano_usd end)
           as cost_nano_usd"""
"""The same of the calls `c`, as far as a list shows it, to be read in a query."""


def bills(db: sqlite3.Connection, key: Key, ids: Iterable[str]) -> dict[str, Bill]:
    """The bill of each of *ids*."""
    rows = db.execute(
        f"select {key}, {SUMS} from llm_calls where {key} in (select value from json_each(?))"
        f" and kind in ('llm', 'auxiliary') group by {key}",
        (json.dumps(list(ids)),),
    )
    return {str(row.pop(key)): Bill(**row) for row in rows_of(rows)}


def summed(rows: Iterable[Sequence[int | None]]) -> Bill:
    """The bill of some calls, each a row of `CALL`; what none of them knows is not known."""
    sums: dict[str, Any] = {}
    for name, values in zip(_OF_A_CALL, zip(*rows, strict=True), strict=False):
        known = [value for value in values if value is not None]
        sums[name] = sum(known) if known else None
    return Bill(**sums)


def added(some: Iterable[Bill]) -> Bill:
    """*some* bills as one."""
    return summed([getattr(one, name) for name in _OF_A_CALL] for one in some)


def holding(db: sqlite3.Connection, asked: Asked, key: Key, outer: str) -> str:
    """A condition: *outer* is the id of a trace or session with a call that *asked* is about.

    One and the same call has what the filters say and lies within the time.

    A filter that finds few calls leads to what they belong to.  One that finds many is tried on
    one row of the list after the other, and soon has a page of them.
    """
    names = [name for name in FILTERS if getattr(asked, name)]
    for name in names:
        # The plus keeps the planner on the index of the filter that finds few.
        others = "".join(f" and +{NAMED[one]} = :{one}" for one in names if one != name)
        of_few = f"{_IN_TIME} and {NAMED[name]} = :{name}"
        if _are_few(db, of_few, parameters(asked)):
            return f" and {outer} in (select {key} from llm_calls where {of_few}{others})"
    tried = "".join(f" and +{NAMED[name]} = :{name}" for name in names)
    of_each = f"{key} = {outer} and {_IN_TIME}{tried}"
    return f" and exists (select 1 from llm_calls where {of_each})" if names else ""


def under_way(row: str, days: int) -> str:
    """A condition: a *row* of traces or sessions has a part in the time asked for.

    It may have begun *days* before that, and not more: the index knows when a row began, and each
    that is looked at is read.
    """
    first = f":since - {days} * {DAY_US}"
    return f"{row}.started_us >= {first} and {row}.ended_us >= :since and {row}.started_us < :until"


def _are_few(db: sqlite3.Connection, calls: str, given: Mapping[str, int | str]) -> bool:
    sql = f"select count(*) from (select 1 from llm_calls where {calls} limit {FEW + 1})"
    found: int = db.execute(sql, given).fetchone()[0]
    return found <= FEW


def as_sql(
    template: str, conditions: str, asked: Asked, given: Mapping[str, int | str]
) -> tuple[str, dict[str, int | str]]:
    """*template* with {conditions} as a query for people, and the parameters that are in it."""
    sql = dated(template.format(conditions=conditions.replace(" and ", "\n      and ")))
    told = {**given, **dates(asked)}
    return sql, {name: value for name, value in told.items() if f":{name}" in sql}


def parameters(asked: Asked) -> dict[str, int | str]:
    """The named parameters of `holding` and of a list."""
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        **{name: getattr(asked, name) for name in FILTERS},
    }
