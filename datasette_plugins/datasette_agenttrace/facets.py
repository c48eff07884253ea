"""Facets of `llm_calls` counted from the rollups: a million rows are not grouped for a page.

In: the facets that Datasette is asked for, as parameters of the address or in metadata.  Out: its
own answer, with the same links, from a quicker statement.  Whatever the rollups cannot tell (other
columns, other filters, searches) is left to Datasette and its time limit.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from datasette.facets import ColumnFacet

from .site import Datasette, databases

type Conditions = Mapping[str, str]
"""The parameter, such as `:p0`, that each column is equal to."""

ROLLUPS: Sequence[tuple[str, Mapping[str, str]]] = (
    (
        "rollup_model",
        MappingProxyType({"provider": "provider", "model": "asked_model", "kind": "kind"}),
    ),
    (
        "rollup_day",
        MappingProxyType({"provider": "provider", "agent_id": "agent_id", "kind": "kind"}),
    ),
)
"""The rollups, smallest first, with what they call the columns of `llm_calls`."""

# Sums outlive calls that go by age, whole days at once; a table shows what is left.
KEPT = "day >= coalesce((select max(since_us) / 86400000000 from horizon), day)"

# No rollup has agents and the models that were asked for.  Most models that answer were asked for
# by one name alone, which tells it; calls of the others are counted one by one.
_ASKED_OF = f"""
    select model, min(asked_model) as asked_model, min(asked_model) = max(asked_model) as alone
    from rollup_model where {KEPT} group by model
"""
_WITH_BOTH = f"""(
    select day, r.provider, r.agent_id, r.kind, o.asked_model, r.calls, r.failed, r.cancelled
    from ({_ASKED_OF}) o join rollup_day r on r.model = o.model where o.alone
)"""
_BOTH = {**ROLLUPS[0][1], **ROLLUPS[1][1]}
_SEVERAL = f"select model from ({_ASKED_OF}) where not alone"
_OF_SEVERAL = (
    # The first condition is that of an index; an empty model that answered is none.
    f"coalesce(response_model, model) in ({_SEVERAL} union all select '')"
    f" and coalesce(nullif(response_model, ''), model) in ({_SEVERAL})"
)
_LEFT = """
select exists (select 1 from llm_calls where started_us < (select max(since_us) from horizon))
"""
_EQUAL = re.compile(r'"(\w+)" = (:\w+)')
_FACET = re.compile(r"\s*select (\S+) as value, count\(\*\) as count from \(.*limit (\d+)\s*", re.S)


class CallsFacet(ColumnFacet):  # type: ignore[misc]  # datasette has no types
    """Facets by column, as Datasette's own; those of calls are counted from the rollups."""

    ds: Datasette

    async def facet_results(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The facets, and the columns that took too long."""
        if self.table == "llm_calls" and self.database in databases(self.ds):
            where = conditions(self.sql, self.params)
            if where is not None and not await self._some_are_left():
                self.ds = _Counting(self.ds, where)
        found: tuple[list[dict[str, Any]], list[str]] = await super().facet_results()
        return found

    async def _some_are_left(self) -> bool:
        """True where calls have gone and older ones stay: those on hold, or an agent's."""
        found = await self.ds.execute(self.database, _LEFT)
        return bool(found.single_value())


class _Counting:
    """A Datasette that counts facets of the calls *where* otherwise; in all else, itself."""

    def __init__(self, datasette: Datasette, where: Conditions) -> None:
        self._datasette = datasette
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datasette, name)

    async def execute(self, database: str, sql: str, *given: object, **options: object) -> object:
        """The rows of *sql*, or of what takes its place."""
        if asked := _FACET.fullmatch(sql):
            column, limit = asked[1].strip("[]"), int(asked[2])
            sql = counting(column, self._where, limit) or sql
        return await self._datasette.execute(database, sql, *given, **options)


def conditions(sql: str, given: Mapping[str, Any]) -> Conditions | None:
    """What the rows of a table's *sql* have in common; None where it is more than equal columns.

    Rollups say '' where a call says nothing, so an empty value is left to Datasette, too.
    """
    _, _, where = sql.partition(" where ")
    found = [_EQUAL.fullmatch(one) for one in where.strip().split(" and ")] if where else []
    equal = [(one[1], one[2]) for one in found if one]
    if len(equal) < len(found) or len(dict(equal)) < len(equal):
        return None
    return dict(equal) if all(given.get(name[1:]) for _, name in equal) else None


def counting(column: str, where: Conditions, limit: int) -> str | None:
    """The statement that counts the calls *where* by *column*; None where no rollup tells."""
    others = {one: name for one, name in where.items() if one != "outcome"}
    known = {*others, column} - {"outcome"}
    found = ((table, names) for table, names in ROLLUPS if known <= names.keys())
    table, names = next(found, (_WITH_BOTH, _BOTH))
    if not known <= names.keys():
        return None
    rolled = "".join(f" and {names[one]} = {name}" for one, name in others.items())
    calls = "".join(f" and {one} = {name}" for one, name in others.items())
    source = f"from {table} where {KEPT}{rolled}"
    told_apart = column == "outcome" or "outcome" in where
    parts: tuple[str, ...]
    if column == "outcome":
        parts = _by_outcome("''", "''", source, calls)
    elif told_apart:
        parts = _by_outcome(names[column], column, source, calls)
    else:
        parts = (
            f"select {names[column]} as value, null as outcome, sum(calls) as calls {source}"
            " group by 1",
            _running(column, calls),
        )
    if names is _BOTH:
        parts += (_of_several("''" if column == "outcome" else column, calls, told_apart),)
    shown = "outcome" if column == "outcome" else "value"
    meant = f" and outcome = {where['outcome']}" if "outcome" in where else ""
    return (
        f"select {shown} as value, sum(calls) as count from ({' union all '.join(parts)})"
        f" where {shown} <> '' and calls > 0{meant}"
        f" group by 1 order by count desc, {shown} limit {limit}"
    )


def _by_outcome(rolled: str, column: str, source: str, calls: str) -> tuple[str, ...]:
    """Values, outcomes and counts; the rollups do not tell errors from calls that were cut short.

    A column has the name *rolled* in the rollups.
    """
    return (
        f"select {rolled} as value, 'ok' as outcome, sum(calls - failed - cancelled) as calls"
        f" {source} group by 1",
        f"select {rolled}, 'cancelled', sum(cancelled) {source} group by 1",
        f"select {column}, outcome, count(*) from llm_calls indexed by llm_calls_refused"
        f" where outcome in ('error', 'interrupted'){calls} group by 1, 2",
        _running(column, calls),
    )


def _running(column: str, calls: str) -> str:
    return (
        f"select {column} as value, 'in_flight', count(*) as calls"
        " from llm_calls indexed by llm_calls_running"
        f" where outcome = 'in_flight'{calls} group by 1"
    )


def _of_several(column: str, calls: str, told_apart: bool) -> str:
    """Calls that have ended, of models that were asked for by several names.

    Those that failed are among others already where outcomes are *told_apart*.
    """
    ended = "in ('ok', 'cancelled')" if told_apart else "<> 'in_flight'"
    return (
        f"select {column} as value, outcome, count(*) as calls"
        f" from llm_calls indexed by llm_calls_model_served where outcome {ended}{calls}"
        f" and {_OF_SEVERAL} group by 1, 2"
    )
