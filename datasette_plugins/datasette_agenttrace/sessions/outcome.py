"""What a session left behind: changed lines and files, and tools that failed.

Its tool calls are gone through in order, as an edit is told by what the agent had read before.
The answer for a list is kept until the session goes on.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic import Field

from agenttrace_mitm.traces.actions import Action, actions, files_of, kind_of
from agenttrace_mitm.traces.edits import Files

from ..asking import Value
from ..bills import Bill
from .memory import Memory

MOST_TOOLS = 10_000  # of a session; what comes later is not counted, and that is said
OPENED_CHARS = 300_000  # of arguments or a result, beyond which they are not looked into
HEAD_CHARS, TAIL_CHARS = 16_000, 4_000
REMEMBERED = 2_000
CHANGES = ("write", "edit", "patch")


class Outcome(Value):
    """What was done; lines are None where no change could be counted.

    `whole` is False where changes are not kept, or too many or long to count.
    """

    lines_added: int | None = 0
    lines_removed: int | None = 0
    files: tuple[str, ...] = ()
    tool_calls: int = 0
    tool_failures: int = 0
    whole: bool = True
    failures: dict[str, int] = Field(default_factory=dict, exclude=True)
    """How many tools failed, by the call that asked for them."""


_TOOLS = f"""
    with tool as (
        select t.id, t.call_id, coalesce(t.name, '') as name, t.span_id, t.is_error,
               t.started_us, t.ended_us, min(c.privacy_tier, :cap) > 1 as kept, t.arguments,
               t.result, t.calls_inside, coalesce(length(t.arguments), 0) as argued,
               coalesce(length(t.result), 0) as brought
        from {{calls}}
        order by t.started_us, t.id limit {MOST_TOOLS + 1}
    )
    select id, call_id, name, span_id, is_error, started_us, ended_us, kept, argued, brought,
           case when kept and argued <= {OPENED_CHARS} then arguments end as arguments,
           case when kept and argued <= {OPENED_CHARS} then calls_inside end as calls_inside,
           case when not kept then null when brought <= {OPENED_CHARS} then result
                else substr(result, 1, {HEAD_CHARS}) || char(10) || substr(result, -{TAIL_CHARS})
           end as result
    from tool
"""
_OF_CALLS = """llm_calls c join tool_calls t on t.call_id = c.id
        where {which} and c.kind in ('llm', 'auxiliary')"""
# Those who know the calls need not read them again.
_OF_KNOWN = """(select key as id, value as privacy_tier from json_each(:tiers)) c
        cross join tool_calls t on t.call_id = c.id"""


def outcome(
    db: sqlite3.Connection, session_id: str, cap: int = 3, tiers: Mapping[str, int] | None = None
) -> Outcome:
    """What *session_id* left behind, as far as *cap* and each call's tier tell.

    *tiers* are those of all its calls, where they are known.
    """
    added = removed = count = unread = 0
    files, failures, seen = dict[str, None](), dict[str, int](), Files()
    calls = _OF_KNOWN if tiers is not None else _OF_CALLS.format(which="c.session_id = :session")
    for row in _rows(db, calls, cap, session=session_id, tiers=json.dumps(tiers)):
        count += 1
        if count > MOST_TOOLS:
            break
        unread += _is_change(row) and not (row["kept"] and row["argued"] <= OPENED_CHARS)
        for act in _actions(row, seen):
            added += sum(change.added for change in act.changes)
            removed += sum(change.removed for change in act.changes)
            files.update(dict.fromkeys(change.path for change in act.changes))
            if act.failed:
                failures[row["call_id"]] = failures.get(row["call_id"], 0) + 1
    whole = count <= MOST_TOOLS and not unread
    lines = (added, removed) if whole or files else (None, None)
    return Outcome(
        lines_added=lines[0], lines_removed=lines[1], files=tuple(files), whole=whole,
        tool_calls=min(count, MOST_TOOLS), tool_failures=sum(failures.values()),
        failures=failures,
    )  # fmt: skip


def told(
    db: sqlite3.Connection, session_id: str, calls: Set[str], cap: int
) -> Iterator[tuple[dict[str, Any], list[Action]]]:
    """The tool calls of *calls* in order, and the actions that each was.

    Of what came before, only that is gone through which says how the files were that they change.
    """
    numbers = json.dumps(_needed(db, session_id, calls, cap))
    seen = Files()
    of_them = _OF_CALLS.format(which="t.id in (select value from json_each(:numbers))")
    for row in _rows(db, of_them, cap, numbers=numbers):
        acts = _actions(row, seen)
        if row["call_id"] in calls:
            yield row, acts


_ARGUED = f"""
    select t.id, t.call_id, coalesce(t.name, ''),
           case when min(c.privacy_tier, :cap) > 1 and length(t.arguments) <= {OPENED_CHARS}
                then t.arguments end
    from llm_calls c join tool_calls t on t.call_id = c.id
    where {{which}} and c.kind in ('llm', 'auxiliary')
    order by t.started_us, t.id limit {MOST_TOOLS}
"""


def _needed(db: sqlite3.Connection, session_id: str, calls: Set[str], cap: int) -> list[int]:
    """The numbers of the tool calls of *calls*, and of those that tell of the files they change.

    That is, of each file, what was done to it since it was last read or written whole.
    """
    given = {"session": session_id, "calls": json.dumps(list(calls)), "cap": cap}
    of_them = "c.id in (select value from json_each(:calls))"
    own = db.execute(_ARGUED.format(which=of_them), given).fetchall()
    if not any(kind_of(name) in CHANGES for _, _, name, _ in own):
        return [number for number, *_ in own]
    rows = db.execute(_ARGUED.format(which="c.session_id = :session"), given).fetchall()
    wanted, needed = set[str](), list[int]()
    for number, call_id, name, arguments in reversed(rows):
        if call_id in calls:
            needed.append(number)
            if kind_of(name) in CHANGES:
                wanted.update(files_of(name, arguments)[0])
        elif wanted and arguments:
            paths, whole = files_of(name, arguments)
            if wanted.intersection(paths):
                needed.append(number)
                wanted -= set(paths if whole else ())
    return needed


def _is_change(row: dict[str, Any]) -> bool:
    return kind_of(row["name"]) in CHANGES


def _rows(db: sqlite3.Connection, calls: str, cap: int, **given: str) -> Iterator[dict[str, Any]]:
    cursor = db.execute(_TOOLS.format(calls=calls), given | {"cap": cap})
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def _actions(row: dict[str, Any], seen: Files) -> list[Action]:
    # A file that was read in part only must not stand for the whole.
    cut = row["brought"] > OPENED_CHARS and kind_of(row["name"]) == "read"
    return actions(
        row["name"], row["arguments"], row["result"], _inside(row["calls_inside"]),
        Files() if cut else seen, is_error=bool(row["is_error"]),
    )  # fmt: skip


def _inside(stored: str | None) -> Any:
    try:
        return json.loads(stored) if stored else None
    except ValueError:
        return None


# ------------------------------------------------------------------ lists

type Stamp = tuple[int, int, int]


def stamp_of(ended_us: int, bill: Bill) -> Stamp:
    """What changes as a session goes on."""
    return ended_us, bill.calls, bill.running


_known: Memory[Outcome] = Memory(REMEMBERED)


def known_outcome(
    db: sqlite3.Connection, session_id: str, stamp: Stamp, tiers: Mapping[str, int] | None = None
) -> Outcome:
    """The same, remembered while *stamp* of the session stays."""
    return _known.told(db, session_id, stamp, lambda: outcome(db, session_id, tiers=tiers))
