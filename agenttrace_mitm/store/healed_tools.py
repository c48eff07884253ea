"""Tool calls of a stored call, made to agree with what its bytes are understood to say now.

A tool call that is still there keeps its row, its span and what it was answered.  One that had
been missed gets both; its result is found when the call that brought it is read again.
"""

import sqlite3
from collections.abc import Sequence

from ..model import LlmCall, StoredSpan, StoredToolCall, StoredToolResult
from .likeness import alike, is_redacted
from .places import INSERT_SPAN
from .rows import INSERT_TOOL_CALL, json_text, result_text

_COMPARED = ("tool_call_id", "name", "server", "typed", "item_id")
OPEN_OR_OURS = """
select t.id, t.result, t.is_error, t.span_id, t.answered_by_call_id
from tool_calls t join llm_calls c on c.id = t.call_id
where t.id in (
    select id from tool_calls where tool_call_id = :tool_call_id
    union
    select id from tool_calls where item_id = :tool_call_id
  )
  and (t.call_id = :call_id and t.server or not t.server and c.thread_id = :thread_id
       and t.call_id <> :call_id)
  and (t.answered_by_call_id = :call_id
       or t.answered_by_call_id is null and t.started_us <= :at_us)
order by t.answered_by_call_id is null, t.id desc
limit 1
"""


def heal_tools(db: sqlite3.Connection, call: LlmCall, tools: Sequence[StoredToolCall]) -> int:
    """Make the tool calls of *call* those in *tools*; how many rows changed."""
    rows = db.execute(
        "select * from tool_calls where call_id = ? order by position", (call.id,)
    ).fetchall()
    pairs = _paired(rows, tools)
    kept = {row["id"] for _, row in pairs if row is not None}
    gone = [row for row in rows if row["id"] not in kept]
    for row in gone:
        db.execute("delete from tool_calls where id = ?", (row["id"],))
        db.execute("delete from spans where span_id = ?", (row["span_id"],))
    # Two rows of a call may not share a position, also not while they change places.
    for made, row in pairs:
        if row is not None and row["position"] != made.position:
            db.execute("update tool_calls set position = -1 - position where id = ?", (row["id"],))
    taken = {row["span_id"] for _, row in pairs if row is not None}
    free = [made.span_id for made in tools if made.span_id not in taken]
    changed = len(gone)
    for made, row in pairs:
        if row is not None:
            changed += _changed(db, made, row)
        else:
            _add(db, call, made.model_copy(update={"span_id": free.pop(0) if free else None}))
            changed += 1
    return changed


def _paired(
    rows: Sequence[sqlite3.Row], tools: Sequence[StoredToolCall]
) -> list[tuple[StoredToolCall, sqlite3.Row | None]]:
    """Each of *tools* with its row: by its id, else by its place."""
    spare = {row["id"]: row for row in rows}
    found: dict[int, sqlite3.Row] = {}

    def pair(made: StoredToolCall, row: sqlite3.Row) -> None:
        found[made.position] = spare.pop(row["id"])

    for made in tools:
        for row in list(spare.values()):
            if made.tool_call_id and row["tool_call_id"] == made.tool_call_id:
                pair(made, row)
                break
    for made in tools:
        for row in list(spare.values()):
            here = row["position"] == made.position and made.position not in found
            if here and (row["name"] == made.name or not row["tool_call_id"]):
                pair(made, row)
    return [(made, found.get(made.position)) for made in tools]


def _changed(db: sqlite3.Connection, made: StoredToolCall, row: sqlite3.Row) -> bool:
    """Bring *row* in line with *made*; True when it was not."""
    now = {name: getattr(made, name) for name in _COMPARED if getattr(made, name) != row[name]}
    if made.position != row["position"]:
        now["position"] = made.position
    for name, value in (
        ("arguments", made.arguments),
        ("calls_inside", json_text(made.calls_inside)),
    ):
        if value != row[name] and not alike(value or "", row[name] or ""):
            now[name] = value
    if now.keys() & {"name", "arguments"} and not is_redacted(made.arguments):
        now |= {"fingerprint": made.fingerprint, "prompts": json_text(made.prompts)}
    if not now:
        return False
    places = ", ".join(f"{name} = :{name}" for name in now)
    db.execute(f"update tool_calls set {places} where id = :id", now | {"id": row["id"]})
    if "name" in now:
        db.execute("update spans set name = ? where span_id = ?", (made.name, row["span_id"]))
    return True


def _add(db: sqlite3.Connection, call: LlmCall, made: StoredToolCall) -> None:
    at_us = call.ended_us or call.started_us
    row = made.__dict__ | {"call_id": call.id, "at_us": at_us}
    row["prompts"] = json_text(made.prompts)
    row["calls_inside"] = json_text(made.calls_inside)
    db.execute(INSERT_TOOL_CALL, row)
    if made.span_id is None or call.trace_id is None:
        return
    llm = db.execute(
        "select span_id from spans where kind = 'llm' and call_id = ?",
        (call.operation_id or call.id,),
    ).fetchone()
    span = StoredSpan(
        span_id=made.span_id,
        trace_id=call.trace_id,
        parent_span_id=llm[0] if llm else call.span_id,
        kind="tool",
        name=made.name,
        call_id=call.id,
        thread_id=call.thread_id,
        session_id=call.session_id,
        agent_id=call.agent_id,
        outcome="ok" if made.server else None,
        how="server" if made.server else "",
        started_us=at_us,
        ended_us=at_us if made.server else None,
    )
    db.execute(INSERT_SPAN, span.__dict__)


def heal_answers(db: sqlite3.Connection, call: LlmCall, results: Sequence[StoredToolResult]) -> int:
    """Give the results that *call* brings to tool calls that wait for one; how many changed.

    Also corrects the results that it brought already.  Only ids pair: what needed more than that
    was found when the call was recorded.
    """
    changed = 0
    for answer in {one.tool_call_id: one for one in reversed(results)}.values():
        where = {
            "tool_call_id": answer.tool_call_id,
            "call_id": call.id,
            "thread_id": call.thread_id,
            "at_us": answer.at_us,
        }
        row = db.execute(OPEN_OR_OURS, where).fetchone()
        if row is None:
            continue
        result = result_text(answer.result)
        if row["answered_by_call_id"] is None:
            _answer(db, call, row, answer)
        elif alike(result or "", row["result"] or "") and answer.is_error == row["is_error"]:
            continue
        db.execute(
            "update tool_calls set result = ?, is_error = ? where id = ?",
            (result, answer.is_error, row["id"]),
        )
        changed += 1
    return changed


def _answer(
    db: sqlite3.Connection, call: LlmCall, row: sqlite3.Row, answer: StoredToolResult
) -> None:
    db.execute(
        "update tool_calls set ended_us = ?, answered_by_call_id = ?, how = ?, confidence = ?"
        " where id = ?",
        (answer.at_us, call.id, answer.how, answer.confidence, row["id"]),
    )
    db.execute(
        "update spans set ended_us = ?, outcome = ?, how = ?, confidence = ? where span_id = ?",
        (
            answer.at_us,
            "error" if answer.is_error else "ok",
            answer.how,
            answer.confidence,
            row["span_id"],
        ),
    )
