"""What each session spent on each day: few columns of `rollup_session`, and fewer rows.

A page that looks for the dearest of thousands of sessions reads them all.  Whatever changes
`rollup_session` changes this with it; it can always be told from there.
"""

import sqlite3
from collections.abc import Iterable

KINDS = ("llm", "auxiliary")
PAID = ("metered", "")
"""What counts as spend, as `billing` stands in rollups."""

COLUMNS = {
    "day": "UTC day, days since 1970",
    "session_id": "session, '' if none",
    "calls": "ended calls of kind llm or auxiliary",
    "cost_nano_usd": "what those of them cost that are paid by use, nano-dollars; NULL if unknown",
}

type Part = tuple[int, str, str, str, int, int | None]
"""Of a row of `rollup_session`: day, session, kind, billing, calls, what they cost."""

_TOLD = f"""
    insert into rollup_spend (day, session_id, calls, cost_nano_usd)
    select day, session_id, sum(calls), sum(case when billing in {PAID} then cost_nano_usd end)
    from rollup_session where day between ? and ? and kind in {KINDS}
    group by day, session_id
"""
_ADD = """
    insert into rollup_spend (day, session_id, calls, cost_nano_usd) values (?, ?, ?, ?)
    on conflict do update set calls = calls + excluded.calls,
    cost_nano_usd = coalesce(cost_nano_usd + excluded.cost_nano_usd, cost_nano_usd,
                             excluded.cost_nano_usd)
"""


def create(db: sqlite3.Connection) -> None:
    """The table, with what the sessions' rollups have."""
    db.execute(
        "create table rollup_spend (day integer not null, session_id text not null,"
        " calls integer not null, cost_nano_usd integer, primary key (day, session_id))"
        " without rowid"
    )
    db.execute(_TOLD, (-(2**62), 2**62))


def add(db: sqlite3.Connection, parts: Iterable[Part]) -> None:
    """Add what is added to `rollup_session`, inside the caller's transaction."""
    sums: dict[tuple[int, str], tuple[int, int | None]] = {}
    for day, session, kind, billing, calls, all_cost in parts:
        if kind in KINDS:
            before, known = sums.get((day, session), (0, None))
            cost = all_cost if billing in PAID else None
            sums[day, session] = before + calls, cost if known is None else known + (cost or 0)
    db.executemany(_ADD, [(*key, *figures) for key, figures in sums.items()])


def tell_again(db: sqlite3.Connection, first: int, last: int) -> None:
    """Make the rows of days anew, after those of `rollup_session`."""
    db.execute("delete from rollup_spend where day between ? and ?", (first, last))
    db.execute(_TOLD, (first, last))
