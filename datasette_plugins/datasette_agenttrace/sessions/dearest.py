"""Sessions by what their calls within the time cost, of the calls that the filters are about.

Those that spent come first.  Those that did not, or of which that is not known, follow by the worth
of what was not metered; last are those without a price.  The sums of days know all of it.
"""

import re
import sqlite3
from collections.abc import Iterator

from .. import sums
from ..asking import Asked

OF_TIME = "day >= :first and day <= :last"
OF_CALLS = "kind in ('llm', 'auxiliary')"
PLACE = re.compile(r"([sw])([0-9]{1,18})\.(.{1,300})", re.DOTALL)
"""Where a page ends: whether among those that spent, its last session's sum, and its id."""

_SPENT = "sum(case when billing in ('metered', '') then cost_nano_usd end)"
_WORTH = "sum(case when billing not in ('metered', '') then cost_nano_usd end)"
_IN_ORDER = """
    select number, session_id from ({ranked}) {further}
    order by number desc, session_id desc
"""
_OF_SPENDERS = """
    select session_id, sum(cost_nano_usd) as number from {table}
    where {calls} group by session_id having number is not null
"""
_OF_OTHERS = f"""
    select session_id, coalesce({_WORTH} + 1, 0) as number from rollup_session
    where {{calls}} group by session_id having {_SPENT} is null
"""

_PLACE = "cast(:before_place as integer)"  # an address gives text, and sums have no affinity
SHOWN = ", d.spent_nano_usd, d.unmetered_nano_usd"
ORDER = "{of}spent_nano_usd desc, {of}unmetered_nano_usd desc"


def dearest(db: sqlite3.Connection, asked: Asked, before: str) -> Iterator[tuple[str, str]]:
    """Ids of sessions in this order, each with its place; from *before* on, if that is one."""
    ended = PLACE.fullmatch(before)
    part, number, id_ = ended.groups() if ended else ("s", None, "")
    given = sums.parameters(asked) | {"first": asked.first_day, "last": asked.last_day}
    for letter, ranked in (("s", _spenders(asked)), ("w", _others(asked))):
        if letter < part:
            continue
        further = ""
        if letter == part and number is not None:
            further = "where (number, session_id) < (:number, :id)"
            given |= {"number": int(number), "id": id_}
        for number_, session in db.execute(_IN_ORDER.format(ranked=ranked, further=further), given):
            yield f"{letter}{number_}", session


def for_people(asked: Asked) -> str:
    """What each session spent, and what it was worth beyond that, as a query."""
    return (
        f"select session_id, {_SPENT} as spent_nano_usd, {_WORTH} as unmetered_nano_usd"
        f" from rollup_session where {_calls(asked)} group by session_id"
    )


def further(before: str) -> tuple[str, dict[str, int | str]]:
    """A condition on `for_people`, called d: what comes after *before*; and its parameters."""
    ended = PLACE.fullmatch(before)
    if not ended:
        return "", {}
    part, number, id_ = ended.groups()
    given = {"before_place": int(number), "before_id": id_}
    if part == "s":
        after = f"(d.spent_nano_usd, s.session_id) < ({_PLACE}, :before_id)"
        return f" and (d.spent_nano_usd is null or {after})", given
    worth = "coalesce(d.unmetered_nano_usd + 1, 0)"
    after = f"({worth}, s.session_id) < ({_PLACE}, :before_id)"
    return f" and d.spent_nano_usd is null and {after}", given


def _spenders(asked: Asked) -> str:
    """Of whole days and without filters from a table for it, which has fewer rows."""
    if not asked.filters:
        return _OF_SPENDERS.format(table="rollup_spend", calls=OF_TIME)
    paid = f"{_calls(asked)} and billing in ('metered', '')"
    return _OF_SPENDERS.format(table="rollup_session", calls=paid)


def _others(asked: Asked) -> str:
    return _OF_OTHERS.format(calls=_calls(asked))


def _calls(asked: Asked) -> str:
    return f"{OF_TIME} and {OF_CALLS}{sums.of_rollups(asked)}"
