"""One version of an agent's prompt: its words and tools, and what is new in them."""

import json
import sqlite3
from typing import Any

from ..asking import Value, rows_of
from ..differences import Line
from ..prompt_names import NUMBERED, are_kept
from .prompts import news, whole_tools

LONG = 200_000
"""Characters of a text beyond which it is cut."""


class OneVersion(Value):
    """The page; `system` is None where there is none, or it is not kept."""

    prompt_id: str
    agent: str
    version: int
    latest: int
    """The number of the agent's latest version."""
    first_seen_us: int
    system_chars: int
    n_tools: int
    is_kept: bool
    system: str | None
    tools: tuple[str, ...]
    """Each as JSON."""
    tools_are_damaged: bool
    is_cut: bool
    changed: tuple[str, ...]
    """What is new since the version before: system, tools."""
    difference: tuple[Line, ...] | None
    """None for the first version, and where the words of one are not kept, or are damaged."""
    before: str | None
    """The id of the version before."""
    after: str | None


_PLACED = f"""
    with numbered as (
        {NUMBERED} where agent_id = (select agent_id from prompts where prompt_id = :id)
    ),
    placed as (
        select prompt_id, agent_id as agent, version, lag(prompt_id) over w as before,
               lead(prompt_id) over w as after, count(*) over () as latest
        from numbered window w as (order by version)
    )
    select * from placed where prompt_id = :id
"""
_ROW = """
    select first_seen_us, system_chars, n_tools, system, tools, system_print, tools_print
    from prompts where prompt_id = :id
"""


def load(db: sqlite3.Connection, prompt_id: str) -> OneVersion | None:
    """The version with this id; None where there is none."""
    placed = rows_of(db.execute(_PLACED, {"id": prompt_id})) if are_kept(db) else []
    if not placed:
        return None
    row, before = _row(db, prompt_id), _row(db, placed[0]["before"])
    changed, difference = news(row, before)
    system, stored = row["system"], whole_tools(row["tools"])
    tools = [_laid_out(tool) for tool in stored or ()]
    return OneVersion(
        **placed[0],
        **{name: row[name] for name in ("first_seen_us", "system_chars", "n_tools")},
        is_kept=system is not None or row["tools"] is not None,
        system=system and system[:LONG],
        tools=tuple(tool[:LONG] for tool in tools),
        tools_are_damaged=stored is None,
        is_cut=any(len(text) > LONG for text in (system or "", *tools)),
        changed=changed,
        difference=difference,
    )


def _row(db: sqlite3.Connection, prompt_id: str | None) -> dict[str, Any]:
    """The row of a version; empty where there is none."""
    found = rows_of(db.execute(_ROW, {"id": prompt_id}))
    return found[0] if found else {}


def _laid_out(tool: object) -> str:
    return json.dumps(tool, indent=2, ensure_ascii=False)
