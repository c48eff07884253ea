"""Spend stacked by whatever the address names: its dearest few by name, over time and in all.

Sums are those of ended calls.  Sessions and prompts have rollups by day; a single day is shown by
the hour, from its calls.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agenttrace_mitm.store.rollups import OF_A_CALL

from .. import figures, sums
from ..asking import Asked, Value
from ..sums import Figures

NAMED = 7  # in the stacked chart; the others are one
LISTED = 50
NONE = "(none)"

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "provider": "provider", "agent": "agent_id", "session": "session_id",
        "project": "project", "prompt": "prompt_id",
    }
)  # fmt: skip
"""What spend can be stacked by besides models, as the rollups say it."""
_FINER = ("session", "prompt")


class Group(Figures):
    """The calls of one name; without latencies."""

    name: str


class Piece(Value):
    """A piece of a stacked bar."""

    at: str
    name: str
    cost_usd: float


class Stack(Value):
    """The stack: `names` of its colours from the bottom, the pieces, and the dearest names."""

    by: str
    names: tuple[str, ...]
    pieces: tuple[Piece, ...]
    groups: tuple[Group, ...] = ()
    more: int = 0
    """How many names there are besides the listed ones."""


_SPENT = "sum(case when billing in ('metered', '') then cost_nano_usd end)"
# Names first and their sums after: of ten thousand sessions, fifty are listed.
_DEAREST = f"""
    select {{column}} as name, {_SPENT} as cost_nano_usd, sum(calls) as calls,
           count(*) over () as names
    {{calls}}
    group by {{column}}
    order by cost_nano_usd desc, calls desc, name
    limit {LISTED}
"""
_SUMS = ("calls", "failed", "unpriced", "tokens_in", "cache_read_tokens", "tokens_out")
_PARTS = f"""
    select {{step}}, {{column}}, {_SPENT}, {", ".join(f"sum({name})" for name in _SUMS)}
    {{calls}} and {{column}} in ({{named}})
    group by {{step}}, {{column}}
"""


def load(db: sqlite3.Connection, asked: Asked, by: str, totals: Mapping[int, int]) -> Stack:
    """The stack of *by* (of `COLUMNS`); *totals* is all spend by hour or day, in nano-dollars."""
    said = {"column": COLUMNS[by], "step": asked.step, "calls": _calls(asked, by)}
    given = sums.parameters(asked)
    dearest = db.execute(_DEAREST.format(**said), given).fetchall()
    names = [name for name, *_ in dearest]
    # As parameters: a name may be what JSON cannot say.
    said["named"] = ", ".join(f":name{i}" for i in range(len(names)))
    given |= {f"name{i}": name for i, name in enumerate(names)}
    spent: dict[tuple[int, str], int] = {}
    added: dict[str, list[Any]] = {name: [None] * len(_SUMS) for name in names}
    for place, name, nano, *more in db.execute(_PARTS.format(**said), given):
        spent[place, name] = nano or 0
        added[name] = [_plus(*pair) for pair in zip(added[name], more, strict=True)]
    spenders = [name for name, nano, *_ in dearest if nano]
    # One more name is shown rather than hidden behind "other".
    named = spenders if len(spenders) <= NAMED + 1 else spenders[:NAMED]
    shown = {at: nano for at, nano in spent.items() if nano and at[1] in set(named)}
    return Stack(
        by=by,
        names=(
            *(name or NONE for name in named),
            *((f"other {by}s",) if _rest(shown, totals) else ()),
        ),
        pieces=_pieces(asked, by, named, shown, totals),
        groups=tuple(
            Group(
                name=name or NONE,
                cost_nano_usd=nano,
                **dict(zip(_SUMS, added[name], strict=True)),
            )
            for name, nano, *_ in dearest
        ),
        more=max(dearest[0][-1] - LISTED, 0) if dearest else 0,
    )


def _plus(one: int | None, other: int | None) -> int | None:
    """Their sum; what neither knows is not known."""
    return one if other is None else other if one is None else one + other


def _calls(asked: Asked, by: str) -> str:
    """The rows to add up: `from` and `where`."""
    where = "kind in ('llm', 'auxiliary')"
    where += "".join(f" and {sums.ROLLED[name]} = :{name}" for name in asked.filters)
    if by in _FINER and asked.step == "hour":
        source = f"({OF_A_CALL} and started_us >= :since and started_us < :until)"
        return f"from {source} where {where}"
    table = "session" if by in _FINER else sums.rollup_of(asked, (by,))
    return f"from rollup_{table} where {asked.step} >= :first and {asked.step} <= :last and {where}"


def _rest(spent: Mapping[tuple[int, str], int], totals: Mapping[int, int]) -> dict[int, int]:
    """What the named ones leave of each hour or day."""
    named: dict[int, int] = defaultdict(int)
    for (place, _), nano in spent.items():
        named[place] += nano
    rest = {place: nano - named[place] for place, nano in totals.items()}
    return {place: nano for place, nano in rest.items() if nano > 0}


def _pieces(
    asked: Asked,
    by: str,
    named: list[str],
    spent: Mapping[tuple[int, str], int],
    totals: Mapping[int, int],
) -> tuple[Piece, ...]:
    found = []
    rest = _rest(spent, totals)
    for place, at in sums.places(asked):
        bars = [(name or NONE, spent.get((place, name), 0)) for name in named]
        bars.append((f"other {by}s", rest.get(place, 0)))
        found += [
            Piece(at=at, name=name, cost_usd=nano / figures.NANO) for name, nano in bars if nano
        ]
    return tuple(found)
