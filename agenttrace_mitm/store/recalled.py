"""Earlier calls as the database tells them, in the form in which placing calls knows them.

A recorder that starts anew has the last calls read back, so that it knows what the one before it
knew: what is looked up is then the same, and so is what is inferred.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ..traces import MadeTool, Seen
from .reading import Readable

_COLUMNS = """
    c.id, c.n_messages, c.request_chain, c.turn_print, c.reply_print, c.response_id, c.provider,
    c.dialect || ' ' || coalesce(c.model, '') || ' ' || c.streamed || ' '
        || coalesce(c.user_agent, ''), c.client_address, c.conversation_id, c.operation_id,
    c.session_id, c.thread_id, c.trace_id, c.agent_id,
    t.parent_span_id, c.continues_call_id, c.outcome, c.started_us, c.ended_us
"""
_CALLS = f"select {_COLUMNS} from llm_calls c left join threads t on t.thread_id = c.thread_id"
_MADE = "call_id, position, tool_call_id, item_id, name, fingerprint, server, started_us, prompts"
_TOOLS = f"select {_MADE} from tool_calls"
_LATEST = """
    select id from llm_calls where kind = 'llm' and outcome <> 'in_flight'
    order by started_us desc limit :most
"""
_LATEST_CALLS = f"{_CALLS} where c.id in ({_LATEST}) order by c.started_us, c.id"
_LATEST_TOOLS = f"""
    select {_MADE}, case when answered_by_call_id is not null then ended_us end
    from tool_calls where call_id in ({_LATEST}) order by call_id, position
"""
_IN_VALUES = "in (select value from json_each(:values))"


@dataclass(frozen=True, slots=True)
class Latest:
    """A call that was placed before, and when each of its tool calls was answered."""

    seen: Seen
    answered_us: tuple[int | None, ...]


def latest(db: Readable, most: int) -> Iterator[Latest]:
    """The last *most* calls of conversations, in the order in which they began."""
    if not most:
        return
    tools: dict[str, list[tuple[MadeTool, int | None]]] = {}
    for row in db.execute(_LATEST_TOOLS, {"most": most}).fetchall():
        tools.setdefault(row[0], []).append((_tool(row[:-1]), row[-1]))
    for row in db.execute(_LATEST_CALLS, {"most": most}).fetchall():
        made = tools.get(row[0], ())
        yield Latest(_seen(row, tuple(tool for tool, _ in made)), tuple(at for _, at in made))


def calls(
    db: Readable, where: str, order: str, most: int, **given: str | Sequence[str]
) -> list[Seen]:
    """Calls of conversations *where* something holds; lists among *given* go as JSON."""
    rows = db.execute(
        f"{_CALLS} where {where} and c.kind = 'llm' order by {order} limit {most}",
        {name: v if isinstance(v, str) else _json(v) for name, v in given.items()},
    ).fetchall()
    return [_seen(row, tuple(tools(db, f"call_id {_IN_VALUES}", [str(row[0])]))) for row in rows]


def tools(db: Readable, where: str, keys: Sequence[str]) -> list[MadeTool]:
    """The last tool calls *where* something of the `:values` *keys* holds, latest last."""
    rows = db.execute(
        f"{_TOOLS} where {where} order by id desc limit 64", {"values": _json(keys)}
    ).fetchall()
    return [_tool(row) for row in reversed(rows)]


def waiting_for_results(db: Readable) -> list[MadeTool]:
    """Tool calls with texts that sub-agents may be working on."""
    rows = db.execute(
        f"{_TOOLS} where prompts is not null and answered_by_call_id is null"
        " order by id desc limit 500"
    ).fetchall()
    return [_tool(row) for row in reversed(rows)]


def _seen(row: Sequence[str | int | None], made: tuple[MadeTool, ...]) -> Seen:
    known = [("" if value is None else value) for value in row[:-2]]
    began, ended = int(row[-2] or 0), int(row[-1] or row[-2] or 0)
    return Seen(*known, began, ended, made)  # type: ignore[call-arg,arg-type]  # as selected


def _tool(row: Sequence[object]) -> MadeTool:
    call_id, position, id_, item_id, name, print_, server, started_us, prompts = row
    return MadeTool(
        str(call_id),
        int(str(position)),
        str(id_ or ""),
        str(item_id or ""),
        str(name or ""),
        str(print_ or ""),
        bool(server),
        int(str(started_us or 0)),
        tuple(msgspec.json.decode(str(prompts))) if prompts else (),
    )


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
