"""One call: its conversation, tools, neighbours and wire, as far as its own tier shows them.

A message may be stored by a call of a higher tier than the one looked at: what is shown is cut
down to what the lower of the two would have kept.  Long texts are cut, and read whole elsewhere.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from agenttrace_mitm.model import LlmCall, Record
from agenttrace_mitm.model.json import Json, JsonObject
from agenttrace_mitm.privacy import Tier, keep
from agenttrace_mitm.store import request_of, response_of
from agenttrace_mitm.store.payloads import arrivals_of, headers_of
from agenttrace_mitm.store.rows import call_of

from ..asking import Value, rows_of
from ..laid_out import laid_out
from . import media
from .media import Medium

SHOWN_CHARS = 20_000  # of one part or body
OPENED_CHARS = 300_000  # of one message, beyond which only its beginning is read
OPENED_BYTES = 2_000_000  # of one stored body
RECENT = 40  # messages shown before more are asked for
MOST = 1_000
NEIGHBOURS = 20


class Part(Value):
    """A piece of a message; `text` is None where it is not kept."""

    type: str
    text: str | None = None
    name: str = ""
    tool_call_id: str = ""
    is_error: bool = False
    withheld: int | None = None
    cut: bool = False
    media: tuple[Medium, ...] = ()


class Turn(Value):
    """A message in its place; `call_id` is the call that brought it."""

    message_id: int
    call_id: str
    position: int
    direction: str
    role: str
    size: int
    parts: tuple[Part, ...]
    kept: bool


class ToolUse(Value):
    """A tool call that this call's reply made."""

    name: str
    tool_call_id: str | None
    arguments: str | None
    result: str | None
    is_error: bool | None
    server: bool
    took_ms: float | None
    answered_by_call_id: str | None


class Neighbour(Value):
    """Another call that belongs to this one."""

    id: str
    started_us: int
    outcome: str
    status_code: int | None
    model: str | None
    attempt: int


class Wire(Value):
    """What went over the wire: headers, and the beginnings of both bodies."""

    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()
    request: str | None = None
    response: str | None = None
    request_cut: bool = False
    request_names: tuple[str, ...] = ()
    """What a request that is a JSON object says something about."""
    response_cut: bool = False
    arrivals: tuple[tuple[int, int], ...] = ()


class OneCall(Value):
    """The page of a call."""

    call: LlmCall
    turns: tuple[Turn, ...]
    earlier: int
    tools: tuple[ToolUse, ...]
    continued_by: tuple[Neighbour, ...]
    attempts: tuple[Neighbour, ...]
    wire: Wire | None


# The first attempt has the operation's id, and is not in the index of the others.
_OF_OPERATION = "(id = :it or (retry_of = :it and retry_of <> id))"


def load(
    db: sqlite3.Connection, call_id: str, *, whole: bool = False, cap: Tier = 3
) -> OneCall | None:
    """The call with this id, None when there is none; *whole* with its history from the start.

    *cap* is the most of a tier to show.
    """
    found = rows_of(db.execute("select * from llm_calls where id = ?", (call_id,)))
    if not found:
        return None
    call = call_of(found[0])
    if cap < call.privacy_tier:
        call = keep(Record(call=call), cap).call
    turns, earlier = _conversation(db, call, MOST if whole else RECENT)
    return OneCall(
        call=call,
        turns=turns,
        earlier=earlier,
        tools=_tools(db, call),
        continued_by=_neighbours(db, "continues_call_id = :it", call.id),
        attempts=_neighbours(db, _OF_OPERATION, call.operation_id or call.id),
        wire=_wire(db, call),
    )


def raw_body(db: sqlite3.Connection, call_id: str, side: str) -> bytes | None:
    """The decoded request or response, whole; None where it is not kept."""
    shown = "select 1 from llm_calls where id = ? and privacy_tier = 3"
    if not db.execute(shown, (call_id,)).fetchone():
        return None
    return {"request": request_of, "response": response_of}[side](db, call_id)


def raw_message(db: sqlite3.Connection, call_id: str, message_id: int) -> str | None:
    """All of a message that this call brought, as JSON text; None where it is not kept."""
    row = db.execute(
        """
        select m.role, m.content, min(c.privacy_tier, m.privacy_tier)
        from call_messages u join messages m on m.id = u.message_id
        join llm_calls c on c.id = u.call_id
        where u.call_id = ? and u.message_id = ? limit 1
        """,
        (call_id, message_id),
    ).fetchone()
    if row is None or row[1] is None or row[2] < 2:
        return None
    role, content, tier = row
    if tier == 3:
        return str(content)
    parts = [part for part in parts_in(content) if _allowed(part, role)]
    return json.dumps(parts, ensure_ascii=False)


