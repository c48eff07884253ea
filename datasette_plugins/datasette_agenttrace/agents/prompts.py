"""The versions of an agent's prompt: how calls with each fared, and what changed between them.

Read from the table `prompts` where there is one, with the sums of `rollup_session`.  No sums have
how long calls took and which tools failed: that is told of each version's newest calls.
"""

import json
import sqlite3
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from agenttrace_mitm.model.json import Json
from agenttrace_mitm.store.prompts import tools_of

from .. import sums
from ..asking import DAY_US, Asked, Value, clauses, rows_of
from ..differences import Line, differences
from ..prompt_names import are_kept

SHOWN = 20
MOST_LINES = 400
NEWEST = 200
"""Calls of a version of which is asked how long they took, and whether their tools failed."""
LOOKED_AT = 4_000
"""The agent's calls among which they are looked for, whatever the filters: each is read."""


class Version(Value):
    """A system prompt with a set of tools; sums are of the calls with it in the time asked for.

    `p50_ms` and the tool calls are of `n_newest` of these calls alone, its newest.
    """

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
    n_newest: int = 0
    p50_ms: float | None = None
    tool_calls: int = 0
    tools_failed: int = 0
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
               sum(tokens_out) as tokens_out, min(day) as first_day,
               max(day) as last_day
        from rollup_session
        where day >= :first and day <= :last and kind in ('llm', 'auxiliary') {filters}
        group by prompt_id
    )
    select n.*, coalesce(s.calls, 0) as calls, coalesce(s.failed, 0) as failed, s.cost_nano_usd,
           s.tokens_in, s.tokens_out, s.first_day, s.last_day
    from shown n left join summed s on s.prompt_id = n.prompt_id
    order by version desc
"""


def versions(db: sqlite3.Connection, asked: Asked) -> tuple[Version, ...]:
    """The latest versions of the agent asked for, latest first."""
    if not are_kept(db):
        return ()
    given = sums.parameters(asked) | {
        "first": asked.first_day, "last": asked.last_day, "most": SHOWN + 1,
    }  # fmt: skip
    rows = rows_of(db.execute(_VERSIONS.format(filters=sums.of_rollups(asked)), given))
    newest = _newest(db, asked, rows[:SHOWN])
    found = [
        _version(row | newest.get(row["prompt_id"], {}), before)
        for row, before in pairwise([*rows, None])
        if row
    ]
    return tuple(found[:SHOWN])


# Read row by row, and no further than is needed: whether a call fits the filters is told of each.
_CALLS = """
    select started_us, rowid, prompt_id, id, latency_ms, coalesce(n_tool_calls, 0),
           kind in ('llm', 'auxiliary') and outcome <> 'in_flight' {filters} as fits
    from llm_calls indexed by idx_llm_calls_agent_id_started_us
    where agent_id = :agent and started_us >= :since and (started_us, rowid) < (:until, :number)
    order by started_us desc, rowid desc limit :most
"""
_TOOLS = """
    select count(*), coalesce(sum(is_error), 0) from tool_calls
    where call_id in (select value from json_each(?))
"""

type _Call = tuple[str, float | None, int]
"""Its id, how long it took in milliseconds, and its tool calls."""


def _newest(
    db: sqlite3.Connection, asked: Asked, rows: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What is told of the newest calls of each version."""
    return {prompt: _fared(db, calls) for prompt, calls in _calls(db, asked, rows).items()}


def _calls(
    db: sqlite3.Connection, asked: Asked, rows: list[dict[str, Any]]
) -> dict[str, list[_Call]]:
    """Of each version its newest calls, as far as they are among those that are looked at.

    The agent's calls are read once for all versions, newest first; days on which none of these
    was in use are passed over.  What one version leaves of `LOOKED_AT` is for those before it.
    """
    used = [row for row in rows if row["last_day"] is not None]
    used.sort(key=lambda row: -row["last_day"])
    found: dict[str, list[_Call]] = {row["prompt_id"]: [] for row in used}
    sql, given = _CALLS.format(filters=clauses(asked)), sums.parameters(asked)
    end, left = (asked.until_us, 0), LOOKED_AT
    for place, row in enumerate(used):
        own, wanted = found[row["prompt_id"]], min(NEWEST, row["calls"])
        end = min(end, ((row["last_day"] + 1) * DAY_US, 0))
        given |= {"since": row["first_day"] * DAY_US, "until": end[0], "number": end[1]}
        given["most"] = left // (len(used) - place) if len(own) < wanted else 0
        for at_us, number, prompt, *call, fits in db.execute(sql, given):
            end, left = (at_us, number), left - 1
            if fits and prompt in found and len(found[prompt]) < NEWEST:
                found[prompt].append((call[0], call[1], call[2]))
            if len(own) >= wanted:
                break
    return found


def _fared(db: sqlite3.Connection, calls: list[_Call]) -> dict[str, Any]:
    with_tools = [id_ for id_, _, tools in calls if tools]
    made, failed = db.execute(_TOOLS, (json.dumps(with_tools),)).fetchone()
    return {
        "n_newest": len(calls),
        "p50_ms": sums.quantile([(ms, 1) for _, ms, _ in calls if ms is not None], 0.5),
        "tool_calls": made,
        "tools_failed": failed,
    }


def _version(row: dict[str, Any], before: dict[str, Any] | None) -> Version:
    changed, difference = news(row, before or {})
    fields = {name: row[name] for name in Version.model_fields if name in row}
    return Version(**fields, changed=changed, difference=difference)


def news(
    row: Mapping[str, Any], before: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[Line, ...] | None]:
    """What is new in the version of *row* since the one *before*, and line by line.

    None as lines where the words of one are not kept, or are damaged; nothing is new in the first.
    """
    if not before:
        return (), None
    changed = [one for one in ("system", "tools") if row[f"{one}_print"] != before[f"{one}_print"]]
    old, new = _text(before), _text(row)
    if old is None or new is None:
        return tuple(changed), None
    return tuple(changed), differences(old.splitlines(), new.splitlines(), MOST_LINES)


def whole_tools(stored: bytes | str | None) -> list[Json] | None:
    """The tools that a row of `prompts` holds, none where it holds none; None: damaged."""
    try:
        tools = tools_of(stored)
    except ValueError:
        return None
    return tools if isinstance(tools, list) else None


def _text(row: Mapping[str, Any]) -> str | None:
    """System prompt and tools as lines; None where they are not kept, or are damaged."""
    tools = whole_tools(row["tools"])
    if tools is None or (row["system"] is None and row["tools"] is None):
        return None
    parts = [row["system"] or "", *(json.dumps(tool, indent=2, sort_keys=True) for tool in tools)]
    return "\n\n".join(parts)
