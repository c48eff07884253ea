"""How many calls a table of Datasette has, told by the rollups: a million are not counted.

In: the statement with which Datasette counts the rows of a table.  Out: a quicker one with the
same answer, where the filters are those that `facets` can tell; else the statement as it was.
"""

import re
from collections.abc import Mapping
from typing import Any

from .facets import KEPT, conditions, counting
from .site import Datasette, databases

type Given = Mapping[str, Any]

_COUNT = re.compile(r"select count\(\*\) from llm_calls (where .*)?", re.S)
_ALL = -1  # SQLite's limit that is none
_EVERY = f"""
    select coalesce(sum(calls), 0) + (
        select count(*) from llm_calls indexed by llm_calls_running where outcome = 'in_flight'
    )
    from rollup_model where {KEPT}
"""


def install(datasette: Datasette) -> None:
    """Let the databases of *datasette* count calls so; no hook is asked before Datasette counts."""
    for name in datasette.databases:
        install_in(datasette, name)


def install_in(datasette: Datasette, name: str) -> None:
    """The same for one of them."""
    database = datasette.databases[name]
    database.execute = _counted(datasette, name, database.execute)


def _counted(datasette: Datasette, name: str, execute: Any) -> Any:
    async def counted(sql: str, params: Any = None, *more: object, **options: object) -> Any:
        if _COUNT.fullmatch(sql) and isinstance(params, Mapping) and name in databases(datasette):
            sql = count(sql, params) or sql
        return await execute(sql, params, *more, **options)

    return counted


def count(sql: str, given: Given) -> str | None:
    """The statement in the place of *sql*; None where the rollups do not tell."""
    where = conditions(sql, given)
    if where is None:
        return None
    if not where:
        return _EVERY
    column, value = next(iter(where.items()))
    by_value = counting(column, where, _ALL)
    if by_value is None:
        return None
    return f"select coalesce(sum(count), 0) from ({by_value}) where value = {value}"