_CONVERSATION = """
    with recursive source (id, below, tier) as (
        select id, 1000000000, min(privacy_tier, :cap) from llm_calls where id = :call_id
        union all
        select c.continues_call_id, (
            select min(n.position) from call_messages n
            where n.call_id = c.id and n.direction = 'in'
        ), min(s.tier, before.privacy_tier)
        from source s
        join llm_calls c on c.id = s.id
        join llm_calls before on before.id = c.continues_call_id
    ),
    place as (
        select u.message_id, u.call_id, u.position, u.direction, u.choice, s.tier
        from source s join call_messages u on u.call_id = s.id
        where (u.direction = 'in' and u.position < s.below) or u.call_id = :call_id
        order by u.position desc, u.direction desc, u.choice desc
        limit :most
    )
    select p.message_id, p.call_id, p.position, p.direction, m.role, coalesce(m.size, 0) as size,
           p.tier, case when length(m.content) <= :opened then m.content end as content,
           case when length(m.content) > :opened then substr(m.text, 1, :shown) end as beginning
    from place p join messages m on m.id = p.message_id
    order by p.position, p.direction, p.choice
"""


def _conversation(db: sqlite3.Connection, call: LlmCall, most: int) -> tuple[tuple[Turn, ...], int]:
    """The last *most* messages, and how many came before them."""
    given = {
        "call_id": call.id, "cap": call.privacy_tier, "most": most, "opened": OPENED_CHARS,
        "shown": SHOWN_CHARS,
    }  # fmt: skip
    turns = [_turn(row) for row in rows_of(db.execute(_CONVERSATION, given))]
    return _with_media(db, turns), turns[0].position if len(turns) == most else 0


def media_of(turns: Iterable[Turn]) -> list[Medium]:
    """The media of *turns* in order."""
    return [one for turn in turns for part in turn.parts for one in part.media]


