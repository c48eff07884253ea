"""The versions of an agent's prompt: how calls with each fared, and what changed between them.

Read from the table `prompts` where there is one, with the sums of `rollup_session`.
"""

import json
import sqlite3
from itertools import pairwise
from typing import Any

from agenttrace_mitm.model.json import Json
from agenttrace_mitm.store.prompts import tools_of

from ..asking import Asked, Value, rows_of
from ..differences import Line, differences

SHOWN = 20
MOST_LINES = 400


class Version(Value):
    """A system prompt with a set of tools; sums are of the calls with it in the time asked for."""

    prompt_id: str
    version: int
    first_seen_us: int
    n_tools: int
    system_chars: int
    calls: int
    failed: int
    cost_nano_usd: int | None
    tokens_in: int | None
    tokens_out: int | None
    changed: tuple[str, ...] = ()
    """What is new since the version before: system, tools."""
    difference: tuple[Line, ...] | None = None
    """None for the first version, and where the words of one are not kept."""


_VERSIONS = """
    with numbered as (
        select prompt_id, first_seen_us, n_tools, system_chars, system, tools, system_print,
               tools_print, row_number() over (order by first_seen_us, prompt_id) as version
        from prompts where agent_id = :agent
    ),
    shown as (select * from numbered order by version desc limit :most),
    summed as (
        select prompt_id, sum(calls) as calls, sum(failed) as failed, sum(tokens_in) as tokens_in,
               sum(case when billing in ('metered', '') then cost_nano_usd end) as cost_nano_usd,
               sum(tokens_out) as tokens_out
        from rollup_session
        where day >= :first and day <= :last and agent_id = :agent
          and kind in ('llm', 'auxiliary')
        group by prompt_id
    )
    select n.*, coalesce(s.calls, 0) as calls, coalesce(s.failed, 0) as failed, s.cost_nano_usd,
           s.tokens_in, s.tokens_out
    from shown n left join summed s on s.prompt_id = n.prompt_id
    order by version desc
"""


def versions(db: sqlite3.Connection, asked: Asked) -> tuple[Version, ...]:
    """The latest versions of the agent asked for, latest first."""
    known = "select 1 from sqlite_master where type = 'table' and name = 'prompts'"
    if not db.execute(known).fetchone():
        return ()
    given = {
        "agent": asked.agent, "first": asked.first_day, "last": asked.last_day,
        "most": SHOWN + 1,
    }  # fmt: skip
    rows = rows_of(db.execute(_VERSIONS, given))
    found = [_version(row, before) for row, before in pairwise([*rows, None]) if row]
    return tuple(found[:SHOWN])


def _version(row: dict[str, Json], before: dict[str, Json] | None) -> Version:
    changed: list[str] = []
    if before:
        names = ("system", "tools")
        changed = [name for name in names if row[f"{name}_print"] != before[f"{name}_print"]]
    fields = {name: row[name] for name in Version.model_fields if name in row}
    difference = _difference(before, row) if before else None
    return Version(**fields, changed=tuple(changed), difference=difference)


def _difference(before: dict[str, Json], after: dict[str, Json]) -> tuple[Line, ...] | None:
    old, new = _text(before), _text(after)
    if old is None or new is None:
        return None
    return differences(old.splitlines(), new.splitlines(), MOST_LINES)


def _text(row: dict[str, Any]) -> str | None:
    """System prompt and tools as lines; None where they are not kept."""
    if row["system"] is None and row["tools"] is None:
        return None
    tools = tools_of(row["tools"])
    parts = [row["system"] or "", *(json.dumps(tool, indent=2, sort_keys=True) for tool in tools)]
    return "\n\n".join(parts)
