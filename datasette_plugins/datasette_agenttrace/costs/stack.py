"""Spend stacked by whatever the address names: its dearest few by name, over time and in all.

Sums are those of ended calls.  Sessions and prompts have rollups by day; a single day is shown by
the hour, from its calls.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agenttrace_mitm.store.rollups import OF_A_CALL

from .. import figures, sums
from ..asking import Asked, Value
from ..prompt_names import named as named_prompts
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
FINER = ("session", "prompt")
"""Those that have a rollup of their own."""


class Group(Figures):
    """The calls of one name; without latencies."""

    name: str
    label: str
    """The name, for people: a prompt's id tells nobody which it is."""


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

    def label(self, name: str) -> str:
        """One of the names, for people."""
        return next((one.label for one in self.groups if one.name == name), name)


_SPENT = "sum(case when billing in ('metered', '') then cost_nano_usd end)"
# Names are counted where they were put for it: a window function over them takes a sixth longer.
_DEAREST = f"""
    with named as materialized (
        select {{column}} as name, {{spent}} as cost_nano_usd, sum(calls) as calls
        {{calls}}
        group by {{column}}
    )
    select name, (select count(*) from named)
    from named
    order by cost_nano_usd desc, calls desc, name
    limit {LISTED}
"""
_SUMS = ("calls", "failed", "unpriced", "tokens_in", "cache_read_tokens", "tokens_out")
_PARTS = f"""
    select {{step}}, {{column}}, {_SPENT}, {", ".join(f"sum({name})" for name in _SUMS)}
    {{calls}}
    group by {{step}}, {{column}}
"""


def load(db: sqlite3.Connection, asked: Asked, by: str, totals: Mapping[int, int]) -> Stack:
    """The stack of *by* (of `COLUMNS`); *totals* is all spend by hour or day, in nano-dollars."""
    said = {"column": COLUMNS[by], "step": asked.step, "calls": _calls(asked, by)}
    given = sums.parameters(asked)
    names = 0
    if by == "session":
        dearest = db.execute(_DEAREST.format(**said | _of_all(asked)), given).fetchall()
        names = dearest[0][-1] if dearest else 0
        said["calls"] += _of([name for name, *_ in dearest], asked, given)
    spent: dict[tuple[int, str], int] = {}
    added: dict[str, list[Any]] = defaultdict(lambda: [None] * (1 + len(_SUMS)))
    for place, name, *part in db.execute(_PARTS.format(**said), given):
        spent[place, name] = part[0] or 0
        added[name] = [_plus(*pair) for pair in zip(added[name], part, strict=True)]
    groups = [_group(*one) for one in sorted(added.items(), key=_rank)[:LISTED]]
    spenders = [one.name for one in groups if one.cost_nano_usd]
    # One more name is shown rather than hidden behind "other".
    named = spenders if len(spenders) <= NAMED + 1 else spenders[:NAMED]
    shown = {at: nano for at, nano in spent.items() if nano and at[1] in named}
    return Stack(
        by=by,
        names=(
            *(name or NONE for name in named),
            *((f"other {by}s",) if _rest(shown, totals) else ()),
        ),
        pieces=_pieces(asked, by, named, shown, totals),
        groups=_labelled(db, groups, by),
        more=max((names or len(added)) - LISTED, 0),
    )


def _of_all(asked: Asked) -> dict[str, str]:
    """What all sessions spent; of whole days and without filters, from a table for it."""
    if asked.filters or asked.step == "hour":
        return {"spent": _SPENT}
    calls = "from rollup_spend where day >= :first and day <= :last"
    return {"spent": "sum(cost_nano_usd)", "calls": calls}


def _of(names: list[str], asked: Asked, given: dict[str, Any]) -> str:
    """A condition, its parameters added to *given*: sums of the fifty sessions that are listed.

    Days are named one by one, so that their sessions are looked up and no other is passed over.
    """
    given["places"] = json.dumps([place for place, _ in sums.places(asked)])
    # Names are parameters: they may be what JSON cannot say.
    given |= {f"name{i}": name for i, name in enumerate(names)}
    listed = ", ".join(f":name{i}" for i in range(len(names)))
    places = f"{asked.step} in (select value from json_each(:places))"
    return f" and {places} and session_id in ({listed})"


def _group(name: str, sums_: list[Any]) -> Group:
    cost, *more = sums_
    return Group(name=name, label=name, cost_nano_usd=cost, **dict(zip(_SUMS, more, strict=True)))


def _labelled(db: sqlite3.Connection, groups: list[Group], by: str) -> tuple[Group, ...]:
    """The groups as they are shown; versions of prompts by their agents and numbers."""
    known = named_prompts(db, [one.name for one in groups]) if by == "prompt" else {}
    labels = {one.name: known[one.name].label for one in groups if one.name in known}
    return tuple(
        one.model_copy(
            update={"name": one.name or NONE, "label": labels.get(one.name, one.name) or NONE}
        )
        for one in groups
    )


def _rank(one: tuple[str, list[Any]]) -> tuple[bool, int, int, str]:
    """The order of names, as in `_DEAREST`: what has no price comes last."""
    name, (cost, calls, *_) = one
    return cost is None, -(cost or 0), -calls, name


def _plus(one: int | None, other: int | None) -> int | None:
    """Their sum; what neither knows is not known."""
    return one if other is None else other if one is None else one + other


def _calls(asked: Asked, by: str) -> str:
    """The rows to add up: `from` and `where`."""
    where = "kind in ('llm', 'auxiliary')"
    where += "".join(f" and {sums.ROLLED[name]} = :{name}" for name in asked.filters)
    if by in FINER and asked.step == "hour":
        source = f"({OF_A_CALL} and started_us >= :since and started_us < :until)"
        return f"from {source} where {where}"
    table = "session" if by in FINER else sums.rollup_of(asked, (by,))
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