def _with_media(db: sqlite3.Connection, turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """*turns* with what is stored of their media."""
    found = media.stored(db, media_of(turns))
    if not found:
        return tuple(turns)

    def known(part: Part) -> Part:
        told = tuple(found.get(one.sha256, one) for one in part.media)
        return part.model_copy(update={"media": told}) if told else part

    return tuple(turn.model_copy(update={"parts": tuple(map(known, turn.parts))}) for turn in turns)


def _turn(row: dict[str, Any]) -> Turn:
    tier, content, beginning = row.pop("tier"), row.pop("content"), row.pop("beginning")
    parts: list[Part] = []
    if content is not None and tier > 1:
        parts = parts_of(content, row["role"], tier)
    elif beginning is not None and (tier == 3 or (tier == 2 and row["role"] != "assistant")):
        parts = [Part(type="text", text=beginning, cut=True)]
    return Turn(**row, parts=tuple(parts), kept=bool(parts) or content == "[]")


def parts_of(content: str, role: str, tier: int) -> list[Part]:
    """The parts of a message's *content*, as far as *tier* shows them."""
    return [_part(part, role, tier) for part in parts_in(content)]


def _part(part: JsonObject, role: str, tier: int) -> Part:
    kind = str(part.get("type") or "unknown")
    if tier < 3 and kind == "blob":
        return Part(type=kind, media=media.described(part, named=False))
    if tier < 3 and not _allowed(part, role):
        length = part.get("withheld")
        size = length if isinstance(length, int) else len(_words(part))
        return Part(type=kind, withheld=size)
    words = _words(part)
    withheld = part.get("withheld")
    return Part(
        type=kind,
        text=words[:SHOWN_CHARS],
        cut=len(words) > SHOWN_CHARS,
        name=str(part.get("name") or part.get("modality") or ""),
        tool_call_id=str(part.get("id") or ""),
        is_error=part.get("is_error") is True,
        withheld=withheld if isinstance(withheld, int) else None,
        media=media.described(part, named=tier == 3),
    )


def _allowed(part: JsonObject, role: str) -> bool:
    """Whether tier 2 keeps a part: what people and tools said, and calls of tools."""
    kind = part.get("type")
    return kind in ("tool_call", "tool_call_response") or (kind == "text" and role != "assistant")


def _words(part: JsonObject) -> str:
    match part.get("type"):
        case "text" | "reasoning":
            return str(part.get("content", part.get("text")) or "")
        case "tool_call":
            return pretty(part.get("arguments"))
        case "tool_call_response":
            return pretty(part.get("response"))
        case "blob" | "uri":
            about = {name: said for name, said in part.items() if name != "type"}
            return ", ".join(f"{name} {said}" for name, said in about.items())
        case _:
            return pretty(part.get("raw", part))


def pretty(value: Json) -> str:
    """JSON, or text that holds JSON, laid out for people; other text as it is."""
    if isinstance(value, str):
        if len(value) > SHOWN_CHARS or not value.lstrip().startswith(("{", "[")):
            return value
        try:
            value = json.loads(value, parse_float=_within_range)
        except (ValueError, RecursionError):
            return str(value)
    return "" if value is None else laid_out(value)


def _within_range(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("would be written as what is no JSON")
    return number


def params_of(call: LlmCall) -> dict[str, str]:
    """What a call asked for beside its messages, each as JSON; a text as it is."""
    said = call.params if isinstance(call.params, dict) else {}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in said.items()
    }


def parts_in(content: str) -> list[JsonObject]:
    """What a message's *content* holds, as far as it is what we write."""
    try:
        parts = json.loads(content)
    except (ValueError, RecursionError):
        return []
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _tools(db: sqlite3.Connection, call: LlmCall) -> tuple[ToolUse, ...]:
    rows = db.execute(
        """
        select name, tool_call_id, substr(arguments, 1, :shown) as arguments,
               substr(result, 1, :shown) as result, is_error, coalesce(server, 0) as server,
               (ended_us - started_us) * 0.001 as took_ms, answered_by_call_id
        from tool_calls where call_id = :call_id order by position limit 200
        """,
        {"call_id": call.id, "shown": SHOWN_CHARS},
    )
    return tuple(_tool(row, kept=call.privacy_tier > 1) for row in rows_of(rows))


def _tool(row: dict[str, Any], *, kept: bool) -> ToolUse:
    arguments, result = row.pop("arguments"), row.pop("result")
    return ToolUse(
        **row,
        arguments=pretty(arguments) if kept and arguments is not None else None,
        result=pretty(result) if kept and result is not None else None,
    )


def _neighbours(db: sqlite3.Connection, where: str, it: str | None) -> tuple[Neighbour, ...]:
    if it is None:
        return ()
    rows = db.execute(
        "select id, started_us, outcome, status_code, attempt,"
        " coalesce(response_model, model) as model"
        f" from llm_calls where {where} order by started_us limit {NEIGHBOURS}",
        {"it": it},
    )
    return tuple(Neighbour(**row) for row in rows_of(rows))


def _wire(db: sqlite3.Connection, call: LlmCall) -> Wire | None:
    if call.privacy_tier < 3:
        return None
    row = db.execute(
        f"""
        select request_headers, response_headers, arrivals,
               length(request_body) <= {OPENED_BYTES},
               length(response_body) <= {OPENED_BYTES},
               request_body is not null, response_body is not null
        from payloads where call_id = ?
        """,
        (call.id,),
    ).fetchone()
    if row is None:
        return None
    asked = request_of(db, call.id) if row[3] else None
    answered = response_of(db, call.id) if row[4] else None
    request, request_cut = _beginning(asked, kept=bool(row[5]))
    response, response_cut = _beginning(answered, kept=bool(row[6]))
    return Wire(
        request_headers=_headers(row[0]), response_headers=_headers(row[1]),
        request=request, request_cut=request_cut, request_names=_names(asked),
        response=response, response_cut=response_cut, arrivals=_arrivals(row[2]),
    )  # fmt: skip


def _names(body: bytes | None) -> tuple[str, ...]:
    try:
        said = json.loads(body or b"")
    except (ValueError, RecursionError):
        return ()
    return tuple(said) if isinstance(said, dict) else ()


def _beginning(body: bytes | None, *, kept: bool) -> tuple[str | None, bool]:
    if not kept:
        return None, False
    if body is None:
        return "", True
    text = body[: SHOWN_CHARS * 4].decode("utf-8", "replace")
    if len(body) <= SHOWN_CHARS:
        text = pretty(text)
    return text[:SHOWN_CHARS], len(text) > SHOWN_CHARS or len(body) > SHOWN_CHARS * 4


def _headers(stored: bytes | str | None) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((name, value) for name, value in headers_of(stored))
    except ValueError:
        return ()


def _arrivals(stored: bytes | str | None) -> tuple[tuple[int, int], ...]:
    try:
        return tuple(arrivals_of(stored))
    except ValueError:
        return ()
